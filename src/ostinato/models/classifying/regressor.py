"""Many to one, with a number instead of a class."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import torch
from torch.nn import functional as F

from ostinato.data.batches.batches import Batch
from ostinato.errors import ConfigError
from ostinato.models.classifying.classifier import Classifier
from ostinato.nn.lengths import takes_lists
from ostinato.types import Lengths

NumberLoss: TypeAlias = Literal["squared", "absolute", "gaussian"]
_LEAST = math.log(1e-3)  # logarithm of the least deviation


class SequenceRegressor(Classifier):
    """A classifier's network whose output is a number y, at a scale at which the numbers have deviation 1.

    | loss of one example | what y is |
    | --- | --- |
    | squared | (y - target)^2 / 2: the mean |
    | absolute | the distance of y and target: the median |
    | gaussian | log s + ((y - target) / s)^2 / 2: mean and deviation s of a normal distribution (Nix & Weigend 1994) |

    Args:
        number_loss: one of the names above.
        **given: the arguments of `Classifier`, without those about classes.

    Raises:
        ConfigError: as for `Classifier`; or class weights or label smoothing were given.
    """

    def __init__(self, number_loss: NumberLoss = "squared", **given: Any):
        if given.get("class_weights") is not None or given.get("label_smoothing"):
            raise ConfigError("class_weights and label_smoothing: expected none where a number is predicted, got one")
        if number_loss not in ("squared", "absolute", "gaussian"):
            raise ConfigError(f"number_loss: expected squared, absolute or gaussian, got {number_loss}")
        super().__init__(2 if number_loss == "gaussian" else 1, **given)
        self.number_loss: NumberLoss = number_loss

    @takes_lists
    def forward(self, input: torch.Tensor, lengths: Lengths | None = None) -> torch.Tensor:
        """The number, (B, 1); for gaussian (B, 2), the number and the logarithm of its deviation."""
        return self._network(input, lengths)

    def loss(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, None]:
        """The mean loss of the examples that have a number, a scalar (0 if none has); and None for a state."""
        return self.number_losses(self(batch.input, batch.lengths), batch.target), None

    def number_losses(self, said: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The mean loss of outputs, see `mean_number_loss`."""
        return mean_number_loss(said, target, self.number_loss)


def mean_number_loss(said: torch.Tensor, target: torch.Tensor, kind: NumberLoss) -> torch.Tensor:
    """The mean loss over the targets that are numbers.

    Args:
        said: (..., 1 or 2), the outputs.
        target: (...), NaN for no number.
        kind: see `SequenceRegressor`.
    """
    said = said.float() if said.dtype in (torch.bfloat16, torch.float16) else said
    known = target.isfinite()
    target = target.masked_fill(~known, 0.0).to(said.dtype)
    off = said[..., 0] - target
    if kind == "gaussian":
        log_s = said[..., 1].clamp_min(_LEAST)
        losses = log_s + (off * (-log_s).exp()) ** 2 / 2
    else:
        losses = off**2 / 2 if kind == "squared" else F.l1_loss(said[..., 0], target, reduction="none")
    return losses.masked_fill(~known, 0.0).sum() / known.sum().clamp_min(1)


def deviation_of(said: torch.Tensor) -> torch.Tensor | None:
    """The deviation in a gaussian output (..., 2); None for other outputs."""
    return said[..., 1].clamp_min(_LEAST).exp() if said.shape[-1] == 2 else None
