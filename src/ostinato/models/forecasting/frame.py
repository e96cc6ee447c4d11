"""Frames, which say where zero is: a distribution of changes needs one to be a distribution of counts or amounts."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Frame:
    """Turns changes from a baseline, in the scale of a window, into values in the unit of the series.

    A value is (change - zero) * width; the baseline itself, a change of 0, is -zero * width.

    Attributes:
        zero: (...), the change at which the value is 0.
        width: (...), how many units of the series a change of 1 is, above 0.
        size: (...), about how large the values of the past are, in the unit of the series, above 0.
    """

    zero: torch.Tensor
    width: torch.Tensor
    size: torch.Tensor

    def values(self, change: torch.Tensor) -> torch.Tensor:
        """The values of changes, (...) float64, in the unit of the series."""
        return (precise(change) - precise(self.zero)) * precise(self.width)

    def changes(self, values: torch.Tensor) -> torch.Tensor:
        """The inverse of `values`, in the dtype of the frame."""
        return (values / precise(self.width) + precise(self.zero)).to(self.zero.dtype)

    def baseline(self) -> torch.Tensor:
        """The baseline that changes are measured from, (...) float64, in the unit of the series; at least 0."""
        return (-precise(self.zero) * precise(self.width)).clamp_min(0.0)

    def flat(self) -> Frame:
        """The same frame with all places in one dimension."""
        return Frame(*(each.reshape(-1) for each in (self.zero, self.width, self.size)))

    def repeated(self, count: int) -> Frame:
        """The frame with each place repeated `count` times, one after the other."""
        return Frame(*(each.repeat_interleave(count, 0) for each in (self.zero, self.width, self.size)))


def precise(v: torch.Tensor) -> torch.Tensor:
    """Converts to float64 if the device has it, as sums of logarithms of factorials cancel."""
    return v if v.device.type == "mps" else v.double()
