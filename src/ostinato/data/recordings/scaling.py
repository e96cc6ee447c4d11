"""From recordings to what a network reads: each channel at a scale of its own, and what is missing told beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.errors import ConfigError

_UNEVEN = 0.05  # of the usual time between steps, deviation from which times are told to the network
_READ, _MOST_STACKED = 64, 16
MOST = 5.0  # logarithm of a time between steps over the usual one


@dataclass(frozen=True)
class Scaling:
    """Learnt from training data, and kept with the model.

    Of a recording a network reads, at every step:

    | inputs | what |
    | --- | --- |
    | C | (value - mean) / deviation of each channel; where it is missing the last one that was there, else the mean |
    | C | how each changed since the step before, at a scale of its own |
    | G | 1 where the value of a channel with gaps in training is there, 0 where it is missing |
    | 1 | where times are uneven, the logarithm of the time since the step before over the usual one |

    Of a network whose cell reads more than its input, the extras of the cell stand behind it:

    | cell | inputs | extras |
    | --- | --- | --- |
    | with extras as wide as its input, such as GRU-D | C, as above | `mask`, C: 1 where one is there; `dt`, C: the time since |
    | with one number, such as CfC | as above, without the last | `dt`: the time since the step before; `t`: since the first |

    The time since a channel was there is that of Che et al. 2018, arXiv 1606.01865, section 2.2.
    Times are in units of the usual one between two steps, and 1 where steps are only counted.

    Attributes:
        channels: Names of the C channels.
        means: Of their values.
        deviations: Of their values, standard; 1 of a channel that never changes.
        changes: The same of their differences from step to step, after scaling.
        gaps: The places of the G channels that training has missing values of.
        step: The usual time between two steps; None where times are even, or not known.
        stack: How many steps are read at once, side by side (Sak et al. 2015, arXiv 1507.06947, section 2); those that a recording
            lacks at its end are zeros.
        extras: What the cell reads beside its input by name, each "1" or, as wide as it, "I".
        rate: Samples a second of training, to which others are resampled; None where nobody says.
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
        """From training data.

        Args:
            train: At least one recording.
            stack: Steps that are read at once; None for so many that half of the recordings have `_READ` of these or fewer.
            extras: What the network's cell reads beside its input; then each step is read by itself.

        Raises:
            ConfigError: Several steps are to be read at once by a cell with extras.
        """
        if extras:
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
        """How many numbers a network reads at a step of its own."""
        if self.extras:
            wide = [letter == "I" for _, letter in self.extras]
            width = len(self.channels) if all(wide) else 2 * len(self.channels) + len(self.gaps)
            return width + sum(width if each else 1 for each in wide)
        return self.stack * (2 * len(self.channels) + len(self.gaps) + (self.step is not None))

    def reads(self, steps: int) -> int:
        """How many steps a network has of so many."""
        return -(-steps // self.stack)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
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
        """The inverse."""
        lists = ("channels", "means", "deviations", "changes", "gaps")
        step, stack, rate = content["step"], content["stack"], content.get("rate")
        extras = tuple((name, letter) for name, letter in content.get("extras", ()))
        return cls(*(tuple(content[name]) for name in lists), step=step, stack=stack, rate=rate, extras=extras)

    def filled(self, values: np.ndarray) -> np.ndarray:
        """(T, C) float64: scaled, and what is missing filled in."""
        scaled = (values.astype(np.float64) - np.array(self.means)) / np.array(self.deviations)
        missing = np.isnan(scaled)
        if not missing.any():
            return scaled
        # The place of the last value that was there; those before the first have none.
        last = np.maximum.accumulate(np.where(missing, -1, np.arange(len(scaled))[:, None]), axis=0)
        found = np.take_along_axis(scaled, last.clip(0), axis=0)
        return np.where(last < 0, 0.0, found)

    def apply(self, recording: Recording) -> np.ndarray:
        """(reads(T), width) float32."""
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
        if all(letter == "I" for _, letter in self.extras):
            there = ~np.isnan(recording.values)
            missing = {"mask": there, "dt": _since_there(there, between)}
            return [told[0], *(missing[name] for name, _ in self.extras)]
        told = [np.concatenate(told, axis=1)]
        since = {"dt": between, "t": np.cumsum(between) - between[0]}
        return [*told, *(since[name][:, None] for name, _ in self.extras)]


def _since_there(there: np.ndarray, between: np.ndarray) -> np.ndarray:
    """(T, C): the time since each channel was there, before this step; 0 at the first step."""
    found = np.zeros(there.shape)
    for step in range(1, len(there)):
        found[step] = between[step] + np.where(there[step - 1], 0.0, found[step - 1])
    return found


def _usual(items: Sequence[Recording], even: bool = False) -> float | None:
    """The median time between two steps; None where times are even, unless these are wanted, or some recordings have none."""
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
