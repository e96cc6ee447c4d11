"""The unit in which a forecaster reads a window: the last value is 0, the spread of the past is 1."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Scale:
    """The scale of each row of a batch: z = (x - centre) / width.

    The centre is the last value of the past, 0 if there is none: it needs no step to come, and follows a change of
    level. The width is the mean distance of the past's values from their mean, which one strange value changes little;
    at least the width that is asked for. If it is 0, all values have been the same so far: z is then 0, and its inverse
    the centre.

    Attributes:
        centre: (B,).
        width: (B,), at least 0.
    """

    centre: torch.Tensor
    width: torch.Tensor

    @classmethod
    def of(cls, values: torch.Tensor, past: torch.Tensor, least: torch.Tensor | None = None) -> Scale:
        """The scale of windows.

        Args:
            values: (T, B), NaN for missing ones.
            past: (B,) int64, the steps of each row's past.
            least: (B,), at least 0, the least width; None for 0.
        """
        is_past = torch.arange(len(values), device=values.device).unsqueeze(1) < past
        there = is_past & ~values.isnan()
        x, count = torch.where(there, values, 0.0), there.sum(0)
        last = torch.where(there, torch.arange(len(values), device=values.device).unsqueeze(1), -1).amax(0)
        centre = torch.where(last >= 0, x.gather(0, last.clamp_min(0).unsqueeze(0)).squeeze(0), 0.0)
        # Relative to the centre, so that a level of a million costs no digits.
        apart = torch.where(there, values - centre, 0.0)
        mean = apart.sum(0) / count.clamp_min(1)
        spread = torch.where(there, (apart - mean).abs(), 0.0).sum(0) / count.clamp_min(1)
        # Rounding errors of a constant are no spread.
        spread = torch.where(apart.abs().amax(0) > 0, spread, 0.0)
        return cls(centre, spread if least is None else torch.maximum(spread, least.to(spread.dtype)))

    def apply(self, values: torch.Tensor) -> torch.Tensor:
        """Values (T, B) in this scale; NaN stays."""
        z = (values - self.centre) / torch.where(self.width > 0, self.width, 1.0)
        return torch.where(self.width > 0, z, torch.where(z.isnan(), z, 0.0))

    def invert(self, z: torch.Tensor) -> torch.Tensor:
        """Turns (T, B, S) in this scale into the unit of the values."""
        return self.centre.unsqueeze(-1) + self.width.unsqueeze(-1) * z


def size_of(values: torch.Tensor, past: torch.Tensor, level: torch.Tensor, least: float) -> torch.Tensor:
    """The size of each row's past, (B,): its mean plus `least`, in the unit of the series (1 in DeepAR's scale).

    Args:
        values: (T, B), NaN for missing ones.
        past: (B,) int64, the steps of each row's past.
        level: (B,), what was subtracted from the values.
        least: what is added, above 0.
    """
    there = (torch.arange(len(values), device=values.device).unsqueeze(1) < past) & ~values.isnan()
    mean = torch.where(there, values, 0.0).sum(0) / there.sum(0).clamp_min(1)
    return (mean + level).clamp_min(0.0) + least


def fill_forward(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Replaces missing values by the last value before them, or by 0 before the first.

    Args:
        values: (T, B), NaN for missing ones.

    Returns:
        The values without NaN; and (T, B) bool, which were not missing.
    """
    there = ~values.isnan()
    steps = torch.arange(len(values), device=values.device).unsqueeze(1)
    last = torch.where(there, steps, -1).cummax(0).values
    found = torch.where(there, values, 0.0).gather(0, last.clamp_min(0))
    return torch.where(last >= 0, found, 0.0), there
