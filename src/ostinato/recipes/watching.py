"""Insight while a run trains, switched on by the setting `training.watch_every`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.insight.watch import Watch
from ostinato.recipes.settings import RunSettings
from ostinato.training.distributed.processes import Processes
from ostinato.training.run.settings import UpdateSettings
from ostinato.training.update.tree import map_tensors

PREFIX = "insight/"  # of these names in metrics.jsonl
COST = f"{PREFIX}share of the time"  # the share of the time that measuring took
ROWS, STEPS = 8, 64  # size of the batch that is measured on; data that do not come in chunks have their own steps


def watching(
    module: nn.Module, batch: Callable[[], Any], settings: RunSettings, how: UpdateSettings, processes: Processes
) -> Callable[[int], Mapping[str, float]] | None:
    """The function that `fit` should call after each step; None if nothing is watched, which costs nothing.

    Args:
        module: the module that is trained, with `loss(batch, state)`.
        batch: makes some rows of the training data, always the same ones.
        settings: the settings of the run.
        how: the group `training` of these settings.
        processes: the processes that train together; the first one watches.

    Raises:
        ConfigError: each process has only a part of the weights.
        InsightError: the module has no recurrent layer to watch.
    """
    if how.watch_every is None:
        return None
    if settings.strategy == "fsdp" and processes.world > 1:
        raise ConfigError(
            "training.watch_every: expected whole weights in each process, but with --strategy fsdp each has a share; "
            "use ddp, or leave one of the two out"
        )
    if not processes.is_first:
        return None
    watch = Watch(module, batch(), _loss, every=how.watch_every)
    watch.measure()  # fails before training if the module cannot be watched

    def look(step: int) -> Mapping[str, float]:
        values = watch(step)
        return {**{PREFIX + name: value for name, value in values.items()}, COST: watch.share} if values else {}

    return look


def _loss(module: Any, batch: Any) -> torch.Tensor:
    """The module's loss of the batch, on the device that the module has been moved to in the meantime."""
    device = next(module.parameters()).device
    return module.loss(map_tensors(lambda tensor: tensor.to(device), batch), None)[0]
