"""Recurrent networks for PyTorch, done right: a recurrence is written once.

The public names. Importing this costs little more than importing torch; what is heavy is imported when it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ostinato import cells
from ostinato.cells.spec import Cell, State, cell
from ostinato.kernels.dispatch import backend
from ostinato.nn import (
    GRU,
    LSTM,
    RNN,
    GRUCell,
    LSTMCell,
    Recurrent,
    RNNCell,
    chrono,
    convert,
    explain,
    noisy,
)
from ostinato.version import __version__

if TYPE_CHECKING:
    from ostinato.recipes import load

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Cell",
    "GRUCell",
    "LSTMCell",
    "RNNCell",
    "Recurrent",
    "State",
    "__version__",
    "backend",
    "cell",
    "cells",
    "chrono",
    "convert",
    "explain",
    "load",
    "noisy",
]


def __getattr__(name: str) -> Any:
    # Loading a run needs the recipes, and they need much that a user of the layers alone does not.
    if name == "load":
        return importlib.import_module("ostinato.recipes").load
    raise AttributeError(f"module 'ostinato' has no attribute {name!r}")
