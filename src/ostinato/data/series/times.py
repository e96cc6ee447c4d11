"""Conversion of times between tables and NumPy: the times of a forecast are written as the table writes its own."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ostinato.errors import DataError

_CLOCK = (
    r"(?:(?P<between>[ T]+)(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?P<half> ?[AaPp][Mm])?)? ?(?P<zone>Z|z|UTC|[+-]\d\d(?::?\d\d)?)?"
)
_YEAR_FIRST = re.compile(r"(?P<year>\d{4})(?P<sign>[-/.]?)(?P<month>\d{1,2})(?P=sign)(?P<day>\d{1,2})" + _CLOCK)
_YEAR_LAST = re.compile(r"(?P<first>\d{1,2})(?P<sign>[-/.])(?P<second_part>\d{1,2})(?P=sign)(?P<year>\d{4})" + _CLOCK)
_MONTH = re.compile(r"(?P<year>\d{4})(?P<sign>[-/]?)(?P<month>\d\d)")
_QUARTER = re.compile(r"(?P<year>\d{4})(?P<sign>[- ]?)(?P<letter>[Qq])(?P<quarter>[1-4])")
_WEEK = re.compile(r"(?P<year>\d{4})(?P<sign>-?)W(?P<week>\d\d)(?:(?P=sign)(?P<day>[1-7]))?")
_LONG = 100


@dataclass(frozen=True)
class Form:
    """How a column writes its times.

    Attributes:
        kind: "number", "day", "month", "quarter" or "week".
        order: The order in a date: "ymd", "dmy" or "mdy".
        sign: The sign between the parts of a date.
        padded: Whether days and months below 10 have two digits.
        between: The text between day and hour; "" if there are no hours.
        fine: The smallest part of a time of day: "minute", "second" or "fraction".
        half: Whether hours are counted to 12, with AM and PM.
        zone: "" for none, "Z", or an example of how an offset is written: "+00:00", "+0000", "+00".
        letter: The letter before the number of a quarter.
        with_day: Whether a week is written with a day.
        whole: Whether the column holds whole numbers, such as 202405, and no texts.
    """

    kind: str = "day"
    order: str = "ymd"
    sign: str = "-"
    padded: bool = True
    between: str = ""
    fine: str = "second"
    half: bool = False
    zone: str = ""
    letter: str = "Q"
    with_day: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Times:
    """The times of a column.

    Attributes:
        moments: (T,) datetime64[us], in UTC if the column has a zone; or int64, if it holds whole numbers.
        form: How the last time with a time of day is written, else the last time.
        offsets: (T,) int64, microseconds that the local time is ahead of UTC; None if the column has no zone.
        zone: The name of the time zone, if the type of the column has one.
    """

    moments: np.ndarray
    form: Form = field(default_factory=Form)
    offsets: np.ndarray | None = None
    zone: str | None = None

    @property
    def day_first(self) -> bool | None:
        """Whether dates are written as 31/12/2024 and not as 12/31/2024; None if they are written as neither."""
        return None if self.form.kind != "day" or self.form.order == "ymd" else self.form.order == "dmy"

    @property
    def local(self) -> np.ndarray:
        """The times in local time: (T,)."""
        return self.moments if self.offsets is None else self.moments + self.offsets.astype("timedelta64[us]")

    def written(self, moments: np.ndarray, *, local: bool = False) -> list[str] | list[int]:
        """Write other times as the column writes its own.

        Args:
            moments: (N,), of the type of `self.moments`.
            local: Whether `moments` are in local time, and not in UTC.
        """
        if moments.dtype.kind != "M":
            return moments.tolist()
        if self.offsets is None:
            return _written(moments.astype("datetime64[us]").tolist(), self.form, None)
        offsets = self._offsets_at(moments, local=local)
        clocks = moments if local else moments + offsets.astype("timedelta64[us]")
        return _written(clocks.astype("datetime64[us]").tolist(), self.form, offsets.tolist())

    def _offsets_at(self, moments: np.ndarray, *, local: bool) -> np.ndarray:
        """Return the offsets from UTC, (N,) int64: by the rules of the named zone, else the last one written before."""
        if self.zone is not None:
            return zone_offsets(moments, self.zone, local=local)
        axis, offsets = self._changes[local]
        return offsets[(np.searchsorted(axis, moments, side="right") - 1).clip(0)]

    @cached_property
    def _changes(self) -> dict[bool, tuple[np.ndarray, np.ndarray]]:
        assert self.offsets is not None
        order = np.argsort(self.moments, kind="stable")
        return {
            local: (axis[order], self.offsets[order]) for local, axis in ((False, self.moments), (True, self.local))
        }


def zone_offsets(moments: np.ndarray, zone: str, *, local: bool = False) -> np.ndarray:
    """Return (T,) int64, the microseconds that a named zone is ahead of UTC at these times.

    The times are in the local time of the zone if `local`, else in UTC.

    Raises:
        DataError: This machine does not know the zone.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise DataError(f"the time zone {zone!r} is not known on this machine; install the package tzdata") from error
    ahead: list[int] = []
    for moment in moments.astype("datetime64[us]").tolist():
        there = moment.replace(tzinfo=info) if local else moment.replace(tzinfo=datetime.UTC).astimezone(info)
        ahead.append(there.utcoffset() // datetime.timedelta(microseconds=1))
    return np.array(ahead, dtype=np.int64)


# --- reading ---


def parse_times(cells: Sequence[str | None], *, day_first: bool | None = None) -> Times:
    """Read the times of a column of texts.

    | form | meaning |
    | --- | --- |
    | 2024-05-31, 20240531, 2024/5/31, 2024-05-31 23:00, 2024-05-31T23:00:00, 2024-05-31 11:00 PM | that time |
    | the same with Z or an offset such as +02:00 | that time, stored with its offset |
    | 2024-05, 202405; 2024Q2, 2024-Q2 | the first day of the month, of the quarter |
    | 2024-W22, 2024-W22-5 | the Monday of the ISO week, or the day that is written |
    | 31.05.2024 | the day comes first |
    | 5/31/2024, 31/5/2024, 31-5-2024 | the order that all rows of the column allow |

    Args:
        cells: The times as they are written.
        day_first: Whether 1/2/2024 is in February if no row decides it; None if that is not known.

    Raises:
        DataError: A cell is no time, the order of day and month is open, or only some have a zone; the message names
            the row.
    """
    written = [(cell or "").strip() for cell in cells]
    if (alike := _all_in_iso(written)) is not None:
        return alike
    day_first = _day_comes_first(written, day_first)
    days = np.zeros(len(written), dtype="datetime64[us]")
    offsets = np.zeros(len(written), dtype=np.int64)
    form, with_zone, padded = Form(), False, True
    for row, cell in enumerate(written):
        try:
            moment, its_form = _read(cell, day_first)
        except ValueError as error:
            raise DataError(
                f"row {row + 1} after the header: expected a time such as 2024-05-31 23:00, got {cell!r}"
            ) from error
        if row and with_zone != (moment.tzinfo is not None):
            raise DataError(f"row {row + 1} after the header: expected a zone in all times or in none, got {cell!r}")
        with_zone, padded = moment.tzinfo is not None, padded and its_form.padded
        # The form of the last time counts, but a time at midnight is often written as a day alone.
        form = its_form if its_form.between or not form.between else form
        if moment.tzinfo is not None:
            ahead = moment.utcoffset() or datetime.timedelta()
            offsets[row], moment = ahead // datetime.timedelta(microseconds=1), moment.replace(tzinfo=None) - ahead
        days[row] = moment
    form = dataclasses.replace(form, padded=padded)
    return Times(days, form, offsets if with_zone else None)


def parse_numbers(numbers: np.ndarray, *, whole: bool = True) -> Times:
    """Read the times of a column of whole numbers: days as 20240531, months as 202405, or the numbers themselves.

    Args:
        numbers: (T,) int64.
        whole: Whether to write times as numbers again, not as texts.
    """
    texts = [str(number) for number in numbers.tolist()]
    lengths = {len(text) for text in texts}
    is_month = lengths == {6} and all("1900" <= text[:4] <= "2099" for text in texts)
    if is_month or lengths == {8}:
        try:
            found = parse_times(texts)
        except DataError:
            pass
        else:
            return Times(found.moments, dataclasses.replace(found.form, whole=whole))
    return Times(numbers.astype(np.int64), Form(kind="number", whole=whole))


def _all_in_iso(written: list[str]) -> Times | None:
    """Read a long column at once, if all its times have one form that NumPy can read; else return None."""
    if len(written) < _LONG or len(set(map(len, written))) > 1 or not all(cell[:4].isdigit() for cell in written):
        return None
    try:
        _, form = _read(written[-1], day_first=True)
        if (form.kind, form.order, form.sign, form.half, form.zone) != ("day", "ymd", "-", False, ""):
            return None
        return Times(np.array(written, dtype="datetime64[us]"), form)
    except ValueError:
        return None


def _read(cell: str, day_first: bool) -> tuple[datetime.datetime, Form]:
    """Read one time and its form; raise a ValueError if it is no time."""
    if found := _MONTH.fullmatch(cell):
        form = Form("month", sign=found["sign"])
        return datetime.datetime(int(found["year"]), int(found["month"]), 1), form
    if found := _QUARTER.fullmatch(cell):
        form = Form("quarter", sign=found["sign"], letter=found["letter"])
        return datetime.datetime(int(found["year"]), 3 * int(found["quarter"]) - 2, 1), form
    if found := _WEEK.fullmatch(cell):
        day = datetime.date.fromisocalendar(int(found["year"]), int(found["week"]), int(found["day"] or 1))
        form = Form("week", sign=found["sign"], with_day=found["day"] is not None)
        return datetime.datetime.combine(day, datetime.time()), form
    if found := _YEAR_FIRST.fullmatch(cell):
        if not found["sign"] and len(found["month"] + found["day"]) != 4:
            raise ValueError
        return _day(found, "ymd", found["month"], found["day"])
    if found := _YEAR_LAST.fullmatch(cell):
        first, second = found["first"], found["second_part"]
        is_day_first = day_first or found["sign"] == "."
        month, day = (second, first) if is_day_first else (first, second)
        return _day(found, "dmy" if is_day_first else "mdy", month, day)
    return datetime.datetime.fromisoformat(cell), Form(between="T", fine="fraction" if "." in cell else "second")


def _day(found: re.Match[str], order: str, month: str, day: str) -> tuple[datetime.datetime, Form]:
    fraction = found["fraction"]
    fine = "fraction" if fraction else "second" if found["second"] else "minute"
    zone = found["zone"] or ""
    style = "Z" if zone in ("Z", "z", "UTC") else {0: "", 3: "+00", 5: "+0000", 6: "+00:00"}[len(zone)]
    between = found["between"] or ""
    form = Form(
        "day", order, found["sign"], len(month + day) == 4, between, fine, found["half"] is not None, zone=style
    )
    hour = int(found["hour"] or 0)
    if found["half"]:
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if found["half"].strip().upper() == "PM" else 0)
    micro = int((fraction or "").ljust(6, "0")[:6] or 0)
    moment = datetime.datetime(
        int(found["year"]), int(month), int(day), hour, int(found["minute"] or 0), int(found["second"] or 0), micro
    )
    return (moment.replace(tzinfo=_zone(zone)) if zone else moment), form


