"""From recordings to the input of a network: channels are scaled, and further inputs say which values are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.errors import ConfigError

_UNEVEN = 0.05  # share of the usual time between steps; if a time deviates more, the network reads the times
_READ, _MOST_STACKED = 64, 16
# What a cell may read beside a step, by its name there: the time since the step before and since the first one; or for each channel
# whether it has a value, and the time since its last one.
_OF_STEPS, _OF_CHANNELS = ("dt", "t"), ("mask", "dt")
MOST = 5.0  # logarithm of a time between steps over the usual one


@dataclass(frozen=True)
class Scaling:
    """The scaling of recordings, learnt from training data and stored with the model.

    At every step of a recording a network reads:

    | inputs | meaning |
    | --- | --- |
    | C | (value - mean) / deviation of each channel; for a missing value the last known one, else the mean |
    | C | the change of each channel since the step before, scaled by `changes` |
    | G | for each channel with missing values in training: 1 if the value is known, 0 if it is missing |
    | 1 | only if times are uneven: the logarithm of (time since the step before / usual time) |

    If the cell of the network reads more than its input, its extras come after the input:

    | cell | inputs | extras |
    | --- | --- | --- |
    | extras as wide as its input (GRU-D) | first C, as above | `mask`, C: 1 if a value is known; `dt`, C: time since |
    | extras of one number (CfC) | as above, without the last | `dt`: time since the step before; `t`: since the first |

    The time since a channel had a value is defined as in Che et al. 2018, arXiv 1606.01865, section 2.2.
    In the extras the unit of time is the usual time between two steps; without times, each step takes 1.

    Attributes:
        channels: Names of the C channels.
        means: The mean of each channel's values.
        deviations: The standard deviation of each channel's values; 1 for a channel that never changes.
        changes: The root mean square of each channel's differences from step to step, after scaling; 1 if it never
            changes.
        gaps: The indices of the G channels that have missing values in training.
        step: The usual time between two steps; None if times are even (and there are no extras), or not known.
        stack: How many steps are read at once, side by side (Sak et al. 2015, arXiv 1507.06947, section 2); steps that
            a recording lacks at its end are zeros.
        extras: What the cell reads beside its input, by name; each "1" (one number) or "I" (as wide as the input).
        rate: Samples a second of the training data, to which other data are resampled; None if it is not known.
    """

    channels: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    changes: tuple[float, ...]
    gaps: tuple[int, ...] = ()
    step: float | None = None
    stack: int = 1
    rate: float | None = None
    extras: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, train: Recordings, stack: int | None = 1, extras: Mapping[str, str] | None = None) -> Scaling:
        """Learn the scaling from training data.

        Args:
            train: At least one recording.
            stack: Steps that are read at once; None for a number with which at least half of the recordings have at
                most `_READ` inputs, but at most `_MOST_STACKED`.
            extras: What the network's cell reads beside its input; `stack` is then 1.

        Raises:
            ConfigError: The cell has extras, and `stack` is above 1; or recordings have none of these extras.
        """
        if extras:
            of_channels = set(extras.values()) == {"I"}
            known = _OF_CHANNELS if of_channels else _OF_STEPS
            if set(extras) - set(known) or (not of_channels and set(extras.values()) != {"1"}):
                told = ", ".join(name if letter == "1" else f"{name}:{letter}" for name, letter in extras.items())
                raise ConfigError(
                    f"model.cell: expected one that reads, beside a step of a recording, some of {', '.join(_OF_STEPS)}, each one "
                    f"number; or some of {', '.join(f'{name}:I' for name in _OF_CHANNELS)}, a number a channel; got one that "
                    f"reads {told}"
                )
            if stack not in (None, 1):
                raise ConfigError(
                    f"recording.stack: expected 1 with a cell that reads {', '.join(extras)}, got {stack}"
                )
            stack = 1
        every = np.concatenate([each.values for each in train.items]).astype(np.float64)
        there = ~np.isnan(every)
        counts = there.sum(0)
        means = np.where(there, every, 0.0).sum(0) / counts.clip(1)
        spread = np.sqrt((np.where(there, every - means, 0.0) ** 2).sum(0) / counts.clip(1))
        deviations = np.where(spread > 0, spread, 1.0)
        gaps = tuple(np.flatnonzero(~there.all(0)).tolist())
        bare = cls(
            train.channels,
            tuple(means.tolist()),
            tuple(deviations.tolist()),
            (1.0,) * len(means),
            gaps,
            _usual(train.items, even=bool(extras)),
            rate=train.rate,
            extras=tuple((extras or {}).items()),
        )
        squares, number = np.zeros(len(means)), 0
        for each in train.items:
            steps = np.diff(bare.filled(each.values), axis=0)
            squares, number = squares + (steps**2).sum(0), number + len(steps)
        changes = np.sqrt(squares / max(1, number))
        if stack is None:
            usual = float(np.median([len(each) for each in train.items]))
            stack = int(min(max(1, -(-usual // _READ)), _MOST_STACKED))
        return replace(bare, changes=tuple(np.where(changes > 0, changes, 1.0).tolist()), stack=stack)

    @property
    def width(self) -> int:
        """How many numbers a network reads at one of its steps."""
        if self.extras:
            wide = [letter == "I" for _, letter in self.extras]
            width = len(self.channels) if all(wide) else 2 * len(self.channels) + len(self.gaps)
            return width + sum(width if each else 1 for each in wide)
        return self.stack * (2 * len(self.channels) + len(self.gaps) + (self.step is not None))

    def reads(self, steps: int) -> int:
        """Return how many steps the network takes for `steps` steps of a recording."""
        return -(-steps // self.stack)

    def to_dict(self) -> dict[str, Any]:
        """Return the scaling as plain values, for JSON."""
        return {
            "channels": list(self.channels),
            "means": list(self.means),
            "deviations": list(self.deviations),
            "changes": list(self.changes),
            "gaps": list(self.gaps),
            "step": self.step,
            "stack": self.stack,
            "rate": self.rate,
            "extras": [list(each) for each in self.extras],
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Scaling:
        """Make a scaling from what `to_dict` returned."""
        lists = ("channels", "means", "deviations", "changes", "gaps")
        step, stack, rate = content["step"], content["stack"], content.get("rate")
        extras = tuple((name, letter) for name, letter in content.get("extras", ()))
        return cls(*(tuple(content[name]) for name in lists), step=step, stack=stack, rate=rate, extras=extras)

    def filled(self, values: np.ndarray) -> np.ndarray:
        """Scale values and fill in the missing ones; return (T, C) float64."""
        scaled = (values.astype(np.float64) - np.array(self.means)) / np.array(self.deviations)
        missing = np.isnan(scaled)
        if not missing.any():
            return scaled
        # The index of the last known value; -1 before the first.
        last = np.maximum.accumulate(np.where(missing, -1, np.arange(len(scaled))[:, None]), axis=0)
        found = np.take_along_axis(scaled, last.clip(0), axis=0)
        return np.where(last < 0, 0.0, found)

    def apply(self, recording: Recording) -> np.ndarray:
        """Turn a recording into the input of the network, (reads(T), width) float32."""
        filled = self.filled(recording.values)
        changes = np.diff(filled, axis=0, prepend=filled[:1]) / np.array(self.changes)
        told = [filled, changes]
        if self.gaps:
            told.append(~np.isnan(recording.values[:, list(self.gaps)]))
        if self.extras:
            told = self._with_extras(recording, told)
        elif self.step is not None:
            told.append(_times_told(recording, self.step)[:, None])
        every = np.concatenate(told, axis=1).astype(np.float32)
        short = -len(every) % self.stack
        return np.pad(every, ((0, short), (0, 0))).reshape(-1, self.width)

    def _with_extras(self, recording: Recording, told: list[np.ndarray]) -> list[np.ndarray]:
        between = np.ones(len(recording))
        if recording.times is not None and self.step is not None:
            between[1:] = np.diff(recording.times) / self.step
        if all(letter == "I" for _, letter in self.extras):  # see `_OF_CHANNELS`
            there = ~np.isnan(recording.values)
            missing = {"mask": there, "dt": _since_there(there, between)}
            return [told[0], *(missing[name] for name, _ in self.extras)]
        told = [np.concatenate(told, axis=1)]
        since = {"dt": between, "t": np.cumsum(between) - between[0]}
        return [*told, *(since[name][:, None] for name, _ in self.extras)]


def _since_there(there: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Return (T, C), the time since each channel last had a value, not counting this step; 0 at the first step."""
    found = np.zeros(there.shape)
    for step in range(1, len(there)):
        found[step] = between[step] + np.where(there[step - 1], 0.0, found[step - 1])
    return found


def _usual(items: Sequence[Recording], even: bool = False) -> float | None:
    """Return the median time between two steps; None if a recording has no times, or they are even and not `even`."""
    if any(each.times is None for each in items):
        return None
    steps = np.concatenate([np.diff(each.times) for each in items if each.times is not None])
    if not len(steps):
        return None
    usual = float(np.median(steps))
    alike = np.abs(steps - usual) <= _UNEVEN * usual
    return None if alike.all() and not even else usual


def _times_told(recording: Recording, usual: float) -> np.ndarray:
    if recording.times is None:
        return np.zeros(len(recording))
    steps = np.diff(recording.times, prepend=recording.times[:1] - usual)
    return np.log(np.maximum(steps, 1e-12) / usual).clip(-MOST, MOST)
