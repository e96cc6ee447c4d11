"""Series of numbers over time: one or many in a table, on a grid or at any times, with missing values.

| times in the table | steps of the series |
| --- | --- |
| multiples of a step (5 minutes, a day, a week) | a grid of equal steps; a time without a row is missing (NaN) |
| the same times of each day or week (working days, opening hours) | these times; without a row (a holiday) missing |
| the same day of each month, the last, the first or last working day | months |
| times that follow no rule | the rows |
| no time column, or whole numbers | the rows, or a grid of those numbers |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ostinato.data.series.categories import expanded
from ostinato.data.series.columns import Columns, find_columns, read_ids, read_times
from ostinato.data.series.grids import Grid
from ostinato.data.series.laying import laid, no_time_twice, same_step
from ostinato.data.series.layout import Clock, Layout
from ostinato.data.series.likeness import as_in_training, same_clock, static_like
from ostinato.data.series.numbers import decimal_sign, read_numbers
from ostinato.data.series.statics import static_of, with_static
from ostinato.data.series.steps import Gaps, layout_of, remarks
from ostinato.data.series.times import Times
from ostinato.data.sources.cells import NO_HEADER
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.frames import read_frame
from ostinato.errors import ConfigError, DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True)
class Series:
    """One series of T steps.

    Attributes:
        id: The name of the series; "" if the table holds one series only.
        times: The time of each step: (T,) datetime64 or int64, increasing.
        values: The values to forecast: (T, C) float64, NaN where missing.
        known: Covariates that are known ahead of time: (T, K) float64.
        observed: Covariates that are known up to now only: (T, P) float64.
        grid: The rule for the times; None if they follow no rule.
        static: Numbers that stay the same at all steps: (F,) float64, NaN if not known.
    """

    id: str
    times: np.ndarray
    values: np.ndarray
    known: np.ndarray
    observed: np.ndarray
    grid: Grid | None = None
    static: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.times)

    @property
    def missing_share(self) -> float:
        """Share of the values that are missing."""
        return float(np.isnan(self.values).mean())


@dataclass(frozen=True)
class SeriesTable:
    """Series that have the same columns.

    Attributes:
        name: The name of the data.
        series: The series, in the order in which they begin in the table.
        values: Names of the C columns that are forecast.
        known: Names of the K covariates known ahead of time; a column of words has one for each word, "weather=rain".
        observed: Names of the P other covariates.
        step: The distance of two steps: "1 hour", "1 day, Monday to Friday", "1 month", "1", or "row" if rows are the
            steps.
        layout: How the table was read.
        written: The times of the table, which know how the table writes times.
        notes: What a user should know about the table, a line each.
        static: Names of the F columns that stay the same in each series.
        unread: A line for each file that was left out because it cannot be read, which says why.
    """

    name: str
    series: Sequence[Series]
    values: tuple[str, ...]
    known: tuple[str, ...]
    observed: tuple[str, ...]
    step: str
    layout: Layout | None = None
    written: Times | None = None
    notes: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def read_series(
    path: str | Path,
    values: Sequence[str] | None = None,
    *,
    time: str | None = None,
    id: str | None = None,
    known: Sequence[str] = (),
    observed: Sequence[str] = (),
    static: Sequence[str] | None = (),
    grid: Gaps = "auto",
    decimal: str | None = None,
    dialect: Dialect | None = None,
    like: Layout | None = None,
) -> SeriesTable:
    """Read the series of a table.

    Args:
        path: As for `frames.read_frame`: CSV, TSV, JSON lines or Parquet, a row a step.
        values: Names of the columns to forecast; None for all columns of numbers that have no other role.
        time: Name of the time column; None for the one whose name says so (`TIME_NAMES`), or the only one with dates.
        id: Name of the column that tells series apart; None for the one whose name says so (`ID_NAMES`), if there is one.
        known: Names of covariates that are known ahead of time: prices, holidays, a weather forecast.
        observed: Names of covariates that are known up to now only.
        static: Names of columns that stay the same in each series; None to find them, if there are several series.
        grid: "fill" turns all gaps into missing steps, "rows" takes the rows as steps, "auto" decides by the table at
            the top of this module.
        decimal: The decimal sign, "." or ","; None to find it in the cells.
        dialect: How CSV or TSV is written; None for the usual form.
        like: How the training table was read; this table is then read in the same way, even if it lacks rows or
            columns.

    Raises:
        DataError: A column does not exist or does not hold numbers or times, a time occurs twice, or is not on the grid
            of `like`; the message names the place.
        ConfigError: A column is named for two roles.
    """
    if grid not in ("auto", "fill", "rows"):
        raise ConfigError(f"grid must be auto, fill or rows; got {grid!r}")
    if decimal not in (None, ".", ","):
        raise ConfigError(f"decimal must be . or ,; got {decimal!r}")
    table, separator = read_frame(path, dialect)
    if not table.height:
        raise DataError(f"{path}: there is no row in it; expected a row a step")
    notes: list[str] = []
    hint = f". {NO_HEADER}" if separator is not None and (dialect is None or dialect.header) else ""
    if like is not None:
        values, time, id = as_in_training(path, table, like, time, id, notes)
    if like is not None or static:
        table, static = static_like(path, table, like, static or (), notes)
    columns = find_columns(path, table, values, (*known, *(static or ())), observed, time, id, hint)
    columns = with_static(path, table, dataclasses.replace(columns, known=tuple(known)), static, values, notes)
    if values is None and len(columns.values) > 1:
        notes.append(
            f"{path}: forecasts all of its numbers, {', '.join(columns.values)}; --reading.values '[{columns.values[0]}]' takes "
            "some"
        )
    if columns.time is not None:
        table = without_empty_rows(table)
    if not table.height:
        raise DataError(f"{path}: there is no row in it; expected a row a step")
    words, usual, day_first = (None, None, None) if like is None else (like.words, like.decimal, like.day_first)
    ahead = expanded(path, table, columns.known, words, notes)
    beside = expanded(path, ahead.table, columns.observed, words, notes)
    same = expanded(path, beside.table, columns.static, words, notes)
    table, names = same.table, (*columns.values, *ahead.names, *beside.names, *same.names)
    how = "" if values is not None else ", or name the columns to forecast with --reading.values"
    sign = decimal or decimal_sign(path, table, names, separator=separator, usual=usual)
    numbers = read_numbers(path, table, names, decimal=sign or ".", hint=how)
    times = read_times(path, table, columns.time, day_first=day_first)
    ids = None if columns.id is None else read_ids(path, table[columns.id])
    rows = _by_id(ids, table.height)
    if like is None:
        offsets = () if times.offsets is None else tuple(np.unique(times.offsets).tolist())
        layout = dataclasses.replace(
            layout_of(path, columns, _clocks(columns, times, rows), grid, times.zone, offsets),
            words=ahead.words | beside.words | same.words,
            decimal=sign,
            day_first=times.day_first,
        )
    else:
        times, clock = same_clock(path, times, like, notes)
        layout = dataclasses.replace(like, columns=columns, clock=clock)
    moments = times.local if layout.clock == "local" else times.moments
    pieces: dict[str, np.ndarray] = {}
    for name, its in rows.items():
        its = its[np.argsort(moments[its], kind="stable")]
        no_time_twice(path, name, moments[its])
        pieces[name] = its
    if like is not None:
        same_step(path, {name: moments[its] for name, its in pieces.items()}, layout)
    edges = np.cumsum([len(columns.values), len(ahead.names), len(beside.names)])
    series: list[Series] = []
    for name, its in pieces.items():
        when, content, fitted = laid(path, name, moments[its], numbers[its], layout, notes)
        *parts, whole = np.split(content, edges, axis=1)
        series.append(Series(name, when, *parts, grid=fitted, static=static_of(path, name, same.names, whole)))
    if like is None:
        lengths = [len(its) for its in pieces.values()]
        notes += remarks(layout, sum(map(len, series)), sum(lengths), max(lengths))
    return SeriesTable(
        Path(str(path)).name,
        tuple(series),
        columns.values,
        ahead.names,
        beside.names,
        layout.step,
        layout,
        times,
        tuple(notes),
        same.names,
    )


def without_empty_rows(table: polars.DataFrame) -> polars.DataFrame:
    """Drop rows without any content, with which exports of spreadsheets end."""
    with needed():
        import polars

    cells = [
        (polars.col(name).fill_null("").str.strip_chars() == "")
        if kind == polars.String
        else polars.col(name).is_null()
        for name, kind in table.schema.items()
    ]
    return table.filter(~polars.all_horizontal(cells))


def _by_id(ids: list[str] | None, count: int) -> dict[str, np.ndarray]:
    if ids is None:
        return {"": np.arange(count)}
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(ids):
        rows.setdefault(name, []).append(row)
    return {name: np.array(found) for name, found in rows.items()}


def _clocks(columns: Columns, times: Times, rows: Mapping[str, np.ndarray]) -> dict[Clock, dict[str, np.ndarray]]:
    """Return the sorted times of each series, by each clock (UTC, local time) that the grid may be in."""
    if columns.time is None:
        return {}
    clocks: tuple[Clock, ...] = ("",) if times.offsets is None else ("local", "utc")
    found: dict[Clock, dict[str, np.ndarray]] = {}
    for clock in clocks:
        axis = times.local if clock == "local" else times.moments
        found[clock] = {name: np.sort(axis[its]) for name, its in rows.items()}
    return found
