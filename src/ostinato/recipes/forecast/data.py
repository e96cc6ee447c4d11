"""What a forecaster reads: the series, and where forecasts begin."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import numpy as np
from typing_extensions import override  # typing's own from Python 3.12 on

from ostinato.data.mapped.table import MappedSeries
from ostinato.data.series.grids import Grid
from ostinato.data.series.layout import Layout
from ostinato.data.series.series import SeriesTable
from ostinato.data.series.times import Times
from ostinato.errors import DataError

_HELD_STEPS = 2_000_000  # steps of the series on disk that were used last and are held in memory
MOST = 1e30  # of a value: computations are in float32, which holds up to 3e38, and must sum many of them


@dataclass(frozen=True, eq=False)
class Track:
    """One series of numbers.

    Attributes:
        id: the name of the series.
        times: (T,) datetime64 or int64.
        values: (T,) float64, NaN where missing.
        known: (T, K) float64, covariates known ahead of time.
        observed: (T, P) float64, covariates known up to now.
        grid: the rule of its times; None if they follow none.
        static: (F,) float64, covariates that are the same at all steps; NaN if unknown.
        group: the number of the table's series that it is a column of.
        column: the column's name, if the table has several to forecast; else empty.
    """

    id: str
    times: np.ndarray
    values: np.ndarray
    known: np.ndarray
    observed: np.ndarray
    grid: Grid | None = None
    static: np.ndarray = field(default_factory=lambda: np.zeros(0))
    group: int = 0
    column: str = ""

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def last(self) -> np.ndarray:
        """The step of the last value up to each step, (T,) int64; -1 before the first value."""
        return np.maximum.accumulate(np.where(np.isnan(self.values), -1, np.arange(len(self))))

    @cached_property
    def filled(self) -> np.ndarray:
        """The values with missing ones replaced by the last before them, (T,); NaN before the first."""
        return np.where(self.last >= 0, self.values[self.last.clip(0)], np.nan)

    @cached_property
    def lowest(self) -> np.ndarray:
        """The least value before each step, (T + 1,); infinite if there is none."""
        return np.minimum.accumulate(np.concatenate([[np.inf], np.where(np.isnan(self.values), np.inf, self.values)]))

    @cached_property
    def seen(self) -> np.ndarray:
        """How many values there are before each step, (T + 1,) int64."""
        return np.concatenate([[0], np.cumsum(~np.isnan(self.values))])

    @cached_property
    def moved(self) -> np.ndarray:
        """The mean absolute change between values before each step, (T + 1,); 0 if there is none."""
        changes = np.nan_to_num(np.abs(np.diff(self.filled, prepend=np.nan)), nan=0.0)
        return np.concatenate([[0.0], np.cumsum(changes)]) / (self.seen - 1).clip(1)


@dataclass(frozen=True, eq=False)
class ForecastPart:
    """N forecasts to make: each reads what its series has before its origin.

    Attributes:
        name: the name of the data.
        tracks: the series.
        step: the distance between two steps, see `SeriesTable.step`.
        series: (N,) int64, the track of each forecast.
        origin: (N,) int64, the first step to forecast.
        horizon: how many steps from the origin on can be compared with; 0 if the future is not known.
        context: how many steps are read at most.
        season: the season in steps.
        fitted: for each track, how many steps belong to training; all steps of data outside training.
        columns: the names of the covariates, known ahead and observed.
        static: the names of the covariates that are the same at all steps of a series.
        layout: how the table was read.
        written: how the table writes its times.
        notes: what a user should know about it, a line each.
        unread: files of it that cannot be read and are left out, each with the reason.
    """

    name: str
    tracks: Sequence[Track]
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
    static: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.origin)

    def by_track(self) -> Iterator[tuple[Track, np.ndarray]]:
        """Each series that is forecast, with the rows of its forecasts in order."""
        if not len(self):
            return
        order = np.argsort(self.series, kind="stable")
        found, begins = np.unique(self.series[order], return_index=True)
        for series, rows in zip(found, np.split(order, begins[1:]), strict=True):
            yield self.tracks[series], rows

    def apart(self) -> ForecastPart:
        """The forecasts that do not overlap, so that each value counts once."""
        kept: list[int] = []
        for _, rows in self.by_track():
            last = -self.horizon
            for row in sorted(rows.tolist(), key=lambda row: int(self.origin[row])):
                if self.origin[row] - last >= self.horizon:
                    kept.append(row)
                    last = int(self.origin[row])
        rows = np.array(sorted(kept), dtype=np.int64)
        return dataclasses.replace(self, series=self.series[rows], origin=self.origin[rows])

    def moments(self) -> np.ndarray:
        """The time of the first step of each forecast, (N,)."""
        found = np.empty(len(self), dtype=some_of(self.tracks[0], "times", slice(0, 1)).dtype)
        for track, rows in self.by_track():
            found[rows] = times_at(track, self.origin[rows])
        return found

    def future(self) -> np.ndarray:
        """The true values, (N, horizon), NaN for missing ones."""
        found = np.full((len(self), self.horizon), np.nan)
        for track, rows in self.by_track():
            found[rows] = track.values[self.origin[rows][:, None] + np.arange(self.horizon)]
        return found


class MappedTrack(Track):
    """A series of a table on disk: values, times and covariates are read at their first use.

    Args:
        series: the series of the table.
        at: the number of this series.
        column: which of the columns to forecast it has.
        columns: the names of the columns to forecast.
    """

    def __init__(self, series: MappedSeries, at: int, column: int, columns: tuple[str, ...]):
        its = columns[column] if len(columns) > 1 else ""
        told = {
            "id": "/".join(word for word in (series.id(at), its) if word),
            "grid": series.grid(at),
            "static": series.static(at),
            "group": at,
            "column": its,
            "_read": (series, at, column),
            "_steps": slice(0, int(series.lengths[at])),
        }
        self.__dict__.update(told)

    def __getattr__(self, name: str) -> Any:
        series, at, column = self.__dict__["_read"]
        steps = self.__dict__["_steps"]
        if name == "values":
            found = series.values(at, column, steps)
        elif name in ("times", "known", "observed"):
            found = getattr(series, name)(at, steps)
        else:
            raise AttributeError(name)
        self.__dict__[name] = found
        return found

    @override
    def __len__(self) -> int:
        return self.__dict__["_steps"].stop

    def some(self, name: str, steps: slice) -> np.ndarray:
        """Some steps of `times`, `known` or `observed`, (T, ...), without reading the others."""
        series, at, _ = self.__dict__["_read"]
        return getattr(series, name)(at, steps)


class MappedTracks(Sequence[Track]):
    """The series of a table on disk, one for each column of values; those that were used last stay in memory.

    Args:
        table: the table on disk.
    """

    def __init__(self, table: SeriesTable):
        assert isinstance(table.series, MappedSeries)
        self.mapped, self._columns = table.series, table.values
        self.lengths: list[int] = np.repeat(self.mapped.lengths, len(self._columns)).tolist()
        self._held: OrderedDict[int, MappedTrack] = OrderedDict()
        self._held_steps = 0

    @override
    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Track: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Track]: ...
    @override
    def __getitem__(self, index: int | slice) -> Track | Sequence[Track]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]  # raises IndexError past the end, which ends a loop
        found = self._held.pop(at, None)
        if found is None:
            series, column = divmod(at, len(self._columns))
            found = MappedTrack(self.mapped, series, column, self._columns)
            self._held_steps += len(found)
        self._held[at] = found
        while self._held_steps > _HELD_STEPS and len(self._held) > 1:
            self._held_steps -= len(self._held.popitem(last=False)[1])
        return found

    def ids(self) -> tuple[str, ...]:
        """The names of the series."""
        return tuple(
            MappedTrack(self.mapped, *divmod(at, len(self._columns)), self._columns).id for at in range(len(self))
        )


def some_of(track: Track, name: str, steps: slice) -> np.ndarray:
    """Some steps of `times`, `known` or `observed` of a series in memory or on disk, (T, ...)."""
    return track.some(name, steps) if isinstance(track, MappedTrack) else getattr(track, name)[steps]


def times_at(track: Track, steps: np.ndarray) -> np.ndarray:
    """The times of some steps, (N,)."""
    if len(steps) == 1:
        return some_of(track, "times", slice(int(steps[0]), int(steps[0]) + 1))
    return track.times[steps]


def ids_of(tracks: Sequence[Track]) -> tuple[str, ...]:
    """The names of the series."""
    return tracks.ids() if isinstance(tracks, MappedTracks) else tuple(track.id for track in tracks)


def lengths_of(tracks: Sequence[Track]) -> list[int]:
    """The number of steps of each series."""
    return tracks.lengths if isinstance(tracks, MappedTracks) else [len(track) for track in tracks]


def _mapped(table: SeriesTable) -> MappedTracks:
    tracks = MappedTracks(table)
    counts, largest = (each.reshape(-1) for each in tracks.mapped.counts())
    for wrong in (np.flatnonzero(counts == 0), np.flatnonzero(largest > MOST)):
        if len(wrong):
            track = tracks[int(wrong[0])]
            _check(table, track.id, track.column or table.values[0], track.values)
    stored = tracks.mapped.stored
    columns = Layout.from_dict(stored.about["layout"]).columns
    names = (*columns.values, *columns.known, *columns.observed)
    static = np.nanmax(np.abs(stored.index["statics"]), 0, initial=0.0)
    for name, size in (*zip(names, stored.index["sizes"], strict=True), *zip(table.static, static, strict=True)):
        if size > MOST:
            raise _too_large(table, name, float(size))
    return tracks


def _check(table: SeriesTable, name: str, column: str, values: np.ndarray) -> None:
    label = f"series {name!r}" if name else f"column {column!r}"
    if np.isnan(values).all():
        raise DataError(f"{table.name}: {label} has no value; expected numbers, or leave it out")
    if (largest := float(np.nanmax(np.abs(values)))) > MOST:
        raise DataError(
            f"{table.name}: {label} has a value of size {largest:.3g}; expected at most {MOST:g}: divide the column by a "
            "power of ten"
        )


def tracks_of(table: SeriesTable) -> Sequence[Track]:
    """The series of a table, one for each column of values.

    Raises:
        DataError: a series has no value at all, or a value or a covariate is above `MOST`.
    """
    if isinstance(table.series, MappedSeries):
        return _mapped(table)
    found = []
    _check_sizes(table)
    for number, series in enumerate(table.series):
        for at, column in enumerate(table.values):
            its = column if len(table.values) > 1 else ""
            name = "/".join(word for word in (series.id, its) if word)
            values = np.ascontiguousarray(series.values[:, at])
            _check(table, name, column, values)
            static = series.static
            found.append(
                Track(name, series.times, values, series.known, series.observed, series.grid, static, number, its)
            )
    return tuple(found)


def _check_sizes(table: SeriesTable) -> None:
    """Checks the covariates: the squares of their values must not overflow when summed."""
    for series in table.series:
        beside = ((table.known, series.known), (table.observed, series.observed), (table.static, series.static[None]))
        for names, columns in beside:
            if columns.size and (largest := np.nanmax(np.abs(columns), initial=0.0)) > MOST:
                name = names[int(np.nanmax(np.abs(columns), 0, initial=0.0).argmax())]
                raise _too_large(table, name, float(largest))


def _too_large(table: SeriesTable, column: str, size: float) -> DataError:
    return DataError(
        f"{table.name}: column {column!r} has a value of size {size:.3g}; expected at most {MOST:g}: divide the column by a power "
        "of ten, or leave it out"
    )


def origins(
    tracks: Sequence[Track], spans: Sequence[tuple[int, int]], context: int, horizon: int, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """The origins of forecasts whose steps are within a span of each series.

    In a series shorter than a context and a horizon, forecasts begin at its half. Origins without a value before them,
    or without one to compare with, are left out.

    Args:
        tracks: the series.
        spans: for each series the first step that may be forecast, and the step after the last.
        context: how many steps to read, if there are so many.
        horizon: steps to forecast.
        stride: steps from one origin to the next.

    Returns:
        The track and the step of each origin, (N,) int64 each.
    """
    series, steps = [], []
    for at, (track, (first, end)) in enumerate(zip(tracks, spans, strict=True)):
        least = min(context, max(1, (end - horizon) // 2))
        found = np.arange(max(first, least), end - horizon + 1, stride)
        found = found[(track.seen[found] > 0) & (track.seen[found + horizon] > track.seen[found])]
        series.append(np.full(len(found), at, dtype=np.int64))
        steps.append(found.astype(np.int64))
    return np.concatenate(series), np.concatenate(steps)
