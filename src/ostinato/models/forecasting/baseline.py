"""Baselines of a forecaster: simple forecasts from which the next value is measured; their errors are learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch

from ostinato.errors import ConfigError

BaselineName: TypeAlias = Literal["last_value", "seasonal_naive", "season_mean", "seasonal_change"]
BASELINE_NAMES: tuple[BaselineName, ...] = get_args(BaselineName)  # the simplest first


@dataclass(frozen=True)
class Baseline:
    """The baseline b_t for the next value of a window, from the values before it.

    | name | b_t is |
    | --- | --- |
    | last_value | x_{t-1} |
    | seasonal_naive | x_{t-m} |
    | season_mean | the mean of the past at the same place in the season; the mean of the past where m is 1 |
    | seasonal_change | x_{t-1} + x_{t-m} - x_{t-m-1}, a random walk that changes as it did a season ago |

    with m steps a season. If the window does not reach back so far, b_t is the last value.

    Args:
        name: one of the names above.
        season: m, at least 1; at least 2 for seasonal_change.

    Raises:
        ConfigError: there is no such name, or the season is too short.
    """

    name: BaselineName = "last_value"
    season: int = 1

    def __post_init__(self):
        if self.name not in BASELINE_NAMES:
            raise ConfigError(f"baseline: expected one of {', '.join(BASELINE_NAMES)}, got {self.name}")
        least = 2 if self.name == "seasonal_change" else 1
        if self.season < least:
            raise ConfigError(f"season: expected at least {least} for {self.name}, got {self.season}")

    @property
    def reach(self) -> int:
        """How many steps it looks back from a step to come."""
        return {"seasonal_naive": self.season, "seasonal_change": self.season + 1}.get(self.name, 1)

    def next(
        self, value: Callable[[int], torch.Tensor], begun: Callable[[int], torch.Tensor], mean: torch.Tensor | None
    ) -> torch.Tensor:
        """The baseline b_t.

        Args:
            value: gives the value so many steps before t, with missing values filled.
            begun: tells whether the window had a value by that step.
            mean: the mean of the past at the place of t in the season; only season_mean uses it.
        """
        if self.name == "season_mean":
            assert mean is not None
            return mean
        last, m = value(1), self.season
        if self.name == "last_value":
            return last
        if self.name == "seasonal_naive":
            return torch.where(begun(m), value(m), last)
        return torch.where(begun(m + 1), last + value(m) - value(m + 1), last)

    def means(self, filled: torch.Tensor, is_there: torch.Tensor, past: torch.Tensor) -> torch.Tensor | None:
        """The means of each row's past at the places of the m steps after it, (m, B), in the window's scale.

        A place without a value in the past has 0, which is the last value in that scale. None if the baseline does not
        need means.

        Args:
            filled: (T, B).
            is_there: (T, B) bool.
            past: (B,) int64.
        """
        if self.name != "season_mean":
            return None
        steps = torch.arange(len(filled), device=filled.device).unsqueeze(1)
        counted = (is_there & (steps < past)).to(filled.dtype)
        place = (steps - past) % self.season
        sums, counts = (
            filled.new_zeros((self.season, len(past))).scatter_add(0, place, each)
            for each in (filled * counted, counted)
        )
        return sums / counts.clamp_min(1)

    def of_window(self, filled: torch.Tensor, is_there: torch.Tensor, past: torch.Tensor) -> torch.Tensor:
        """The baselines b_t of all steps, (T, B), each from the true values before it; means are of the past only.

        Args:
            filled: (T, B), in the window's scale.
            is_there: (T, B) bool.
            past: (B,) int64.
        """
        means = self.means(filled, is_there, past)
        if means is not None:
            means = means.gather(0, (torch.arange(len(filled), device=past.device).unsqueeze(1) - past) % self.season)
        begun = is_there.to(torch.uint8).cummax(0).values
        return self.next(lambda lag: shifted(filled, lag), lambda lag: shifted(begun, lag).bool(), means)


def shifted(values: torch.Tensor, lag: int, begin: float = 0.0) -> torch.Tensor:
    """Shifts values (T, B, ...): each step gets the value of `lag` steps before, the first ones `begin`."""
    first = values.new_full((min(lag, len(values)), *values.shape[1:]), begin)
    return torch.cat([first, values[: max(len(values) - lag, 0)]])
