"""Scheduled sampling: how often a decoder in training reads the true token, and how often its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ostinato.errors import ConfigError

Decay: TypeAlias = Literal["linear", "exponential", "inverse sigmoid"]
DECAYS: tuple[Decay, ...] = ("linear", "exponential", "inverse sigmoid")


@dataclass(frozen=True)
class ScheduledSampling:
    """The share of true tokens, epsilon, at update i = 0, 1, ...:

    | decay | epsilon_i |
    | --- | --- |
    | linear | max(floor, 1 - i / k) |
    | exponential | max(floor, (1 - 1 / k)^i) |
    | inverse sigmoid | max(floor, k / (k + exp(i / k))) |

    so that k, a number of updates, says in all of them how slow the decay is. Tokens are chosen one by one; those that
    are not true are drawn from the model's distribution, or are the most likely one.

    Source: Bengio et al. 2015, arXiv 1506.03099, section 2.4, where linear has an offset and a slope, and exponential
    its base.

    Args:
        decay: one of the names above.
        k: above 0; for exponential above 1, for inverse sigmoid at least 1.
        floor: the least share, from 0 to 1.
        draw: True draws from the distribution, False takes the most likely token.

    Raises:
        ConfigError: a number is out of its range.
    """  # noqa: D415

    decay: Decay = "inverse sigmoid"
    k: float = 2000.0
    floor: float = 0.0
    draw: bool = True

    def __post_init__(self) -> None:
        if self.decay not in DECAYS:
            raise ConfigError(f"scheduled_sampling.decay: expected one of {', '.join(DECAYS)}, got {self.decay}")
        least = 0.0 if self.decay == "linear" else 1.0
        if not least <= self.k < math.inf or (self.k == least and self.decay != "inverse sigmoid"):
            raise ConfigError(f"scheduled_sampling.k: expected a number above {least:g} for {self.decay}, got {self.k}")
        if not 0.0 <= self.floor <= 1.0:
            raise ConfigError(f"scheduled_sampling.floor: expected a share from 0 to 1, got {self.floor}")

    def true_share(self, update: int) -> float:
        """The share epsilon at this update."""
        if self.decay == "linear":
            share = 1.0 - update / self.k
        elif self.decay == "exponential":
            share = (1.0 - 1.0 / self.k) ** update
        else:
            share = self.k / (self.k + math.exp(min(update / self.k, 700.0)))
        return max(self.floor, share)
