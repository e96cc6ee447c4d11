"""How long to train: steps, epochs and seconds, whichever is used up first."""

from __future__ import annotations

from dataclasses import dataclass

from ostinato.errors import ConfigError


@dataclass(frozen=True)
class Budget:
    """Any of three limits; training ends when the first is reached.

    Args:
        max_steps: updates of the weights.
        max_epochs: passes over the training data; fractions are allowed.
        max_time_s: wall time in seconds, evaluations included, summed over resumed sessions.

    Raises:
        ConfigError: no limit is given, or one is not above zero.
    """

    max_steps: int | None = None
    max_epochs: float | None = None
    max_time_s: float | None = None

    def __post_init__(self):
        limits = {"max_steps": self.max_steps, "max_epochs": self.max_epochs, "max_time_s": self.max_time_s}
        if all(limit is None for limit in limits.values()):
            raise ConfigError(f"expected at least one of {', '.join(limits)}, got none: training would never end")
        for name, limit in limits.items():
            if limit is not None and not limit > 0:
                raise ConfigError(f"{name}: expected a number above 0, got {limit}")

    def used(self, steps: float, epochs: float, elapsed_s: float) -> float:
        """The used share of the budget, from 0; at 1 or more it is used up."""
        shares = [0.0]
        if self.max_steps is not None:
            shares.append(steps / self.max_steps)
        if self.max_epochs is not None:
            shares.append(epochs / self.max_epochs)
        if self.max_time_s is not None:
            shares.append(elapsed_s / self.max_time_s)
        return max(shares)
