"""Which column of a table of recordings is which: recording, time, group, label and channels.

| column | its names, if the user does not name it |
| --- | --- |
| recording | id, recording, sequence, trial, series, ... (`ID_NAMES`); without one, each group is one, else the table |
| time | time, t, timestamp, seconds, ... (`TIME_NAMES`); without one, steps are in the order of the rows |
| group | subject, person, patient, user, ... (`GROUP_NAMES`) |
| label | label, class, activity, gesture, ... (`LABEL_NAMES`) |
| channels | every other column that holds numbers, except row numbers |

A unit after a name, as in Time [s], is ignored. If no column has the name of a time, the time is a column that holds
dates, or numbers that count the seconds, milliseconds, ... since 1970. A column of dates and one of hours are a time
together. A wide table has columns such as x_0 .. x_99, for one channel or for several with equally many columns; it may
have a few other columns of numbers.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.data.series.columns import COUNT_NAMES, INDEX_NAMES, holds_times
from ostinato.data.series.columns import ID_NAMES as SERIES_NAMES
from ostinato.data.series.columns import TIME_NAMES as DAY_NAMES
from ostinato.data.series.numbers import is_numeric
from ostinato.data.sources.cells import first_cells
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.tables import LABEL_NAMES as TEXT_LABEL_NAMES
from ostinato.data.sources.tables import TEXT_NAMES
from ostinato.errors import ConfigError, DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars

ID_NAMES = (
    *SERIES_NAMES,
    "recording",
    "recording_id",
    "sequence",
    "sequence_id",
    "trial",
    "trial_id",
    "session",
    "clip",
    "file",
)
# Names that can only mean a time come first: t may be a temperature.
_CLOCKS = ("timestamp", "datetime", "time", "date", "seconds", "milliseconds", "ms")
_COUNTED = (*_CLOCKS, "step", "frame")
TIME_NAMES = (*_CLOCKS, "t", "step", "frame", *(name for name in DAY_NAMES if name not in _CLOCKS))
GROUP_NAMES = (
    "subject",
    "subject_id",
    "person",
    "person_id",
    "patient",
    "patient_id",
    "user",
    "user_id",
    "participant",
    "speaker",
    "speaker_id",
    "group",
)
LABEL_NAMES = (
    *(name for name in TEXT_LABEL_NAMES if name != "y"),
    "activity",
    "gesture",
    "event",
    "state",
    "action",
    "phase",
    "labels",
)
_UNIT = re.compile(r"\s*[\[(][^\d\])][^\])]*[\])]$")  # "time [s]"; x[0] and x[1] are numbered
_NUMBERED = re.compile(r"(.*?)[ _.\-\[]?(\d+)\]?")
_ONLY_TEXTS = ("text", "sentence", "review", "comment", "message", "tweet", "document")  # also with numbers
_MANY = 8  # a table with so many columns of numbers holds recordings, even if other columns hold words
_SINCE_1970 = (3e8, 6e9)  # seconds: 1979 to 2160
_UNITS = (1.0, 1e3, 1e6, 1e9)
_OF_A_DAY = re.compile(r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?")
_LOOKED_AT = 20
_BESIDE = 4  # numbered columns are steps if there is at most one other column for each four of them


@dataclass(frozen=True)
class Columns:
    """The columns that a user has named; None for a column that is found by its name.

    Attributes:
        id: The column that tells recordings apart.
        time: The column that orders the steps.
        group: The column of the group (such as a person) that a recording belongs to.
        channels: The columns that are read as channels.
        label: The column of labels, of recordings or of steps.
        expected: The channels of training: columns with these names are channels, and may be empty.
        fewest_wide: The fewest numbered columns that make a table wide; fewer numbered columns are channels.
        ignored: Columns that are treated as if they did not exist.
        date: The column of days, if `time` holds times of a day.
        several: Whether a list in a cell of labels holds several labels of one recording, and not one for each step.
        label_names: The names that a column of labels may have.
        label_flag: The flag with which a user names another column of labels.
    """

    id: str | None = None
    time: str | None = None
    group: str | None = None
    channels: tuple[str, ...] | None = None
    label: str | None = None
    expected: tuple[str, ...] = ()
    fewest_wide: int = 8
    ignored: tuple[str, ...] = ()
    date: str | None = None
    several: bool = False
    label_names: tuple[str, ...] = LABEL_NAMES
    label_flag: str = "--reading.label"


NOTHING_NAMED = Columns()


def holds_recordings(path: str | Path, columns: Columns, dialect: Dialect | None = None) -> bool:
    """Tell by its first rows whether a table holds recordings and not texts."""
    if columns.id or columns.time or columns.group or columns.channels:
        return True
    try:
        names, seen = first_cells(path, dialect)
    except DataError:
        return False  # the reader of texts reports the error
    names = [name for name in names if name not in columns.ignored]
    if not seen:  # only a header: its names decide, and the reader of recordings reports that there is no row
        lower = {name.lower() for name in names}
        parts = _named(names, (*ID_NAMES, *TIME_NAMES, *GROUP_NAMES))
        return parts is not None and len(names) > 2 and not lower & {*TEXT_NAMES, *_ONLY_TEXTS}
    label = columns.label or _named(names, columns.label_names) or _y(names)
    others = [
        name for name in names if name != label and _named([name], (*ID_NAMES, *TIME_NAMES, *GROUP_NAMES)) is None
    ]
    texts = [name for name in others if not _are_numbers(row.get(name) for row in seen)]
    if any(name.lower() in TEXT_NAMES for name in texts) or any(name.lower() in _ONLY_TEXTS for name in others):
        return False
    numbers = len(others) - len(texts)
    if numbers < _MANY and any(_differ(row.get(name) for row in seen) for name in texts):
        return False  # such as titles with years, names with ages
    # Without labels, columns of words decide: a table of sentences with a word in each row numbers the words in a
    # column. One column of numbers beside labels is not enough, as in tables of texts: ratings, years.
    return numbers >= (1 if len(names) > 2 else 2) and (label is not None or numbers > len(texts))


def _written_cells(cells: Any) -> list[str]:
    return [str(cell).strip() for cell in cells if cell is not None and str(cell).strip()]


def _differ(cells: Any) -> bool:
    """Tell whether most words in the cells are different; cells that begin with a digit (times) do not count."""
    there = [cell for cell in _written_cells(cells) if not cell[0].isdigit()]
    return len(set(there)) * 2 > len(there)


def _are_numbers(cells: Any) -> bool:
    there = _written_cells(cells)
    return bool(there) and sum(map(_is_number, there)) * 2 >= len(there)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _named(names: Sequence[str], known: Sequence[str], taken: Sequence[str | None] = ()) -> str | None:
    free = [name for name in reversed(list(names)) if name not in taken]
    lower = {_UNIT.sub("", name.strip().lower()): name for name in free} | {name.lower(): name for name in free}
    return next((lower[each] for each in known if each in lower), None)


def _y(names: Sequence[str], taken: Sequence[str | None] = ()) -> str | None:
    """Return the column y of labels; None if there is a column z, as y is then one of three axes."""
    return None if _named(names, ("z",), taken) else _named(names, ("y",), taken)


def found_columns(path: str | Path, table: polars.DataFrame, columns: Columns, labels: bool) -> Columns:
    """Find which column of a table is which: first those that the user named, the others by their names and contents.

    Raises:
        DataError: A named column does not exist, or no column holds numbers.
        ConfigError: One column is named for two things.
    """
    names = table.columns
    given = [columns.id, columns.time, columns.group, columns.label if labels else None, *(columns.channels or ())]
    for name in given:
        if name is not None and name not in names:
            raise DataError(f"{path}: has no column {name!r}; its columns are {', '.join(names)}")
    named = [name for name in given if name is not None]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"column {twice!r} has two parts; let it be one of id, time, group, label and channels")
    label = columns.label if columns.label in names else _named(names, columns.label_names, [*named, *columns.expected])
    # A channel of training stays a channel: t, for example, does not become the time in a table without a column time.
    taken = [*named, *columns.expected, label]
    id = columns.id or _named(names, ID_NAMES, taken)
    group = columns.group or _named(names, GROUP_NAMES, [*taken, id])
    time = columns.time or _named(names, TIME_NAMES, [*taken, group])
    if time is None and columns.channels is None:
        time = _clock(table, [*taken, id, group])
    date = _date_beside(table, time, [*taken, id, group])
    taken = [*named, label, id, time, group, date]
    if label is None:
        label = _y(names, [*taken, *columns.expected]) if labels else None
    channels = columns.channels
    if channels is None:
        free = [name for name in names if name not in taken and name != label]
        free = [name for name in free if name in columns.expected or not counts_rows(table[name])]
        # A second clock or counter is no channel: it is no measurement, and would tell where in the data a step is.
        free = [
            name
            for name in free
            if name in columns.expected or time is None or not (name.lower() in _COUNTED or _is_clock(table[name]))
        ]
        wanted = {name for name in free if name in columns.expected or _measures(table[name])}
        # A wide table's columns for steps that no recording of it reaches are empty, and are steps nevertheless.
        steps = [name for name in free if name in wanted or _is_empty(table[name])]
        of_rows = time is None and (id is None or table[id].n_unique() == table.height)
        if wanted and of_rows and (wide := wide_columns(steps, columns.fewest_wide)):
            channels = tuple(name for each in wide.values() for name in each)
        else:
            channels = tuple(name for name in free if name in wanted)
    if not channels:
        raise DataError(
            f"{path}: has no column of numbers to read beside {', '.join(name for name in (id, time, group, label) if name)}; its "
            f"columns are {', '.join(names)}. Name the channels with --recording.channels"
        )
    return Columns(id, time, group, tuple(channels), label, date=date)


def _clock(table: polars.DataFrame, taken: Sequence[str | None]) -> str | None:
    """Return the first column that holds times, whatever its name is."""
    return next((name for name in table.columns if name not in taken and _is_clock(table[name])), None)


def _is_clock(column: polars.Series) -> bool:
    """Tell whether a column holds dates, or units of time since 1970 that decrease at less than half of the steps."""
    if column.dtype.is_temporal() or holds_times(column):
        return True
    if not len(column) or not is_numeric(column):
        return False
    numbers = [_seconds(cell) for cell in column.to_list()]
    if not all(any(_SINCE_1970[0] <= n / unit <= _SINCE_1970[1] for unit in _UNITS) for n in numbers):
        return False
    back = sum(after < before for before, after in itertools.pairwise(numbers))
    return back * 2 < len(numbers)


def _seconds(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return float("nan")


def _date_beside(table: polars.DataFrame, time: str | None, taken: Sequence[str | None]) -> str | None:
    """Return the column of days, if the column `time` holds times of a day; else None."""
    if time is None:
        return None
    hours = [str(cell).strip() for cell in table[time].head(_LOOKED_AT).to_list() if cell is not None]
    if not hours or not all(_OF_A_DAY.fullmatch(cell) for cell in hours):
        return None
    free = [name for name in table.columns if name not in taken and name != time]
    named = _named(free, ("date", "day", "datum"))
    return named or next((name for name in free if holds_times(table[name]) or table[name].dtype.is_temporal()), None)


def _measures(column: polars.Series) -> bool:
    """Tell whether a column holds numbers, or true and false."""
    with needed():
        import polars

    if column.dtype == polars.String:
        there = column.str.strip_chars().str.to_lowercase()
        there = there.filter(there != "")
        if len(there) and there.is_in(["true", "false"]).all():
            return True
    return column.dtype == polars.Boolean or is_numeric(column)


def _is_empty(column: polars.Series) -> bool:
    return all(cell is None or not str(cell).strip() for cell in column.to_list())


def counts_rows(column: polars.Series) -> bool:
    """Tell by its name whether a column holds the numbers of the rows, which data frames write beside their columns."""
    name = column.name.lower()
    return INDEX_NAMES.fullmatch(name) is not None or name in COUNT_NAMES


def wide_columns(channels: Sequence[str], fewest: int) -> dict[str, list[str]] | None:
    """Return the columns that are steps, in order, by channel; None if the columns are channels.

    A few columns beside many numbered ones are left out.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    others = 0
    for name in channels:
        match = _NUMBERED.fullmatch(name)
        if match is None:
            others += 1
        else:
            found.setdefault(match[1], []).append((int(match[2]), name))
    most = max((len(each) for each in found.values()), default=0)
    steps = {prefix: each for prefix, each in found.items() if len(each) == most}
    others += sum(len(each) for prefix, each in found.items() if prefix not in steps)
    least = fewest if not others else max(fewest, 2 * _MANY)
    if most < least or others * _BESIDE > most * len(steps):
        return None
    return {prefix or "x": [name for _, name in sorted(each)] for prefix, each in steps.items()}
