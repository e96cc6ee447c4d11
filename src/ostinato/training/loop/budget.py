"""How long to train: steps, epochs and seconds, whichever is used up first."""

from __future__ import annotations

from dataclasses import dataclass

from ostinato.errors import ConfigError

_PACE_IS_KNOWN = 0.1  # share of the time limit after which the pace is known
LIMITS = ("max_steps", "max_epochs", "max_time_s")


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
        limits = {name: getattr(self, name) for name in LIMITS}
        if all(limit is None for limit in limits.values()):
            raise ConfigError(f"expected at least one of {', '.join(limits)}, got none: training would never end")
        for name, limit in limits.items():
            if limit is not None and not limit > 0:
                raise ConfigError(f"{name}: expected a number above 0, got {limit}")

    def used(self, steps: float, epochs: float, elapsed_s: float) -> float:
        """The used share of the budget, from 0; at 1 or more it is used up."""
        return max(self._shares(steps, epochs, elapsed_s).values())

    def scheduled(self, steps: float, epochs: float, elapsed_s: float) -> float:
        """The used share of the limit that will end the training; learning rates follow it.

        If there is also a limit of steps or epochs, the clock counts only while it is ahead of that, and not before a tenth of its
        time is over: at first kernels are compiled, which says nothing about the pace. So two trainings that end by the same number
        of updates learn the same, whatever the machine.
        """
        shares = self._shares(steps, epochs, elapsed_s)
        by_time = shares.pop("max_time_s", 0.0)
        counted = max(shares.values(), default=by_time)
        return by_time if by_time > counted and by_time >= _PACE_IS_KNOWN else counted

    def used_up(self, steps: float, epochs: float, elapsed_s: float) -> dict[str, float]:
        """The limits that are reached, by name."""
        shares = self._shares(steps, epochs, elapsed_s)
        return {name: getattr(self, name) for name, share in shares.items() if share >= 1.0}

    def _shares(self, steps: float, epochs: float, elapsed_s: float) -> dict[str, float]:
        done, limits = (steps, epochs, elapsed_s), [getattr(self, name) for name in LIMITS]
        return {name: d / limit for name, d, limit in zip(LIMITS, done, limits, strict=True) if limit is not None}

    def __str__(self) -> str:
        """The budget in words, such as "20 epochs or 300 s, whichever is over first"."""
        units = {"steps": self.max_steps, "epochs": self.max_epochs, "s": self.max_time_s}
        said = [f"{limit:g} {unit}" for unit, limit in units.items() if limit is not None]
        return " or ".join(said) + (", whichever is over first" if len(said) > 1 else "")
