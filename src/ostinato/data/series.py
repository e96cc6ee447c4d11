"""Series of numbers over time: one or many in a table, on a regular grid or as they come, with missing values.

| times | become |
| --- | --- |
| multiples of a step (5 minutes, a day, a week) | that grid; what the table leaves out is missing (NaN) |
| the same day of each month, or each month's last | months, as a grid |
| a grid that would be missing more than a fifth: trading days | the rows as they are, each row a step |
| no time column, or whole numbers | the rows, or a grid of those numbers |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ostinato.data.frames import read_frame
from ostinato.data.times import parse_times
from ostinato.errors import ConfigError, DataError

if TYPE_CHECKING:
    import polars

TIME_NAMES = ("date", "time", "datetime", "timestamp", "ds", "month", "year", "week", "day")
ID_NAMES = ("id", "series", "unique_id", "item_id", "series_id")
_MOST_MISSING = 0.2
_FIRST_DAY, _LAST_DAY = 1000_01_01, 2999_12_31  # written without signs
_MISSING_WORDS = ("", "na", "n/a", "nan", "null", "none", "-", "?", ".")

Grid = Literal["auto", "fill", "rows"]


@dataclass(frozen=True)
class Series:
    """One series of T steps.

    Attributes:
        id: What it is called; "" where a table holds one series only.
        times: When each step is: (T,) datetime64 or int64, increasing.
        values: What is forecast: (T, C) float64, NaN where missing.
        known: Covariates that are known ahead of time: (T, K) float64.
        observed: Covariates that are known up to now only: (T, P) float64.
    """

    id: str
    times: np.ndarray
    values: np.ndarray
    known: np.ndarray
    observed: np.ndarray

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
        known: Names of the K covariates known ahead of time.
        observed: Names of the P other covariates.
        step: How far apart two steps are: "1 hour", "7 days", "1 month", "1", or "row" where rows are the steps.
    """

    name: str
    series: tuple[Series, ...]
    values: tuple[str, ...]
    known: tuple[str, ...]
    observed: tuple[str, ...]
    step: str


