"""Aligned many to many, with a number at every step instead of a tag."""

from __future__ import annotations

from typing import Any

import torch

from ostinato.errors import ConfigError
from ostinato.models.classifying.regressor import NumberLoss, mean_number_loss
from ostinato.models.tagging.tagger import Tagger, valid_steps
from ostinato.nn.lengths import takes_lists
from ostinato.types import Lengths


class StepRegressor(Tagger):
    """A tagger's network whose output is a number at every step, at a scale at which the numbers have deviation 1.

    Its outputs are (T, B, 1), or for the loss gaussian (T, B, 2) with the logarithm of the deviation; see
    `SequenceRegressor`.

    Args:
        encoder: see `Tagger`.
        number_loss: squared, absolute or gaussian.
        **given: the arguments of `Tagger`, without those about tags.

    Raises:
        ConfigError: as for `Tagger`; or a CRF, class weights or label smoothing were given.
    """

    def __init__(self, encoder: Any, number_loss: NumberLoss = "squared", **given: Any):
        for name, usual in (("output", "softmax"), ("class_weights", None), ("label_smoothing", 0.0)):
            if given.get(name, usual) != usual:
                raise ConfigError(f"{name}: expected {usual} where a number is predicted, got {given[name]}")
        super().__init__(encoder, 2 if number_loss == "gaussian" else 1, **given)
        self.number_loss: NumberLoss = number_loss

    @takes_lists
    def tag_loss(self, emissions: torch.Tensor, target: torch.Tensor, lengths: Lengths | None) -> torch.Tensor:
        """The mean loss over the steps that have a number, a scalar; 0 if none has.

        Args:
            emissions: the model's outputs.
            target: (T, B), NaN for none.
            lengths: (B,) int64, or None.
        """
        target = target.masked_fill(~valid_steps(target, lengths), torch.nan)
        return mean_number_loss(emissions, target, self.number_loss)
