"""Series of numbers over time: one or many in a table, on a grid or as they come, with missing values.

| times | become |
| --- | --- |
| multiples of a step (5 minutes, a day, a week) | that grid; what the table leaves out is missing (NaN) |
| the same times of each day or week: working days, opening hours | these; what is left out of them is missing, as on a holiday |
| the same day of each month, the last, the first or last working day | months, as a grid |
| times that follow no rule | the rows as they are, each row a step |
| no time column, or whole numbers | the rows, or a grid of those numbers |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ostinato.data.series.categories import expanded
from ostinato.data.series.columns import Columns, find_columns, read_ids, read_times
from ostinato.data.series.grids import Every, Grid
from ostinato.data.series.laying import laid, no_time_twice, same_step, share_of
from ostinato.data.series.layout import Clock, Layout
from ostinato.data.series.numbers import decimal_sign, read_numbers
from ostinato.data.series.patterns import equal_steps, find_grids
from ostinato.data.series.statics import static_of, with_static
from ostinato.data.series.times import Times, zone_offsets
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.frames import read_frame
from ostinato.data.sources.tables import NO_HEADER
from ostinato.errors import ConfigError, DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars

_MOST_MISSING = 0.2  # share of the steps that is not worth a line
_NO_RULE = (
    "the times follow no rule: each row is a step, and a prediction needs rows for the steps to come; round the times if they are "
    "meant to be evenly spaced"
)

Gaps = Literal["auto", "fill", "rows"]


@dataclass(frozen=True)
class Series:
    """One series of T steps.

    Attributes:
        id: What it is called; "" where a table holds one series only.
        times: When each step is: (T,) datetime64 or int64, increasing.
        values: What is forecast: (T, C) float64, NaN where missing.
        known: Covariates that are known ahead of time: (T, K) float64.
        observed: Covariates that are known up to now only: (T, P) float64.
        grid: Which times it has; None where they follow no rule.
        static: What stays the same at all steps: (F,) float64, NaN where it is not known.
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
        name: Of the data.
        series: In the order in which they begin in the table.
        values: Names of the C columns that are forecast.
        known: Names of the K covariates known ahead of time; of a column of words one for each, "weather=rain".
        observed: Names of the P other covariates.
        step: How far apart two steps are: "1 hour", "1 day, Monday to Friday", "1 month", "1", or "row" where rows are the steps.
        layout: How it was read.
        written: How it writes its times.
        notes: What a user should know about it, a line each.
        static: Names of the F columns that stay the same in each series.
    """

    name: str
    series: tuple[Series, ...]
    values: tuple[str, ...]
    known: tuple[str, ...]
    observed: tuple[str, ...]
    step: str
    layout: Layout | None = None
    written: Times | None = None
    notes: tuple[str, ...] = ()
    static: tuple[str, ...] = ()


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
    """The series of a table.

    Args:
        path: As for `frames.read_frame`: CSV, TSV, JSON lines or Parquet, a row a step.
        values: Names of the columns to forecast; None for all columns of numbers that have no other part.
        time: Name of the time column; None for the one whose name says so (`TIME_NAMES`), or the only one with dates.
        id: Name of the column that tells series apart; None for the one whose name says so (`ID_NAMES`), if there is one.
        known: Names of covariates that are known ahead of time: prices, holidays, a weather forecast.
        observed: Names of covariates that are known up to now only.
        static: Names of columns that stay the same in each series; None for those that do, where there are several series.
        grid: "fill" makes missing steps of all gaps, "rows" takes the rows as the steps, "auto" decides as the module says.
        decimal: What comes before the decimals, "." or ","; None for what the cells tell.
        dialect: How CSV or TSV is written; None for the usual.
        like: How the table that training had was read; this one is read in the same way, whatever it leaves out.

    Raises:
        DataError: A column is not there or not of numbers or times, a time is there twice or none of those of `like`; the
            message names the place.
        ConfigError: A column has two parts.
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
        values, time, id = _as_in_training(path, table, like, time, id, notes)
    if like is not None or static:
        table, static = _static_like(path, table, like, static or (), notes)
    columns = find_columns(path, table, values, (*known, *(static or ())), observed, time, id, hint)
    columns = with_static(path, table, dataclasses.replace(columns, known=tuple(known)), static, values, notes)
    if values is None and len(columns.values) > 1:
        notes.append(
            f"{path}: forecasts all of its numbers, {', '.join(columns.values)}; --reading.values '[{columns.values[0]}]' takes "
            "some"
        )
    if columns.time is not None:
        table = _without_empty_rows(table)
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
        layout = dataclasses.replace(
            _layout(path, columns, times, rows, grid),
            words=ahead.words | beside.words | same.words,
            decimal=sign,
            day_first=times.day_first,
        )
    else:
        times, clock = _same_clock(path, times, like, notes)
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
        notes += _remarks(layout, [each.times for each in series], [moments[its] for its in pieces.values()])
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