def read_series(
    path: str | Path,
    values: Sequence[str] | None = None,
    *,
    time: str | None = None,
    id: str | None = None,
    known: Sequence[str] = (),
    observed: Sequence[str] = (),
    grid: Grid = "auto",
) -> SeriesTable:
    """The series of a table.

    Args:
        path: As for `frames.read_frame`: CSV, TSV, JSON lines or Parquet, a row a step.
        values: Names of the columns to forecast; None for all columns of numbers that have no other part.
        time: Name of the time column; None for the one whose name says so (`TIME_NAMES`), or the only one with dates.
        id: Name of the column that tells series apart; None for the one whose name says so (`ID_NAMES`), if there is one.
        known: Names of covariates that are known ahead of time: prices, holidays, a weather forecast.
        observed: Names of covariates that are known up to now only.
        grid: "fill" makes missing steps of gaps, "rows" takes the rows as the steps, "auto" decides as the module says.

    Raises:
        DataError: A column is not there or not of numbers or times, a time is there twice; the message names the place.
        ConfigError: A column has two parts.
    """
    table = read_frame(path)
    if not table.height:
        raise DataError(f"{path}: there is no row in it; expected a row a step")
    columns = table.columns
    for name in (time, id, *(values or ()), *known, *observed):
        if name is not None and name not in columns:
            raise DataError(f"{path}: has no column {name!r}; its columns are {', '.join(columns)}")
    time = time or _guess_time(table)
    id = id or next((column for column in columns if column.lower() in ID_NAMES and column != time), None)
    named = [name for name in (time, id, *known, *observed) if name is not None]
    if values is None:
        values = [c for c in columns if c not in named and table[c].dtype.is_numeric()]
        if not values:
            raise DataError(
                f"{path}: has no column of numbers to forecast; its columns are {', '.join(columns)}: "
                "name one with --reading.values to be told which of its cells is none"
            )
    twice = next((name for name in (*values, *named) if [*values, *named].count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"column {twice!r} has two parts; let it be one of time, id, values, known and observed")
    numbers = np.stack([_numbers(path, table, name) for name in (*values, *known, *observed)], axis=1)
    times = _times(path, table, time)
    ids = None if id is None else [str(cell) for cell in table[id].to_list()]
    edges = [len(values), len(values) + len(known)]
    pieces = []
    for name, rows in _by_id(ids, table.height).items():
        rows = rows[np.argsort(times[rows], kind="stable")]
        _no_time_twice(path, name, times[rows])
        pieces.append((name, times[rows], numbers[rows]))
    step = _common_step(path, [moments for _, moments, _ in pieces], grid, has_time=time is not None)
    series = []
    for name, moments, content in pieces:
        moments, content = _on_grid(moments, content, step)
        series.append(Series(name, moments, *np.split(content, edges, axis=1)))
    return SeriesTable(
        Path(str(path)).name, tuple(series), tuple(values), tuple(known), tuple(observed), _in_words(step)
    )


@dataclass(frozen=True)
class _Step:
    """A grid: a number of units, counted after the times are moved by `shift` (to find the last days of months)."""

    size: int
    unit: str | None
    shift: np.timedelta64 | None = None


def _guess_time(table: polars.DataFrame) -> str | None:
    named = [column for column in table.columns if column.lower() in TIME_NAMES]
    temporal = [column for column in table.columns if table[column].dtype.is_temporal()]
    return (named or (temporal if len(temporal) == 1 else []) or [None])[0]


def _numbers(path: str | Path, table: polars.DataFrame, name: str) -> np.ndarray:
    import polars

    column = table[name]
    if not column.dtype.is_numeric() and column.dtype not in (polars.String, polars.Boolean, polars.Null):
        raise DataError(f"{path}: expected numbers in column {name!r}, got {column.dtype}")
    if column.dtype == polars.String:
        column = column.str.strip_chars()
        column = polars.select(
            polars.when(column.str.to_lowercase().is_in(_MISSING_WORDS)).then(None).otherwise(column)
        ).to_series()
    numbers = column.cast(polars.Float64, strict=False)
    wrong = (numbers.is_null() & column.is_not_null()) | numbers.is_infinite().fill_null(False)
    if wrong.any():
        row = wrong.arg_max() or 0
        raise DataError(
            f"{path}, row {row + 1} after the header: expected a number in column {name!r}, got {column[row]!r}; "
            "leave the cell empty where it is missing"
        )
    return numbers.fill_null(float("nan")).to_numpy()


def _times(path: str | Path, table: polars.DataFrame, name: str | None) -> np.ndarray:
    import polars

    if name is None:
        return np.arange(table.height)
    column = table[name]
    if isinstance(column.dtype, polars.Datetime) and column.dtype.time_zone:
        # In local time an hour of spring is missing and one of autumn is there twice.
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if column.null_count():
        row = (column.is_null().arg_max() or 0) + 1
        raise DataError(f"{path}, row {row} after the header: column {name!r} is empty; give every row a time")
    if column.dtype.is_integer():
        numbers = column.to_numpy().astype(np.int64)
        return _days(numbers) if (numbers >= _FIRST_DAY).all() and (numbers <= _LAST_DAY).all() else numbers
    if column.dtype in (polars.Date, polars.Datetime):
        return column.to_numpy().astype("datetime64[us]")
    if column.dtype != polars.String:
        raise DataError(f"{path}: expected times or whole numbers in column {name!r}, got {column.dtype}")
    try:
        return parse_times(column.to_list())
    except DataError as error:
        raise DataError(f"{path}, column {name!r}, {error}") from error


def _days(numbers: np.ndarray) -> np.ndarray:
    """Days if the numbers are written as 20240531 is; else the numbers."""
    try:
        return parse_times([str(number) for number in numbers.tolist()])
    except DataError:
        return numbers


def _by_id(ids: list[str] | None, count: int) -> dict[str, np.ndarray]:
    if ids is None:
        return {"": np.arange(count)}
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(ids):
        rows.setdefault(name, []).append(row)
    return {name: np.array(found) for name, found in rows.items()}


def _no_time_twice(path: str | Path, name: str, moments: np.ndarray) -> None:
    same = np.flatnonzero(moments[1:] == moments[:-1])
    if len(same):
        series = f" of series {name!r}" if name else ""
        raise DataError(
            f"{path}: time {moments[same[0]]}{series} is there twice; name the column that tells series apart with --reading.id, "
            "or keep one row for each time"
        )


def _common_step(path: str | Path, times: list[np.ndarray], grid: Grid, *, has_time: bool) -> _Step | None:
    """The grid of all series; None where rows are the steps."""
    if grid not in ("auto", "fill", "rows"):
        raise ConfigError(f"grid must be auto, fill or rows; got {grid!r}")
    gaps = np.concatenate([np.diff(moments).astype(np.int64) for moments in times])
    if grid == "rows" or not has_time or not len(gaps):
        return None
    dated = times[0].dtype.kind == "M"
    candidates = [_months(times)] if dated else []
    size = int(np.gcd.reduce(gaps))
    candidates.append(_Step(size, "us" if dated else None))
    step = next(candidate for candidate in candidates if candidate is not None)
    rows = sum(map(len, times))
    filled = sum(int(_positions(moments, step)[-1]) + 1 for moments in times)
    if filled <= rows / (1 - _MOST_MISSING):
        return step
    if grid == "fill" and filled <= 100 * rows:
        return step
    if grid == "fill":
        raise DataError(
            f"{path}: a grid of {_in_words(step)} would have {filled:,} steps for {rows:,} rows; "
            "round the times, or take the rows as steps with --reading.grid rows"
        )
    return None


def _months(times: list[np.ndarray]) -> _Step | None:
    """Months (or quarters, years), if all times are the same time of the month, from its beginning or its end."""
    for shift in (np.timedelta64(0, "D"), np.timedelta64(1, "D")):
        moved = [moments + shift for moments in times]
        within = np.concatenate([moments - moments.astype("datetime64[M]") for moments in moved])
        if (within == within[0]).all():
            gaps = np.concatenate([np.diff(moments.astype("datetime64[M]").astype(np.int64)) for moments in moved])
            return _Step(int(np.gcd.reduce(gaps)), "M", shift)
    return None


def _positions(moments: np.ndarray, step: _Step) -> np.ndarray:
    counted = moments if step.shift is None else (moments + step.shift).astype("datetime64[M]")
    return (counted - counted[0]).astype(np.int64) // step.size


def _on_grid(moments: np.ndarray, content: np.ndarray, step: _Step | None) -> tuple[np.ndarray, np.ndarray]:
    if step is None:
        return moments, content
    positions = _positions(moments, step)
    count = int(positions[-1]) + 1
    if count == len(moments):
        return moments, content
    filled = np.full((count, content.shape[1]), np.nan)
    filled[positions] = content
    if step.shift is None:
        return moments[0] + np.arange(count) * step.size, filled
    first = moments[0] + step.shift
    months = first.astype("datetime64[M]") + np.arange(count) * step.size
    return months.astype("datetime64[us]") + (first - first.astype("datetime64[M]")) - step.shift, filled


def _in_words(step: _Step | None) -> str:
    if step is None:
        return "row"
    if step.unit is None:
        return str(step.size)
    if step.unit == "M":
        return _count(step.size, "month")
    for unit, size in (("day", 86_400_000_000), ("hour", 3_600_000_000), ("minute", 60_000_000), ("second", 1_000_000)):
        if step.size % size == 0:
            return _count(step.size // size, unit)
    return _count(step.size, "microsecond")


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'s' * (number != 1)}"
