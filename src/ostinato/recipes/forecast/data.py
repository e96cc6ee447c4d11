"""What a forecaster reads: series one by one, from where forecasts begin, and what is known about them beside the weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ostinato.data.batches.batches import pad
from ostinato.data.series.grids import Grid
from ostinato.data.series.layout import Layout
from ostinato.data.series.series import SeriesTable
from ostinato.data.series.times import Times
from ostinato.errors import DataError
from ostinato.models.forecasting.baseline import BaselineName
from ostinato.models.forecasting.windows import SeriesBatch
from ostinato.recipes.forecast.calendar import calendar, find_cycles

LEAST_OF_HISTORY = 0.1  # a window is at least so wide, as a share of the mean step of its history
OWN_VALUES = 10  # values from which on a window has a spread of its own


@dataclass(frozen=True, eq=False)
class Track:
    """One series of numbers.

    Attributes:
        id: what it is called.
        times: (T,) datetime64 or int64.
        values: (T,) float64, NaN where missing.
        known: (T, K) float64, covariates known ahead of time.
        observed: (T, P) float64, covariates known up to now.
        grid: which times it has; None where they follow no rule.
    """

    id: str
    times: np.ndarray
    values: np.ndarray
    known: np.ndarray
    observed: np.ndarray
    grid: Grid | None = None

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def last(self) -> np.ndarray:
        """(T,) int64: at each step where the last value up to it is; -1 before the first."""
        return np.maximum.accumulate(np.where(np.isnan(self.values), -1, np.arange(len(self))))

    @cached_property
    def filled(self) -> np.ndarray:
        """(T,): missing values replaced by the last before them; NaN before the first."""
        return np.where(self.last >= 0, self.values[self.last.clip(0)], np.nan)

    @cached_property
    def seen(self) -> np.ndarray:
        """(T + 1,) int64: how many values there are before each step."""
        return np.concatenate([[0], np.cumsum(~np.isnan(self.values))])

    @cached_property
    def moved(self) -> np.ndarray:
        """(T + 1,): the mean absolute change from value to value before each step; 0 where there is none."""
        changes = np.nan_to_num(np.abs(np.diff(self.filled, prepend=np.nan)), nan=0.0)
        return np.concatenate([[0.0], np.cumsum(changes)]) / (self.seen - 1).clip(1)


@dataclass(frozen=True, eq=False)
class ForecastPart:
    """Forecasts to make, N of them: each reads what its series has before its origin.

    Attributes:
        name: of the data.
        tracks: the series.
        step: how far apart two steps are, as `SeriesTable.step`.
        series: (N,) int64, which track.
        origin: (N,) int64, the first step to forecast.
        horizon: steps behind the origin that are there to compare with; 0 where the future is not known.
        context: steps that are read at most.
        season: in steps.
        fitted: for each track, the steps that training has; all of them in data of which training has none.
        columns: names of the covariates, known and observed.
        layout: how the table was read.
        written: how it writes its times.
        notes: what a user should know about it, a line each.
    """

    name: str
    tracks: tuple[Track, ...]
    step: str
    series: np.ndarray
    origin: np.ndarray
    horizon: int
    context: int
    season: int
    fitted: tuple[int, ...]
    columns: tuple[tuple[str, ...], tuple[str, ...]]
    layout: Layout | None = None
    written: Times | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.origin)

    def by_track(self) -> Iterator[tuple[Track, np.ndarray]]:
        """Each series that is forecast, and which forecasts are of it: rows in their order."""
        order = np.argsort(self.series, kind="stable")
        found, begins = np.unique(self.series[order], return_index=True)
        for series, rows in zip(found, np.split(order, begins[1:]), strict=True):
            yield self.tracks[series], rows

    def future(self) -> np.ndarray:
        """(N, horizon): what came, NaN where missing."""
        found = np.full((len(self), self.horizon), np.nan)
        for track, rows in self.by_track():
            found[rows] = track.values[self.origin[rows][:, None] + np.arange(self.horizon)]
        return found


@dataclass(frozen=True)
class ForecastKnown:
    """What a forecaster knows beside its weights.

    Attributes:
        horizon: steps that training forecasts.
        context: steps that are read.
        season: in steps.
        step: how far apart two steps are.
        ids: of the series of training.
        cycles: of the calendar, that are inputs.
        known: name, mean and standard deviation of each covariate known ahead of time.
        observed: likewise of those known up to now.
        layout: how the table of training was read, as others are too.
        baseline: what the model's next value is measured from, see `ostinato.models.forecasting.baseline`.
        start: the numbers that its output layer began with, none for random ones.
        widths: how far each series of training spreads in as many steps as a window reads: the scale after few values.
    """

    horizon: int
    context: int
    season: int
    step: str
    ids: tuple[str, ...]
    cycles: tuple[str, ...]
    known: tuple[tuple[str, float, float], ...]
    observed: tuple[tuple[str, float, float], ...]
    layout: Layout | None = None
    baseline: BaselineName = "last_value"
    start: tuple[float, ...] = ()
    widths: tuple[float, ...] = ()

    @classmethod
    def of(cls, train: ForecastPart, *, with_calendar: bool) -> ForecastKnown:
        """From what training has of each series."""
        pieces = list(zip(train.tracks, train.fitted, strict=True))
        times, layout = [track.times[:end] for track, end in pieces], train.layout
        cycles = find_cycles(times, None if layout is None else layout.grid) if with_calendar else ()
        known, observed = (
            tuple(
                (name, *_mean_and_deviation(np.concatenate([getattr(track, part)[:end, at] for track, end in pieces])))
                for at, name in enumerate(names)
            )
            for part, names in zip(("known", "observed"), train.columns, strict=True)
        )
        ids = tuple(track.id for track in train.tracks)
        return cls(train.horizon, train.context, train.season, train.step, ids, cycles, known, observed, layout=layout)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**dataclasses.asdict(self), "layout": None if self.layout is None else self.layout.to_dict()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ForecastKnown:
        """The inverse."""
        rows = {
            name: tuple((str(n), float(m), float(d)) for n, m, d in content[name]) for name in ("known", "observed")
        }
        names = {name: tuple(content[name]) for name in ("ids", "cycles")}
        layout = None if content["layout"] is None else Layout.from_dict(content["layout"])
        numbers = {name: tuple(map(float, content.get(name, ()))) for name in ("start", "widths")}
        return cls(**{**content, **rows, **names, **numbers, "layout": layout})

    @property
    def known_size(self) -> int:
        """Inputs that are known ahead of time: two for each cycle of the calendar, and the covariates."""
        return 2 * len(self.cycles) + len(self.known)

    def inputs(self, times: np.ndarray, known: np.ndarray) -> np.ndarray:
        """(T, known_size) float32: what is known ahead of time at each step."""
        return np.concatenate([calendar(times, self.cycles), _scaled(known, self.known)], 1).astype(np.float32)

    def number(self, id: str) -> int:
        """Of a series, as the model counts them from 1; 0 for one that training never had, and where there is only one."""
        return self._numbers.get(id, 0)

    def width(self, id: str) -> float:
        """How far a series spreads of which nothing else is known: as it did in training, or as others do."""
        if not self.widths:
            return 0.0
        at = self._numbers.get(id)
        return float(np.median(self.widths)) if at is None else self.widths[at - 1]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {id: at for at, id in enumerate(self.ids, start=1)}


def _least_widths(seen: np.ndarray, moved: np.ndarray, usual: float) -> np.ndarray:
    """How wide windows are at least.

    One value has no spread, and nobody is certain after it; two that happen to be alike have next to none. So a few values are
    taken to spread as the series usually does, the less, the more there are. What has never changed stays without a spread.

    Args:
        seen: (N,), values before each origin.
        moved: (N,), their mean absolute change from one to the next.
        usual: spread of the series.
    """
    few = usual * (1.0 - (seen - 1) / OWN_VALUES).clip(0.0, 1.0)
    own = LEAST_OF_HISTORY * moved
    return np.where((moved > 0) | (seen == 1), np.maximum(few, own), own)


class SeriesWindows:
    """Windows of series as examples: up to `context` steps before each origin, and the horizon behind it.

    Values are relative to the last one before the origin: a forecaster takes no notice, and in float32 a change by 1 of a value of
    a billion is still a change.

    Args:
        part: N forecasts.
        known: what is known about the series.
    """

    def __init__(self, part: ForecastPart, known: ForecastKnown):
        self.part, self._context = part, known.context
        tracks = part.tracks
        self._known = [known.inputs(track.times, track.known) for track in tracks]
        self._observed = [_scaled(track.observed, known.observed).astype(np.float32) for track in tracks]
        self._numbers = np.array([known.number(track.id) for track in tracks], dtype=np.int64)
        past = np.minimum(part.origin, self._context)
        self.lengths = past + part.horizon
        self._least, self.anchors = np.zeros(len(part)), np.zeros(len(part))
        there = np.zeros(len(part), dtype=np.int64)
        for track, rows in part.by_track():
            origin = part.origin[rows]
            self._least[rows] = _least_widths(track.seen[origin], track.moved[origin], known.width(track.id))
            self.anchors[rows] = track.filled[origin - 1]
            there[rows] = track.seen[origin + part.horizon] - track.seen[origin]
        # Without any change so far there is no scale, and no loss.
        self.counts = np.where(self._least > 0, there, 0)

    def batch(self, rows: np.ndarray) -> SeriesBatch:
        """Values relative to their anchors, (T, B) float32, and what is beside them."""
        values, known, observed = [], [], []
        for row in rows:
            series, origin = self.part.series[row], self.part.origin[row]
            window = slice(max(0, origin - self._context), origin + self.part.horizon)
            values.append((self.part.tracks[series].values[window] - self.anchors[row]).astype(np.float32))
            known.append(self._known[series][window])
            observed.append(self._observed[series][window])
        (input, lengths), past = pad(values), np.minimum(self.part.origin[rows], self._context)
        return SeriesBatch(
            input,
            None,
            lengths,
            torch.from_numpy(rows),
            past=torch.from_numpy(past.astype(np.int64)),
            known=pad(known)[0],
            observed=pad(observed)[0],
            series=torch.from_numpy(self._numbers[self.part.series[rows]]),
            least_scale=torch.from_numpy(self._least[rows].astype(np.float32)),
        )


def tracks_of(table: SeriesTable) -> tuple[Track, ...]:
    """The series of a table, each column of values a series of its own.

    Raises:
        DataError: a series has no value at all, or a covariate that is known ahead is missing between values.
    """
    found = []
    for series in table.series:
        for at, column in enumerate(table.values):
            name = "/".join(word for word in (series.id, column if len(table.values) > 1 else "") if word)
            values = np.ascontiguousarray(series.values[:, at])
            if np.isnan(values).all():
                label = f"series {name!r}" if name else f"column {column!r}"
                raise DataError(f"{table.name}: {label} has no value; expected numbers, or leave it out")
            found.append(Track(name, series.times, values, series.known, series.observed, series.grid))
    return tuple(found)


def origins(
    tracks: Sequence[Track], spans: Sequence[tuple[int, int]], context: int, horizon: int, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where forecasts begin whose steps lie in a span of each series.

    Of a series that is shorter than a context and a horizon, forecasts begin where half of it is read. Those that have no value
    before them, or none to compare with, are left out.

    Args:
        tracks: the series.
        spans: of each, the first step that may be forecast, and the one behind the last.
        context: steps to read, where there are so many.
        horizon: steps to forecast.
        stride: from one origin to the next.

    Returns:
        Which track and which step, (N,) int64 each.
    """
    series, steps = [], []
    for at, (track, (first, end)) in enumerate(zip(tracks, spans, strict=True)):
        least = min(context, max(1, (end - horizon) // 2))
        found = np.arange(max(first, least), end - horizon + 1, stride)
        found = found[(track.seen[found] > 0) & (track.seen[found + horizon] > track.seen[found])]
        series.append(np.full(len(found), at, dtype=np.int64))
        steps.append(found.astype(np.int64))
    return np.concatenate(series), np.concatenate(steps)


def _scaled(columns: np.ndarray, scales: Sequence[tuple[str, float, float]]) -> np.ndarray:
    """(T, K): each column with mean 0 and deviation 1 in training."""
    means = np.array([mean for _, mean, _ in scales])
    return (columns - means) / np.array([deviation for *_, deviation in scales])


def _mean_and_deviation(column: np.ndarray) -> tuple[float, float]:
    there = column[~np.isnan(column)]
    return (float(there.mean()), float(there.std()) or 1.0) if len(there) else (0.0, 1.0)
