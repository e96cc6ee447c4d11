"""Forecasts for tables with too many windows to list."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ostinato.models.forecasting.windows import SeriesBatch
from ostinato.recipes.forecast.data import ForecastPart, Track
from ostinato.recipes.forecast.known import ForecastKnown
from ostinato.recipes.forecast.windows import SeriesWindows

_TIMES = 8  # times at which forecasts of many series begin


class Numbered:
    """Numbers that are computed when they are asked for, not stored; indexed like an array.

    Args:
        length: how many numbers there are.
        of: computes the numbers at some places (N,).
    """

    def __init__(self, length: int, of: Callable[[np.ndarray], np.ndarray]):
        self._length, self._of = length, of

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, places: Any) -> Any:
        found = self._of(np.atleast_1d(np.asarray(places)))
        return found if np.ndim(places) else found[0]


def every_origin(spans: Sequence[tuple[int, int]], context: int, horizon: int) -> tuple[Any, Any]:
    """All origins of all series, like `origins` with stride 1, but without a list of them.

    Origins without a value before them, or without one to compare with, are included; they have no loss.

    Args:
        spans: for each series the first step that may be forecast, and the step after the last.
        context: how many steps to read, if there are so many.
        horizon: steps to forecast.

    Returns:
        The series and the step of each origin, `Numbered` each.
    """
    firsts, ends = np.array([first for first, _ in spans]), np.array([end for _, end in spans])
    begins = np.maximum(firsts, np.minimum(context, ((ends - horizon) // 2).clip(1)))
    upto = np.cumsum((ends - horizon + 1 - begins).clip(0))
    before = np.concatenate([[0], upto[:-1]])

    def series(places: np.ndarray) -> np.ndarray:
        return np.searchsorted(upto, places, side="right")

    def steps(places: np.ndarray) -> np.ndarray:
        at = series(places)
        return begins[at] + places - before[at]

    return Numbered(int(upto[-1]), series), Numbered(int(upto[-1]), steps)


def spread(
    most: int, tracks: Sequence[Track], spans: Sequence[tuple[int, int]], context: int, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """One origin each of at most so many series, evenly spread over all series.

    The origins are at eight times, evenly spread over the span and counted from its end, so that series that end
    together are forecast from the same times. The result is that of `origins`.
    """
    some = np.unique(np.linspace(0, len(tracks) - 1, min(most, len(tracks))).round().astype(np.int64))
    series, steps = [], []
    for number, at in enumerate(some.tolist()):
        first, end = spans[at]
        begin, last = max(first, min(context, max(1, (end - horizon) // 2))), end - horizon
        if last < begin:
            continue
        origin = last - round((number % _TIMES) * (last - begin) / (_TIMES - 1))
        seen = tracks[at].seen
        if seen[origin] > 0 and seen[origin + horizon] > seen[origin]:
            series.append(at)
            steps.append(origin)
    return np.array(series, dtype=np.int64), np.array(steps, dtype=np.int64)


class DrawnWindows:
    """Windows like `SeriesWindows`, for a part whose origins are `Numbered`: a window is looked up when a batch has it.

    Args:
        part: the forecasts.
        known: what is known about the series.
    """

    def __init__(self, part: ForecastPart, known: ForecastKnown):
        self.part, self._known = part, known
        self._none = SeriesWindows(self._some(np.zeros(0, dtype=np.int64)), known)
        self._last: tuple[np.ndarray, SeriesWindows] | None = None

    def __len__(self) -> int:
        return len(self.part)

    def _some(self, rows: np.ndarray) -> ForecastPart:
        return dataclasses.replace(self.part, series=self.part.series[rows], origin=self.part.origin[rows])

    def _windows(self, rows: np.ndarray) -> SeriesWindows:
        if self._last is None or not np.array_equal(self._last[0], rows):
            self._last = rows, SeriesWindows(self._some(rows), self._known, self._none)
        return self._last[1]

    def listed(self, most: int) -> SeriesWindows:
        """At most so many windows, evenly spread."""
        rows = np.unique(np.linspace(0, len(self) - 1, min(most, len(self))).round().astype(np.int64))
        return SeriesWindows(self._some(rows), self._known, self._none)

    def counts_of(self, rows: np.ndarray) -> np.ndarray:
        """How many values to come have a scale, (B,)."""
        return self._windows(rows).counts

    def batch(self, rows: np.ndarray) -> SeriesBatch:
        """A batch as that of `SeriesWindows`."""
        found = self._windows(rows).batch(np.arange(len(rows)))
        return dataclasses.replace(found, rows=torch.from_numpy(rows))
