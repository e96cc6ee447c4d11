"""What a forecaster's next value is measured from: a forecast that anybody can make, of which the network learns the error."""

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
    """The next value of a window, of values before it alone.

    | name | b_t is |
    | --- | --- |
    | last_value | x_{t-1} |
    | seasonal_naive | x_{t-m} |
    | season_mean | the mean of the past at the same place in the season; the mean of the past where m is 1 |
    | seasonal_change | x_{t-1} + x_{t-m} - x_{t-m-1}, a random walk that changes as it did a season ago |

    with m steps a season. Where the window does not reach back so far, the last value.

    Args:
        name: which.
        season: m, at least 1; at least 2 for a change.

    Raises:
        ConfigError: there is none, or the season is too short.
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
        """Steps back that it looks from a step to come."""
        return {"seasonal_naive": self.season, "seasonal_change": self.season + 1}.get(self.name, 1)

    def next(
        self, value: Callable[[int], torch.Tensor], begun: Callable[[int], torch.Tensor], mean: torch.Tensor | None
    ) -> torch.Tensor:
        """b_t.

        Args:
            value: gives what was so many steps before t, missing values filled.
            begun: tells whether the window had a value by then.
            mean: of the past, at the place of t in the season; only season_mean looks at it.
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
        """(m, B): the mean of each row's past at the places of the m steps behind it, of values in a window's scale.

        Where the past has no value at a place it is 0, which in that scale is the last value. None where nobody asks for it.

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
        """(T, B): b_t of every step, each from the true values before it; of the means, from the past alone.

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
    """(T, B, ...): each step has what was `lag` steps before it, the first ones `begin`."""
    first = values.new_full((min(lag, len(values)), *values.shape[1:]), begin)
    return torch.cat([first, values[: max(len(values) - lag, 0)]])
