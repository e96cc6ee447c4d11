"""Times as tables write them, to NumPy's: ISO 8601, years and months, and days with the year at the end; and those that follow."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ostinato.errors import DataError

_UNITS: dict[str, Any] = {"day": "D", "hour": "h", "minute": "m", "second": "s", "microsecond": "us"}
_YEAR_LAST = re.compile(r"(\d{1,2})([/.])(\d{1,2})[/.](\d{4})(?:[ T]+(\d{1,2}:.+))?")
_YEAR_FIRST = re.compile(r"(\d{4})[/-](\d{1,2})[/-](\d{1,2})(?:[ T]+(\d{1,2}:.+))?")


def parse_times(cells: Sequence[str | None]) -> np.ndarray:
    """The times of a column: (T,) datetime64[us].

    | form | is |
    | --- | --- |
    | 2024-05-31, 20240531, 2024/5/31, 2024-05-31 23:00, 2024-05-31T23:00:00 | what it says |
    | the same with Z or an offset such as +02:00 | the time in UTC |
    | 2024-05 | the first of the month |
    | 31.05.2024 | the day first |
    | 5/31/2024, 31/5/2024 | the order that all rows of the column allow |

    Raises:
        DataError: A cell is no time, the order of day and month is open, or only some have a zone; the message has the row.
    """
    written = [(cell or "").strip() for cell in cells]
    day_first = _day_comes_first(written)
    moments: list[datetime.datetime] = []
    for row, cell in enumerate(written, start=1):
        try:
            moment = datetime.datetime.fromisoformat(_iso(cell, day_first))
        except ValueError as error:
            raise DataError(
                f"row {row} after the header: expected a time such as 2024-05-31 23:00, got {cell!r}"
            ) from error
        if moments and (moment.tzinfo is None) != (moments[0].tzinfo is None):
            raise DataError(f"row {row} after the header: expected a zone in all times or in none, got {cell!r}")
        moments.append(moment)
    naive = [moment.astimezone(datetime.UTC).replace(tzinfo=None) if moment.tzinfo else moment for moment in moments]
    return np.array(naive, dtype="datetime64[us]")


def _iso(cell: str, day_first: bool) -> str:
    if len(cell) == 7 and cell[4] == "-":
        return f"{cell}-01"
    if found := _YEAR_FIRST.fullmatch(cell):
        year, month, day, hour = found.groups()
    elif found := _YEAR_LAST.fullmatch(cell):
        first, sign, second, year, hour = found.groups()
        day, month = (first, second) if day_first or sign == "." else (second, first)
    else:
        return cell
    date = f"{year}-{month:0>2}-{day:0>2}"
    if not hour:
        return date
    return f"{date}T0{hour}" if hour[1] == ":" else f"{date}T{hour}"


def _day_comes_first(written: list[str]) -> bool:
    """Whether 1/2/2024 is in February, as the other rows tell."""
    parts = [
        (int(found[1]), int(found[3])) for cell in written if (found := _YEAR_LAST.fullmatch(cell)) and found[2] == "/"
    ]
    if not parts:
        return True
    first, second = (max(side) > 12 for side in zip(*parts, strict=True))
    if not first and not second:
        row = next(row for row, cell in enumerate(written, start=1) if _YEAR_LAST.fullmatch(cell))
        raise DataError(
            f"row {row} after the header: {written[row - 1]!r} does not tell the day from the month, and no other row does; "
            "write times as 2024-05-31"
        )
    return first


def times_after(times: np.ndarray, step: str, count: int) -> np.ndarray:
    """The times of the steps that follow those of a series.

    Args:
        times: (T,) datetime64 or int64, increasing; T at least 1.
        step: How far apart they are, as `SeriesTable.step` says: "1 hour", "7 days", "3 months", "1", or "row" for any.
        count: How many; at least 0.

    Returns:
        (count,), of the same type. Of rows that are there on working days only, the working days that follow; of other rows, times
        as far apart as the median of theirs.
    """
    ahead = np.arange(1, count + 1)
    if step == "row":
        return _rows_after(times, ahead)
    number, _, unit = step.partition(" ")
    if not unit:
        return times[-1] + ahead * int(number)
    if unit.startswith("month"):
        # The last days of months are found from the first days of the next.
        ends = bool((_day_of_month(times) > 28).any()) and bool(
            (_day_of_month(times + np.timedelta64(1, "D")) == 1).all()
        )
        shift = np.timedelta64(1 if ends else 0, "D")
        last = times[-1] + shift
        months = last.astype("datetime64[M]") + ahead * int(number)
        return months.astype("datetime64[us]") + (last - last.astype("datetime64[M]")) - shift
    return times[-1] + ahead * np.timedelta64(int(number), _UNITS[unit.removesuffix("s")])


def _rows_after(times: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    if times.dtype.kind == "M":
        days = times.astype("datetime64[D]")
        if (times == days).all() and np.is_busday(days).all():
            return np.busday_offset(days[-1], ahead).astype(times.dtype)
    gaps = np.diff(times).astype(np.int64)
    return times[-1] + ahead * int(np.median(gaps) if len(gaps) else 1)


def _day_of_month(times: np.ndarray) -> np.ndarray:
    return (times.astype("datetime64[D]") - times.astype("datetime64[M]")).astype(np.int64) + 1
