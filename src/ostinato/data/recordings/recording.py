"""What every reader of recordings gives: sequences of numbers with the same channels, and what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ostinato.errors import DataError


@dataclass(frozen=True)
class Recording:
    """A sequence of numbers.

    Attributes:
        id: As the data name it.
        values: (T, C) float32 or float64, T at least 1; NaN where a value is missing.
        label: Of the whole; None where the data say none.
        labels: Of each step, T of them, None where the data say none of a step; None where they have none of steps.
        times: (T,) float64, increasing, in the unit of the data; None where steps are only counted.
        group: Whose it is: recordings of one group stay in one part. None for nobody's.
    """

    id: str
    values: np.ndarray
    label: str | None = None
    labels: tuple[str | None, ...] | None = None
    times: np.ndarray | None = None
    group: str | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Recordings:
    """Recordings that have the same channels.

    Attributes:
        channels: Names of the C channels.
        items: The recordings, in the order of the data.
        notes: What a user should know about them, a line each.
        rate: Samples a second, of spectra those that they were made of; None where nobody says.
        unread: Files among them that cannot be read, a line each that says why.
    """

    channels: tuple[str, ...]
    items: tuple[Recording, ...]
    notes: tuple[str, ...] = ()
    rate: float | None = None
    unread: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, at: int) -> Recording:
        return self.items[at]

    def take(self, indices: np.ndarray | Sequence[int]) -> Recordings:
        """The recordings with these indices."""
        return replace(self, items=tuple(self.items[int(at)] for at in indices))


def check_channels(found: Recordings, channels: Sequence[str], path: object) -> Recordings:
    """`found`, its channels in the order of `channels`.

    Raises:
        DataError: It has other channels.
    """
    if found.channels == tuple(channels):
        return found
    if missing := [name for name in channels if name not in found.channels]:
        raise DataError(
            f"{path}: expected the channels {', '.join(channels)}, like those of training, and lacks {', '.join(missing)}; "
            f"it has {', '.join(found.channels)}"
        )
    order = [found.channels.index(name) for name in channels]
    items = tuple(replace(each, values=each.values[:, order]) for each in found.items)
    return replace(found, channels=tuple(channels), items=items)


def channel_names(count: int) -> tuple[str, ...]:
    """Names for channels that have none: x for one, x0, x1, ... for several."""
    return ("x",) if count == 1 else tuple(f"x{at}" for at in range(count))


def too_large(values: np.ndarray) -> np.ndarray:
    """Where a value is infinite, or beyond what float32 holds; of NaN it is none."""
    return np.abs(values) > np.finfo(np.float32).max
