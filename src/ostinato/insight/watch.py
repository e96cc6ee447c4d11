"""Insight while a model trains, for a few per cent of the time."""

from __future__ import annotations

from typing import Any

from torch import nn

from ostinato.insight.layers import Loss


class Watch:
    """Measures gradient flow and saturation every n steps and logs both to TensorBoard.

    Args:
        model: that trains.
        batch: of the data, the same every time, so that the numbers can be compared.
        loss: as in `gradient_flow`.
        writer: with `add_scalar(tag, value, step)`, as TensorBoard's `SummaryWriter` has it; None to keep the numbers only.
        every: steps from one measurement to the next.
    """

    def __init__(self, model: nn.Module, batch: Any, loss: Loss | None = None, *, writer: Any = None, every: int = 100):
        raise NotImplementedError

    def __call__(self, step: int) -> None:
        """After each update; `step` from 1."""
        raise NotImplementedError
