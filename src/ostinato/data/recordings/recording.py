"""Recordings, which every reader in this folder returns: sequences of numbers with the same channels, and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ostinato.errors import DataError


@dataclass(frozen=True)
class Recording:
    """A sequence of numbers.

    Attributes:
        id: The name of the recording in the data.
        values: (T, C) float32 or float64, T at least 1; NaN where a value is missing.
        label: The label of the whole recording; None if the data have none.
        labels: T labels, one for each step, each None if the data have none for the step; None if steps have no labels
            at all.
        times: (T,) float64, increasing, in the unit of the data; None if the steps have no times.
        group: To whom or what the recording belongs, such as a person: recordings of one group stay in one part. None
            for no group.
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
        notes: What a user should know about the recordings, a line each.
        rate: Samples a second; for spectra, of the sound that they were made from. None if it is not known.
        unread: A line for each file that could not be read, which says why.
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
        """Return the recordings with these indices."""
        return replace(self, items=tuple(self.items[int(at)] for at in indices))


def check_channels(found: Recordings, channels: Sequence[str], path: object) -> Recordings:
    """Bring the channels of `found` into the order of `channels`; leave out those that are not in it.

    Raises:
        DataError: `found` lacks one of `channels`.
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
    """Make names for channels without names: x for one, x0, x1, ... for several."""
    return ("x",) if count == 1 else tuple(f"x{at}" for at in range(count))


def too_large(values: np.ndarray) -> np.ndarray:
    """Find where a value is infinite or beyond the range of float32; NaN counts as neither."""
    return np.abs(values) > np.finfo(np.float32).max
