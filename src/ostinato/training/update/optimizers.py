"""The optimisers that a recipe can name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

import torch
from torch import optim

from ostinato.errors import ConfigError
from ostinato.training.run.settings import OptimizerName


def make_optimizer(
    name: OptimizerName,
    parameters: Iterable[torch.nn.Parameter],
    *,
    learning_rate: float,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    fused: bool = False,
) -> optim.Optimizer:
    """Make a `torch.optim` optimiser.

    Args:
        name: "adam", "adamw", "sgd" or "rmsprop".
        parameters: the parameters to update.
        learning_rate: the learning rate of the first step; above 0.
        weight_decay: decoupled for adamw, added to the gradient for the others.
        momentum: the momentum of sgd, in [0, 1); 0 for plain gradient descent. The others ignore it.
        fused: use one kernel for all parameters if torch has one (adam, adamw, sgd); not with a gradient scaler.

    Raises:
        ConfigError: there is no such optimiser.
    """
    if name == "adam":
        return optim.Adam(parameters, lr=learning_rate, weight_decay=weight_decay, fused=fused)
    if name == "adamw":
        return optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=fused)
    if name == "sgd":
        return optim.SGD(parameters, lr=learning_rate, weight_decay=weight_decay, momentum=momentum, fused=fused)
    if name == "rmsprop":
        return optim.RMSprop(parameters, lr=learning_rate, weight_decay=weight_decay)
    raise ConfigError(f"optimizer: expected one of {', '.join(get_args(OptimizerName))}, got {name}")
