"""Recurrent networks for PyTorch, done right: a recurrence is written once.

Here are the public names. Each is imported when it is first used, so that `ostinato --help` does not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ostinato.cell_names import classes
from ostinato.version import __version__

if TYPE_CHECKING:
    from ostinato import catalogue, cells, errors, nn
    from ostinato import data as data
    from ostinato import insight as insight
    from ostinato import lab as lab
    from ostinato import models as models
    from ostinato import recipes as recipes
    from ostinato import training as training
    from ostinato.cells.named import State
    from ostinato.cells.spec import Cell, cell
    from ostinato.exporting.export import export
    from ostinato.kernels.dispatch import backend
    from ostinato.nn import Recurrent, Step, Stream, chrono, convert, explain, listing, noisy, to_torch
    from ostinato.nn import layers as _layers
    from ostinato.nn import steps as _steps
    from ostinato.nn.layers import *  # noqa: F403 - a class for each cell that has a name
    from ostinato.nn.steps import *  # noqa: F403
    from ostinato.recipes import alike, load, why
    from ostinato.recipes import train_on as train

__all__ = [
    "Cell",
    "Recurrent",
    "State",
    "Step",
    "Stream",
    "__version__",
    "alike",
    "backend",
    "catalogue",
    "cell",
    "cells",
    "chrono",
    "convert",
    "errors",
    "explain",
    "export",
    "listing",
    "load",
    "nn",
    "noisy",
    "to_torch",
    "train",
    "why",
]
if TYPE_CHECKING:
    __all__ += _layers.__all__
    __all__ += _steps.__all__
else:
    __all__ += classes()

_HOMES = {
    "ostinato.cells": ("Cell", "State", "cell"),
    "ostinato.exporting.export": ("export",),
    "ostinato.kernels.dispatch": ("backend",),
    "ostinato.nn": (
        *("Recurrent", "Step", "Stream", "chrono", "convert", "explain", "listing", "noisy", "to_torch"),
        *classes(),
    ),
    "ostinato.recipes": ("alike", "load", "train", "why"),
}
_CALLED = {"train": "train_on"}  # its name in its module, where `train` takes the settings of a task as one object
_FLOORS = ("catalogue", "cells", "data", "errors", "insight", "lab", "models", "nn", "recipes", "training")
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), _CALLED.get(name, name))
    elif name in _FLOORS:
        value = importlib.import_module(f"ostinato.{name}")
    else:
        raise AttributeError(f"module 'ostinato' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_FLOORS})
