"""Insight while a run trains: the setting `training.watch_every`."""

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

PREFIX = "insight/"  # of the names in metrics.jsonl
COST = f"{PREFIX}share of the time"  # that measuring took
ROWS, STEPS = 8, 64  # of the batch that is measured on; what does not come in chunks has its own steps


def watching(
    module: nn.Module, batch: Callable[[], Any], settings: RunSettings, how: UpdateSettings, processes: Processes
) -> Callable[[int], Mapping[str, float]] | None:
    """What `fit` should call after each step; None where nobody watches, which costs nothing.

    Args:
        module: that trains, with its `loss(batch, state)`.
        batch: makes some rows of the training data, always the same ones.
        settings: of the run.
        how: their group `training`.
        processes: those that train together; the first one watches.

    Raises:
        ConfigError: each process has a part of the weights only.
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
    watch.measure()  # what cannot be watched is told before training, not after a while

    def look(step: int) -> Mapping[str, float]:
        values = watch(step)
        return {**{PREFIX + name: value for name, value in values.items()}, COST: watch.share} if values else {}

    return look


def _loss(module: Any, batch: Any) -> torch.Tensor:
    """On the device where the module has been brought meanwhile."""
    device = next(module.parameters()).device
    return module.loss(map_tensors(lambda tensor: tensor.to(device), batch), None)[0]
