"""Which column of a table is which: the times, the ids of the series, and the values to forecast."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ostinato.data.series.numbers import is_numeric
from ostinato.data.series.times import Form, Times, parse_numbers, parse_times, zone_offsets
from ostinato.errors import ConfigError, DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars

TIME_NAMES = ("date", "time", "datetime", "timestamp", "ds", "month", "year", "week", "day")
ID_NAMES = ("id", "series", "unique_id", "item_id", "series_id")
INDEX_NAMES = re.compile(
    r"|index|level_0|unnamed: [\d.]+|__index_level_\d+__"
)  # names of columns of row numbers in data frames
COUNT_NAMES = ("#", "no", "no.", "nr", "nr.", "row", "row_id", "rowid", "row_number", "rownum")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
_LOOKED_AT = 20  # cells that tell whether a column holds times


@dataclass(frozen=True)
class Columns:
    """The columns of a table by their role.

    Attributes:
        values: The columns that are forecast.
        known: Covariates that are known ahead of time.
        observed: Other covariates.
        time: The column of times; None if the rows are the steps.
        id: The column that tells series apart; None if there is one series.
        static: Columns with one value for each series.
    """

    values: tuple[str, ...]
    known: tuple[str, ...] = ()
    observed: tuple[str, ...] = ()
    time: str | None = None
    id: str | None = None
    static: tuple[str, ...] = ()


def find_columns(
    path: str | Path,
    table: polars.DataFrame,
    values: Sequence[str] | None,
    known: Sequence[str],
    observed: Sequence[str],
    time: str | None,
    id: str | None,
    hint: str = "",
) -> Columns:
    """Find the role of each column: as the user named it, else by its name and content.

    Raises:
        DataError: A named column does not exist, or there is none to forecast.
        ConfigError: A column is named for two roles.
    """
    columns = table.columns
    if hint and _is_row(columns):
        raise DataError(f"{path}: its first line, {', '.join(columns)}, is a row and names no columns{hint}")
    for name in (time, id, *(values or ()), *known, *observed):
        if name is not None and name not in columns:
            raise DataError(f"{path}: has no column {name!r}; its columns are {', '.join(columns)}{hint}")
    lower = {column.lower(): column for column in reversed(columns)}
    numbered = {column for column in columns if _is_index(table[column])}
    id = id or next(
        (lower[name] for name in ID_NAMES if name in lower and lower[name] != time and lower[name] not in numbered),
        None,
    )
    time = time or _guess_time(path, table, {id, *(values or ()), *known, *observed})
    named = [name for name in (time, id, *known, *observed) if name is not None]
    if values is None:
        values = [
            column
            for column in columns
            if column not in named
            and (time is None or column.lower() not in TIME_NAMES)
            and column not in numbered
            and is_numeric(table[column])
        ]
        if not values:
            raise DataError(
                f"{path}: has no column of numbers to forecast; its columns are {', '.join(columns)}: "
                f"name one with --reading.values to be told which of its cells is none{hint}"
            )
    twice = next((name for name in (*values, *named) if [*values, *named].count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"column {twice!r} has two parts; let it be one of time, id, values, known and observed")
    return Columns(tuple(values), tuple(known), tuple(observed), time, id)


def _is_row(names: Sequence[str]) -> bool:
    """Tell whether the names of columns are really the cells of a row: one is a time, or all are numbers."""
    if all(_NUMBER.fullmatch(name) for name in names):
        return True
    cells = [name for name in names if not name.isdigit() or len(name) == 8]
    return any(_is_time(name) for name in cells)


def _is_time(cell: str) -> bool:
    try:
        return parse_times([cell]).form.kind == "day"
    except DataError as error:
        return "does not tell the day" in str(error)


def _guess_time(path: str | Path, table: polars.DataFrame, taken: set[str | None]) -> str | None:
    free = [column for column in table.columns if column not in taken]
    lower = {column.lower(): column for column in reversed(free)}
    named = next((lower[name] for name in TIME_NAMES if name in lower), None)
    if named is not None:
        return named
    holding = [column for column in free if table[column].dtype.is_temporal() or holds_times(table[column])]
    if len(holding) > 1:
        raise DataError(
            f"{path}: columns {', '.join(holding)} hold times; name the one of the steps with --reading.time"
        )
    return holding[0] if holding else None


def holds_times(column: polars.Series) -> bool:
    """Tell whether a column is one of texts that are dates."""
    with needed():
        import polars

    if column.dtype != polars.String:
        return False
    cells = column.drop_nulls().head(_LOOKED_AT).to_list()
    if not cells or all(cell.strip().isdigit() for cell in cells):
        return False
    try:
        parse_times(cells)
    except DataError as error:
        return "does not tell the day" in str(error)
    return True


def _is_index(column: polars.Series) -> bool:
    """Tell whether a column holds row numbers, which data frames and data bases write beside their columns."""
    with needed():
        import polars

    name = column.name.lower()
    is_index, is_count = INDEX_NAMES.fullmatch(name) is not None, name in (*COUNT_NAMES, *ID_NAMES)
    if not (is_index or is_count) or not (column.dtype == polars.String or column.dtype.is_integer()):
        return False
    numbers = column.cast(polars.Int64, strict=False)
    if numbers.has_nulls() or numbers.n_unique() != len(numbers):
        return False
    return is_index or numbers.sort().to_list() in ([*range(len(numbers))], [*range(1, len(numbers) + 1)])


def read_ids(path: str | Path, column: polars.Series) -> list[str]:
    """Return the name of each row's series, as it is written, without blanks around it.

    Raises:
        DataError: A row has no name.
    """
    cells = column.to_list()
    texts = [
        "" if cell is None else (cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)).strip()
        for cell in cells
    ]
    if "" in texts:
        raise DataError(
            f"{path}, row {texts.index('') + 1} after the header: column {column.name!r}, which tells the series apart, is empty; "
            "give every row the name of its series"
        )
    return texts


def read_times(path: str | Path, table: polars.DataFrame, name: str | None, *, day_first: bool | None = None) -> Times:
    """Read the time of each row; without a column of times, use the row numbers.

    Args:
        path: The path of the table, for messages.
        table: The table.
        name: The column of times; None to number the rows.
        day_first: As for `times.parse_times`.

    Raises:
        DataError: A cell is no time.
    """
    with needed():
        import polars

    if name is None:
        return Times(np.arange(table.height), Form(kind="number"))
    column = table[name]
    if column.dtype == polars.String:
        column = column.str.strip_chars()
        column = polars.select(polars.when(column != "").then(column)).to_series()
    if column.null_count():
        row = (column.is_null().arg_max() or 0) + 1
        raise DataError(f"{path}, row {row} after the header: column {name!r} is empty; give every row a time")
    if column.dtype.is_integer():
        return parse_numbers(column.to_numpy().astype(np.int64))
    if isinstance(column.dtype, polars.Datetime) and column.dtype.time_zone:
        zone = column.dtype.time_zone
        moments = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
        return Times(
            moments, Form(between="T", zone="Z" if zone == "UTC" else "+00:00"), zone_offsets(moments, zone), zone
        )
    if isinstance(column.dtype, polars.Date | polars.Datetime):
        moments = column.to_numpy().astype("datetime64[us]")
        has_hours = (moments != moments.astype("datetime64[D]")).any()
        return Times(moments, Form(between="T" if has_hours else ""))
    if column.dtype != polars.String:
        raise DataError(f"{path}: expected times or whole numbers in column {name!r}, got {column.dtype}")
    numbers = column.cast(polars.Int64, strict=False)
    if not numbers.has_nulls():
        return parse_numbers(numbers.to_numpy(), whole=True)
    try:
        return parse_times(column.to_list(), day_first=day_first)
    except DataError as error:
        raise DataError(f"{path}, column {name!r}, {error}") from error