def _zone(written: str) -> datetime.timezone:
    if written in ("Z", "z", "UTC"):
        return datetime.UTC
    digits = written[1:].replace(":", "").ljust(4, "0")
    ahead = datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return datetime.timezone(-ahead if written[0] == "-" else ahead)


def _day_comes_first(written: list[str], usual: bool | None) -> bool:
    """Tell whether 1/2/2024 is in February, by the other rows, else by `usual`."""
    found = [(row, match) for row, cell in enumerate(written) if (match := _YEAR_LAST.fullmatch(cell))]
    found = [(row, match) for row, match in found if match["sign"] != "."]
    if not found:
        return True
    first, second = (any(int(match[part]) > 12 for _, match in found) for part in ("first", "second_part"))
    if not first and not second:
        if usual is not None:
            return usual
        row = found[0][0]
        raise DataError(
            f"row {row + 1} after the header: {written[row]!r} does not tell the day from the month, and no other row does; "
            "write times as 2024-05-31"
        )
    return first


# --- writing ---


def _written(moments: list[datetime.datetime], form: Form, offsets: list[int] | None) -> list[str] | list[int]:
    # Add the parts that the form lacks, which would be lost.
    if form.kind == "day" and not form.between and any(moment.time() != datetime.time() for moment in moments):
        form = dataclasses.replace(form, between="T", fine="second")
    if form.between and form.fine != "fraction" and any(moment.microsecond for moment in moments):
        form = dataclasses.replace(form, fine="fraction")
    if form.between and form.fine == "minute" and any(moment.second for moment in moments):
        form = dataclasses.replace(form, fine="second")
    zones = [None] * len(moments) if offsets is None else offsets
    texts = [_text(moment, form, ahead) for moment, ahead in zip(moments, zones, strict=True)]
    return [int(text) for text in texts] if form.whole else texts


