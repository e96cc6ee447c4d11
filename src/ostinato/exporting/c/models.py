"""Which modules have C, and what their steps are made of."""

from __future__ import annotations

import torch

from ostinato.errors import ConfigError
from ostinato.exporting.c.network import Network, stack
from ostinato.exporting.c.weights import Constants, WeightsName
from ostinato.nn.recurrent import Recurrent


def network_of(module: torch.nn.Module, weights: WeightsName) -> Network:
    constants = Constants(weights)
    if isinstance(module, Recurrent):
        layers = stack(module, constants)
        return Network(f"{type(module).__name__} of {module.num_layers} layers", f"{layers.inputs} numbers", f"{layers.outputs} numbers", constants, layers)
    raise ConfigError(f"no C for {type(module).__name__}")