def _as_in_training(
    path: str | Path, table: polars.DataFrame, like: Layout, time: str | None, id: str | None, notes: list[str]
) -> tuple[Sequence[str], str | None, str | None]:
    """The columns that training had, where the table has them; of one column of numbers, that one whatever its name."""
    was, columns = like.columns, table.columns
    time = time or (was.time if was.time in columns else None)
    id = id or (was.id if was.id in columns else None)
    missing = [name for name in was.values if name not in columns]
    if not missing:
        return was.values, time, id
    others = [name for name in columns if name not in (was.time, was.id, *was.known, *was.observed)]
    found: list[str] = []
    if others:
        found += find_columns(path, table.select(others), None, (), (), None, None).values
    if len(was.values) == len(found) == 1:
        notes.append(
            f"{path}: has no column {missing[0]!r}, which training forecast; took {found[0]!r}, its only one of numbers"
        )
        return found, time, id
    raise DataError(
        f"{path}: has no column {missing[0]!r}, which training forecast; its columns are {', '.join(columns)}: call it as "
        "in training"
    )


def _static_like(
    path: str | Path, table: polars.DataFrame, like: Layout | None, static: Sequence[str], notes: list[str]
) -> tuple[polars.DataFrame, Sequence[str]]:
    """The table with the static columns that training had, empty where it has none."""
    if like is None:
        return table, static
    with needed():
        import polars

    static = like.columns.static
    if missing := [name for name in static if name not in table.columns]:
        notes.append(f"{path}: has no {', '.join(missing)}, which training had for each series: not known")
        table = table.with_columns(polars.lit(None, dtype=polars.String).alias(name) for name in missing)
    return table, static


def _without_empty_rows(table: polars.DataFrame) -> polars.DataFrame:
    """Spreadsheets end in rows without anything."""
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


def _same_clock(path: str | Path, times: Times, like: Layout, notes: list[str]) -> tuple[Times, Clock]:
    """The times on the clock of training."""
    if times.moments.dtype.kind != "M" or (times.offsets is None and like.clock == ""):
        return times, like.clock
    if times.offsets is None:
        where = "UTC" if like.clock == "utc" else "the zone of training's"
        notes.append(f"{path}: its times have no zone, but those of training have; took them as times of {where}")
        return times, like.clock
    if like.clock == "":
        notes.append(f"{path}: its times have a zone, but those of training have none; took what the clocks there show")
        return times, "local"
    if like.clock == "local" and like.zone is not None:
        there = zone_offsets(times.moments, like.zone)
        return dataclasses.replace(times, offsets=there, zone=like.zone), like.clock
    if like.clock == "local" and not set(times.offsets.tolist()) <= set(like.offsets):
        notes.append(
            f"{path}: its times are ahead of UTC by other hours than those of training; took what the clocks there show"
        )
    return times, like.clock


def _layout(path: str | Path, columns: Columns, times: Times, rows: Mapping[str, np.ndarray], gaps: Gaps) -> Layout:
    """How a table is read that is the first of its kind."""
    if columns.time is None:
        return Layout(columns, Every(1, 0, dated=False), filled=False)
    choices: list[tuple[float, Layout]] = []
    clocks: tuple[Clock, ...] = ("",) if times.offsets is None else ("local", "utc")
    for clock in clocks:
        moments = times.local if clock == "local" else times.moments
        series = {name: np.sort(moments[its]) for name, its in rows.items()}
        if clock == "local" and any((each[1:] == each[:-1]).any() for each in series.values()):
            continue  # an hour of autumn is there twice: only UTC tells them apart
        for name, each in series.items():
            no_time_twice(path, name, each)
        found, own = find_grids(series)
        if gaps == "fill" and any(len(each) > 1 for each in series.values()):
            found, own = equal_steps(list(series.values())), {}
            _not_huge(path, found, series)
        offsets = () if times.offsets is None else tuple(np.unique(times.offsets).tolist())
        filled = found is not None and gaps != "rows"
        layout = Layout(columns, found, own, filled, clock, zone=times.zone, offsets=offsets)
        share = 0.0 if found is None else min(share_of(layout, series), 1.0)
        # Hours go on through a change of the clocks; days, months and opening hours are those that the clocks show.
        plain = isinstance(found, Every) and (found.step_seconds or 0.0) < 86_400.0
        choices.append((share - (1e-6 if clock == "local" and plain else 0.0), layout))
    return max(choices, key=lambda choice: choice[0])[1]


def _not_huge(path: str | Path, grid: Grid, series: Mapping[str, np.ndarray]) -> None:
    rows = sum(map(len, series.values()))
    numbers = [grid.fitted(times).numbers(times[[0, -1]]) for times in series.values()]
    filled = sum(int(last - first) + 1 for first, last in numbers)
    if filled > 100 * rows:
        raise DataError(
            f"{path}: a grid of {grid} would have {filled:,} steps for {rows:,} rows; "
            "round the times, or take the rows as steps with --reading.grid rows"
        )


def _remarks(layout: Layout, steps: Sequence[np.ndarray], rows: Sequence[np.ndarray]) -> list[str]:
    """What is worth a line about the steps of a table: that they follow no rule, or that many are missing."""
    if layout.grid is None and any(len(times) > 1 for times in rows):
        return [_NO_RULE]
    count, there = sum(map(len, steps)), sum(map(len, rows))
    missing = 1.0 - there / max(count, 1)
    if layout.filled and missing > _MOST_MISSING:
        return [f"{missing:.0%} of the steps ({layout.step}) have no row: they are missing values"]
    return []
