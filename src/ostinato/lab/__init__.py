"""The lab: claims about recurrent networks, each as an experiment that anyone can run with `ostinato lab run NAME`.

Each experiment is a module of `ostinato.lab.experiments` with that name; it holds an `EXPERIMENT`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ostinato.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from ostinato.lab.experiment import Experiment

NAMES = (
    "repeated_matrix",
    "nonlinearity",
    "gradient_reach",
    "forget_bias",
    "initialisation",
    "clipping",
    "truncated_bptt",
    "teacher_forcing",
    "dropout",
    "first_state",
    "depth",
    "adding",
    "copy_memory",
    "temporal_order",
    "samples",
    "lstm_and_resnet",
    "state_tracking",
    "elapsed_time",
)


def find(name: str) -> Experiment:
    """Finds an experiment by its name.

    Raises:
        ConfigError: there is no such experiment; the message suggests the closest name.
    """
    if name not in NAMES:
        hint = did_you_mean(name, NAMES)
        raise ConfigError(f"{name} is no experiment{hint} Expected one of {', '.join(NAMES)}, or all")
    return importlib.import_module(f"ostinato.lab.experiments.{name}").EXPERIMENT
