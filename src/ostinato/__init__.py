"""Recurrent networks for PyTorch, done right: a recurrence is written once.

The public names, each imported when it is first used: `ostinato --help` does not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ostinato.version import __version__

if TYPE_CHECKING:
    from ostinato import cells, errors, nn
    from ostinato import data as data
    from ostinato import insight as insight
    from ostinato import lab as lab
    from ostinato import models as models
    from ostinato import recipes as recipes
    from ostinato import training as training
    from ostinato.cells.named import State
    from ostinato.cells.spec import Cell, cell
    from ostinato.kernels.dispatch import backend
    from ostinato.nn import (
        GRU,
        LSTM,
        RHN,
        RNN,
        GRUCell,
        LSTMCell,
        MinGRU,
        MinGRUCell,
        MinLSTM,
        MinLSTMCell,
        Recurrent,
        RHNCell,
        RNNCell,
        Stream,
        chrono,
        convert,
        explain,
        listing,
        noisy,
    )
    from ostinato.recipes import load

__all__ = [
    "GRU",
    "LSTM",
    "RHN",
    "RNN",
    "Cell",
    "GRUCell",
    "LSTMCell",
    "MinGRU",
    "MinGRUCell",
    "MinLSTM",
    "MinLSTMCell",
    "RHNCell",
    "RNNCell",
    "Recurrent",
    "State",
    "Stream",
    "__version__",
    "backend",
    "cell",
    "cells",
    "chrono",
    "convert",
    "errors",
    "explain",
    "listing",
    "load",
    "nn",
    "noisy",
]

_HOMES = {
    "ostinato.cells": ("Cell", "State", "cell"),
    "ostinato.kernels.dispatch": ("backend",),
    "ostinato.nn": (
        *("GRU", "LSTM", "MinGRU", "MinLSTM", "RHN", "RNN", "Recurrent"),
        *("GRUCell", "LSTMCell", "MinGRUCell", "MinLSTMCell", "RHNCell", "RNNCell", "Stream"),
        *("chrono", "convert", "explain", "listing", "noisy"),
    ),
    "ostinato.recipes": ("load",),
}
_FLOORS = ("cells", "data", "errors", "insight", "lab", "models", "nn", "recipes", "training")
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _FLOORS:
        value = importlib.import_module(f"ostinato.{name}")
    else:
        raise AttributeError(f"module 'ostinato' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_FLOORS})
