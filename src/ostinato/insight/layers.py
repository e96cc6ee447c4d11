"""Looking at recurrent layers while they run: each step is taken in plain PyTorch, and what it was given and gave is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch import nn

from ostinato.errors import OstinatoError
from ostinato.insight.trajectory import Trajectory
from ostinato.types import Tensor

# (model, batch) -> a scalar, or a tuple that begins with it
Loss: TypeAlias = Callable[[Any, Any], Any]


class InsightError(OstinatoError):
    """A model, a batch or a loss that cannot be looked into."""


def trajectories(model: nn.Module, batch: Any, loss: Loss | None = None) -> list[Trajectory]:
    """Every step of every recurrent layer in one pass over a batch.

    Args:
        model: holds recurrent layers or single-step cells, ours or torch.nn's, or is one.
        batch: whatever `loss` takes; without a loss, what the model is called with.
        loss: as in `gradient_flow`; or any `(model, batch)` that runs the model. None calls `model(batch)`.

    Returns:
        One for each direction of each layer, in the order in which they ran.

    Raises:
        InsightError: there is no recurrent layer in the model, or none ran.
    """
    raise NotImplementedError


def scalar_loss(model: nn.Module, batch: Any, loss: Loss | None) -> Tensor:
    """The loss of a batch: `loss(model, batch)`, or `model.loss(batch)` where it is None; of a tuple, the first.

    Raises:
        InsightError: it is no scalar with a gradient, or the model has no `loss`.
    """
    raise NotImplementedError
