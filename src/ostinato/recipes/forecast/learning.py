"""What is learnt from the numbers of training before the weights: series in memory at once, on disk one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ostinato.recipes.forecast.data import ForecastPart, MappedTracks, some_of

_LOOKED_AT = 50  # series on disk whose steps tell the usual distance of times without a rule


@dataclass(frozen=True)
class NumbersOfTraining:
    """What the numbers of training tell.

    Attributes:
        times: times of series, at least the first and the last of each; all times if no grid tells their distance.
        known: mean and deviation of each covariate known ahead of time; 0 and 1 for one without numbers.
        observed: the same for covariates known up to now.
        static: the same for static covariates.
        nonnegative: whether each series has no value below 0.
        whole: whether all values are whole.
    """

    times: Sequence[np.ndarray]
    known: Sequence[tuple[float, float]]
    observed: Sequence[tuple[float, float]]
    static: Sequence[tuple[float, float]]
    nonnegative: tuple[bool, ...]
    whole: bool


def learn_numbers(train: ForecastPart) -> NumbersOfTraining:
    """Learns from the training steps of each series."""
    if isinstance(train.tracks, MappedTracks):
        return _one_by_one(train, train.tracks)
    pieces = list(zip(train.tracks, train.fitted, strict=True))
    known, observed = (
        [scale_of([getattr(track, part)[:end, at] for track, end in pieces]) for at in range(len(names))]
        for part, names in zip(("known", "observed"), train.columns, strict=True)
    )
    static = [scale_of([track.static[at : at + 1] for track, _ in pieces]) for at in range(len(train.static))]
    values = [_there(track.values[:end]) for track, end in pieces]
    return NumbersOfTraining(
        [track.times[:end] for track, end in pieces],
        known,
        observed,
        static,
        tuple(bool((each >= 0).all()) for each in values),
        all(bool((each == each.round()).all()) for each in values),
    )


def _one_by_one(train: ForecastPart, tracks: MappedTracks) -> NumbersOfTraining:
    sums = [Moments(len(names)) for names in train.columns]
    nonnegative: list[bool] = []
    whole, times = True, list[np.ndarray]()
    has_step = train.layout is not None and train.layout.grid is not None and train.layout.grid.step_seconds is not None
    for at, (track, end) in enumerate(zip(tracks, train.fitted, strict=True)):
        values = _there(track.values[:end])
        nonnegative.append(bool((values >= 0).all()))
        whole = whole and bool((values == values.round()).all())
        for name, found in zip(("known", "observed"), sums, strict=True):
            if found.size:
                found.add(some_of(track, name, slice(0, end)))
        if end and (has_step or at < _LOOKED_AT):
            ends = (slice(0, 1), slice(end - 1, end)) if has_step else (slice(0, end),)
            times.append(np.concatenate([some_of(track, "times", each) for each in ends]))
    static = (
        np.stack([tracks.mapped.static(at) for at in range(len(tracks.mapped))]) if train.static else np.zeros((0, 0))
    )
    return NumbersOfTraining(
        times,
        sums[0].scales(),
        sums[1].scales(),
        [scale_of([static[:, at]]) for at in range(len(train.static))],
        tuple(nonnegative),
        whole,
    )


class Moments:
    """Means and deviations of columns that come piece by piece, in float64 (Chan, Golub & LeVeque 1979).

    Args:
        size: the number of columns.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._count, self._mean, self._squares = np.zeros(size), np.zeros(size), np.zeros(size)

    def add(self, piece: np.ndarray) -> None:
        """Adds more rows (T, size), NaN for missing values."""
        there = ~np.isnan(piece)
        count = there.sum(0)
        mean = np.where(there, piece, 0.0).sum(0) / count.clip(1)
        squares = np.square(np.where(there, piece - mean, 0.0)).sum(0)
        both = (self._count + count).clip(1)
        apart = mean - self._mean
        self._squares += squares + np.square(apart) * self._count * count / both
        self._mean += apart * count / both
        self._count += count

    def scales(self) -> list[tuple[float, float]]:
        """Mean and deviation of each column; 0 and 1 for one without numbers, a deviation of 1 in place of 0."""
        deviations = np.sqrt(self._squares / self._count.clip(1))
        rows = zip(self._count.tolist(), self._mean.tolist(), deviations.tolist(), strict=True)
        return [(mean, deviation or 1.0) if count else (0.0, 1.0) for count, mean, deviation in rows]


def scale_of(columns: Sequence[np.ndarray]) -> tuple[float, float]:
    """Mean and deviation; 0 and 1 without numbers, a deviation of 1 in place of 0."""
    there = _there(np.concatenate(columns))
    return (float(there.mean()), float(there.std()) or 1.0) if len(there) else (0.0, 1.0)


def _there(values: np.ndarray) -> np.ndarray:
    return values[~np.isnan(values)]