def _text(moment: datetime.datetime, form: Form, ahead: int | None) -> str:
    if form.kind == "month":
        return f"{moment.year:04}{form.sign}{moment.month:02}"
    if form.kind == "quarter":
        return f"{moment.year:04}{form.sign}{form.letter}{(moment.month + 2) // 3}"
    if form.kind == "week":
        year, week, day = moment.isocalendar()
        return f"{year:04}{form.sign}W{week:02}" + (f"{form.sign}{day}" if form.with_day else "")
    width = 2 if form.padded else 1
    parts = {"y": f"{moment.year:04}", "m": f"{moment.month:0{width}}", "d": f"{moment.day:0{width}}"}
    text = form.sign.join(parts[part] for part in form.order)
    if form.between:
        clock = {"minute": "%M", "second": "%M:%S", "fraction": "%M:%S.%f"}[form.fine]
        hour = f"{moment.hour % 12 or 12}" if form.half else f"{moment.hour:02}"
        text += f"{form.between}{hour}:{moment.strftime(clock)}" + (moment.strftime(" %p") if form.half else "")
    return text + ("" if ahead is None else _offset(ahead, form.zone))


def _offset(microseconds: int, style: str) -> str:
    if style in ("Z", "") and not microseconds:
        return "Z"
    sign, minutes = "-" if microseconds < 0 else "+", abs(microseconds) // 60_000_000
    hours, minutes = divmod(minutes, 60)
    if style == "+00" and not minutes:
        return f"{sign}{hours:02}"
    return f"{sign}{hours:02}{'' if style == '+0000' else ':'}{minutes:02}"
