"""Tables of recordings: long, a row a step, or wide, a row a recording; CSV, TSV, JSON lines and Parquet.

| column | what it is called, where nobody names it |
| --- | --- |
| recording | id, recording, sequence, trial, series, ... (`ID_NAMES`); without one, each group is one, else the table |
| time | time, t, timestamp, seconds, ... (`TIME_NAMES`); without one, steps are in the order of the rows |
| group | subject, person, patient, user, ... (`GROUP_NAMES`) |
| label | label, class, activity, gesture, ... (`LABEL_NAMES`) |
| channels | every other column that holds numbers, those that number the rows left out |

A wide table has columns such as x_0 .. x_99, of one channel or of several, as many of each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.series.columns import COUNT_NAMES, INDEX_NAMES, read_times
from ostinato.data.series.columns import ID_NAMES as SERIES_NAMES
from ostinato.data.series.columns import TIME_NAMES as DAY_NAMES
from ostinato.data.series.numbers import decimal_sign, is_numeric, read_numbers
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.frames import read_frame
from ostinato.data.sources.tables import LABEL_NAMES as TEXT_LABEL_NAMES
from ostinato.data.sources.tables import NO_HEADER, TEXT_NAMES, first_cells
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
# What means nothing but a time comes first: t may be a temperature.
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
)
_NUMBERED = re.compile(r"(.*?)[ _.\-\[]?(\d+)\]?")
_ONLY_TEXTS = ("text", "sentence", "review", "comment", "message", "tweet", "document")  # even where they are numbers
_MANY = 8  # columns of numbers, beside which words do not make texts of a table
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")


@dataclass(frozen=True)
class Columns:
    """Which columns a user has named; None for what the names of the columns say.

    Attributes:
        id: What tells recordings apart.
        time: By which steps are in order.
        group: Whose a recording is.
        channels: What is read.
        label: Of recordings or steps.
        expected: Channels of training: columns of these names are channels, and may be empty.
        fewest_wide: Numbered columns of a wide table; where they are fewer, these are channels.
    """

    id: str | None = None
    time: str | None = None
    group: str | None = None
    channels: tuple[str, ...] | None = None
    label: str | None = None
    expected: tuple[str, ...] = ()
    fewest_wide: int = 8


def holds_recordings(path: str | Path, columns: Columns, dialect: Dialect | None = None) -> bool:
    """Whether a table is one of numbers, and not of texts, as its first rows look."""
    if columns.id or columns.time or columns.group or columns.channels:
        return True
    try:
        names, seen = first_cells(path, dialect)
    except DataError:
        return False  # the reader of texts says what is wrong
    if not seen:
        return False
    label = columns.label or _named(names, LABEL_NAMES) or _y(names)
    others = [
        name for name in names if name != label and _named([name], (*ID_NAMES, *TIME_NAMES, *GROUP_NAMES)) is None
    ]
    texts = [name for name in others if not _are_numbers(row.get(name) for row in seen)]
    if any(name.lower() in TEXT_NAMES for name in texts) or any(name.lower() in _ONLY_TEXTS for name in others):
        return False
    numbers = len(others) - len(texts)
    if numbers < _MANY and any(_differ(row.get(name) for row in seen) for name in texts):
        return False  # titles with years, names with ages
    # Without labels words prevail: sentences in columns have the numbers of their words in one.
    # One column of numbers beside labels may as well be texts: ratings, years.
    return numbers >= (1 if len(names) > 2 else 2) and (label is not None or numbers > len(texts))


def _written_cells(cells: Any) -> list[str]:
    return [str(cell).strip() for cell in cells if cell is not None and str(cell).strip()]


def _differ(cells: Any) -> bool:
    """Whether most cells are words that no other has; times are none."""
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


def read_recording_table(
    path: str | Path,
    columns: Columns = Columns(),
    *,
    labels: bool = True,
    dialect: Dialect | None = None,
) -> Recordings:
    """The recordings of a table, in the order in which they begin.

    Args:
        path: A file or URL.
        columns: Those that have a name of their own.
        labels: Whether labels are wanted. Each step has one then; where all of a recording agree, that is its label as well.
        dialect: How CSV or TSV is written; None for the usual.

    Raises:
        DataError: It cannot be read, a column is not there, or labels are wanted and there are none.
        ConfigError: A column has two parts.
    """
    table, separator = read_frame(path, dialect)
    if not table.height:
        raise DataError(f"{path}: there is no row in it; expected a row for each step, or for each recording")
    found = _found(path, table, columns, labels)
    if found.label is None and labels:
        raise DataError(
            f"{path}: none of the columns {', '.join(table.columns)} is called label; name the one of labels with --reading.label. "
            f"{NO_HEADER}"
        )
    wide = _wide(found.channels or (), columns.fewest_wide) if columns.channels is None and not found.time else None
    if wide is not None and (found.id is None or table[found.id].n_unique() == table.height):
        read = _of_rows(path, table, found, wide, separator)
    else:
        found, notes = _without_row_numbers(path, table, found, columns)
        read = _of_steps(path, table, found, separator)
        read = replace(read, notes=(*notes, *read.notes))
    return read if columns.channels else replace(read, notes=(*read.notes, *_left_out(path, table, found)))


def _without_row_numbers(
    path: str | Path, table: polars.DataFrame, found: Columns, named: Columns
) -> tuple[Columns, tuple[str, ...]]:
    """Without an id that nobody named and that counts the rows: each step were a recording, its neighbours in other parts."""
    if found.id is None or named.id or table.height == 1 or table[found.id].n_unique() < table.height:
        return found, ()
    ids = sorted(int(cell) if cell and cell.isdigit() else -2 * at for at, cell in enumerate(_cells(table, found.id)))
    if ids == [*range(ids[0], ids[0] + len(ids))]:
        said = f"column {found.id!r} counts the rows and tells no recordings apart; name what does with --recording.id"
        return replace(found, id=None), (f"{path}: {said}",)
    said = f"each row is a recording of one step, called by column {found.id!r}; name another with --recording.id"
    return found, (f"{path}: {said}",)


def _left_out(path: str | Path, table: polars.DataFrame, found: Columns) -> tuple[str, ...]:
    """A note that names the columns that nothing is read from; numbers of rows are not missed."""
    read = {found.id, found.time, found.group, found.label, *(found.channels or ())}
    left = [name for name in table.columns if name not in read and not _counts_rows(table[name])]
    if not left:
        return ()
    return (f"{path}: not read: {', '.join(left)}; --recording.channels names all columns that are to be read",)


def _named(names: Sequence[str], known: Sequence[str], taken: Sequence[str | None] = ()) -> str | None:
    lower = {name.lower(): name for name in reversed(list(names)) if name not in taken}
    return next((lower[each] for each in known if each in lower), None)


def _y(names: Sequence[str], taken: Sequence[str | None] = ()) -> str | None:
    """The column y of labels; beside z it is one of three axes."""
    return None if _named(names, ("z",), taken) else _named(names, ("y",), taken)


def _found(path: str | Path, table: polars.DataFrame, columns: Columns, labels: bool) -> Columns:
    names = table.columns
    given = [columns.id, columns.time, columns.group, columns.label if labels else None, *(columns.channels or ())]
    for name in given:
        if name is not None and name not in names:
            raise DataError(f"{path}: has no column {name!r}; its columns are {', '.join(names)}")
    named = [name for name in given if name is not None]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"column {twice!r} has two parts; let it be one of id, time, group, label and channels")
    label = columns.label if columns.label in names else _named(names, LABEL_NAMES, [*named, *columns.expected])
    # A channel of training stays one: without a column time beside it, t is no time.
    taken = [*named, *columns.expected, label]
    id = columns.id or _named(names, ID_NAMES, taken)
    time = columns.time or _named(names, TIME_NAMES, taken)
    group = columns.group or _named(names, GROUP_NAMES, taken)
    taken = [*named, label, id, time, group]
    if label is None:
        label = _y(names, [*taken, *columns.expected]) if labels else None
    channels = columns.channels
    if channels is None:
        free = [name for name in names if name not in taken and name != label]
        free = [name for name in free if name in columns.expected or not _counts_rows(table[name])]
        # Of two clocks or counters the second is no measurement: it would tell where in the data a step is.
        free = [name for name in free if name in columns.expected or time is None or name.lower() not in _COUNTED]
        wanted = {name for name in free if name in columns.expected or _measures(table[name])}
        # Steps that no recording of this table has are steps.
        steps = [name for name in free if name in wanted or _is_empty(table[name])]
        channels = tuple(
            steps if wanted and _wide(steps, columns.fewest_wide) else [name for name in free if name in wanted]
        )
    if not channels:
        raise DataError(
            f"{path}: has no column of numbers to read beside {', '.join(name for name in (id, time, group, label) if name)}; its "
            f"columns are {', '.join(names)}. Name the channels with --recording.channels"
        )
    return Columns(id, time, group, tuple(channels), label)


def _measures(column: polars.Series) -> bool:
    """Whether a column holds numbers, or true and false."""
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


def _counts_rows(column: polars.Series) -> bool:
    """Whether it is what data frames write beside their columns: the numbers of the rows."""
    name = column.name.lower()
    return INDEX_NAMES.fullmatch(name) is not None or name in COUNT_NAMES


def _wide(channels: Sequence[str], fewest: int) -> dict[str, list[str]] | None:
    """Columns that are steps, by channel, in order; None where they are channels."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name in channels:
        match = _NUMBERED.fullmatch(name)
        if match is None:
            return None
        found.setdefault(match[1], []).append((int(match[2]), name))
    counts = {len(each) for each in found.values()}
    if len(counts) != 1 or counts.pop() < fewest:
        return None
    return {prefix or "x": [name for _, name in sorted(each)] for prefix, each in found.items()}


def _texts(path: str | Path, table: polars.DataFrame, name: str | None, what: str) -> list[str] | None:
    if name is None:
        return None
    cells = [cell or "" for cell in _cells(table, name)]
    if "" in cells:
        raise DataError(
            f"{path}, row {cells.index('') + 1} after the header: column {name!r}, {what}, is empty; fill it in"
        )
    return cells


def _cells(table: polars.DataFrame, name: str) -> list[str | None]:
    """The names in a column, None for none; of whole numbers 1.0 is 1, as a data frame with gaps writes it."""
    cells = [_written(cell) for cell in table[name].to_list()]
    if all(cell is None or _WHOLE.fullmatch(cell) for cell in cells):
        return [None if cell is None else cell.partition(".")[0] for cell in cells]
    return cells


def _written(cell: Any) -> str | None:
    if cell is None or cell != cell:
        return None
    text = cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)
    return text.strip() or None


def _labels(table: polars.DataFrame, name: str | None) -> list[str | None] | None:
    if name is None:
        return None
    return _cells(table, name)


def _of_rows(
    path: str | Path, table: polars.DataFrame, found: Columns, wide: dict[str, list[str]], separator: str | None
) -> Recordings:
    steps = {len(names) for names in wide.values()}.pop()
    every = [name for names in wide.values() for name in names]
    numbers = _numbers(path, table, every, _decimal(path, table, every, separator))
    values = numbers.reshape(table.height, len(wide), steps).transpose(0, 2, 1)
    ids = _texts(path, table, found.id, "the name of the recording") or [str(n) for n in range(1, table.height + 1)]
    groups = _texts(path, table, found.group, "the group") or [None] * table.height
    labels = _labels(table, found.label) or [None] * table.height
    items = tuple(
        Recording(id, _without_end(v), label, group=group)
        for id, v, label, group in zip(ids, values, labels, groups, strict=True)
    )
    note = f"{path}: a row is read as a recording of {steps} steps ({every[0]} to {next(iter(wide.values()))[-1]})"
    return Recordings(tuple(wide), items, (note,))


def _without_end(values: np.ndarray) -> np.ndarray:
    """Without steps at the end at which nothing was measured: shorter recordings are filled up so."""
    there = np.flatnonzero(np.logical_not(np.isnan(values).all(1)))
    end = int(there[-1]) + 1 if len(there) else 1
    return np.ascontiguousarray(values[:end])


def _of_steps(path: str | Path, table: polars.DataFrame, found: Columns, separator: str | None) -> Recordings:
    channels = found.channels or ()
    sign = _decimal(path, table, [*channels, *([found.time] if found.time else [])], separator)
    numbers = _numbers(path, table, channels, sign)
    ids = _texts(path, table, found.id, "the name of the recording")
    groups = _texts(path, table, found.group, "the group")
    labels, times = _labels(table, found.label), _times(path, table, found.time, sign)
    # Trial 1 of one person is not trial 1 of another.
    places: dict[tuple[str, str | None], list[int]] = {}
    for row, key in enumerate(zip(ids or groups or [""] * table.height, groups or [None] * table.height, strict=True)):
        places.setdefault(key, []).append(row)
    returns = len({id for id, _ in places}) < len(places)
    notes = () if not returns else (f"{path}: recordings are told apart by {found.group} and {found.id}",)
    items: list[Recording] = []
    for (id, group), listed in places.items():
        rows, id = np.array(listed), f"{group} {id}" if returns else id
        if times is not None:
            rows = rows[np.argsort(times[rows], kind="stable")]
            _check_increasing(path, found, id, table, times, rows)
        steps: tuple[str | None, ...] | None = None
        if labels is not None:
            steps = tuple(labels[int(row)] for row in rows)
        # Of some steps nobody may have said it.
        known = {said for said in steps or () if said is not None}
        label = known.pop() if len(known) == 1 else None
        own = None if times is None else times[rows] - times[rows[0]]
        items.append(Recording(id, numbers[rows], label, steps, own, group))
    return Recordings(tuple(channels), tuple(items), notes)


def _times(path: str | Path, table: polars.DataFrame, name: str | None, sign: str) -> np.ndarray | None:
    """(rows,) float64: numbers as they are, dates in seconds."""
    if name is None:
        return None
    if is_numeric(table[name]):
        found = read_numbers(path, table, [name], decimal=sign)[:, 0]
        if np.isnan(found).any():
            row = int(np.isnan(found).argmax()) + 1
            raise DataError(f"{path}, row {row} after the header: column {name!r} is empty; give every row a time")
        return found
    moments = read_times(path, table, name).moments
    return moments.astype(np.float64) / (1e6 if moments.dtype.kind == "M" else 1.0)


def _check_increasing(
    path: str | Path, found: Columns, id: str, table: polars.DataFrame, times: np.ndarray, rows: np.ndarray
) -> None:
    same = np.flatnonzero(np.diff(times[rows]) <= 0)
    if len(same):
        cell = table[found.time or ""][int(rows[same[0]])]
        of = f" of recording {id!r}" if id else ""
        raise DataError(
            f"{path}: time {cell}{of} is there twice; name the column that tells recordings apart with --recording.id, or keep one "
            "row for each time"
        )


def _decimal(path: str | Path, table: polars.DataFrame, names: Sequence[str], separator: str | None) -> str:
    """The decimal sign. What is measured is hardly grouped in thousands: a comma is one of decimals, if no cell says otherwise."""
    with needed():
        import polars

    texts = [table[name] for name in names if table[name].dtype == polars.String]
    has_comma = separator != "," and any(column.str.contains(",", literal=True).any() for column in texts)
    return decimal_sign(path, table, names, separator=separator, usual="," if has_comma else ".", hint="") or "."


def _numbers(path: str | Path, table: polars.DataFrame, names: Sequence[str], sign: str) -> np.ndarray:
    """(rows, columns) float32."""
    numbers = read_numbers(path, table, names, decimal=sign)
    wide = np.argwhere(np.abs(numbers) > np.finfo(np.float32).max)
    if len(wide):
        row, column = wide[0].tolist()
        raise DataError(
            f"{path}, row {row + 1} after the header: expected numbers within ±3.4e38 in column {names[column]!r}, got "
            f"{numbers[row, column]}; scale them, or leave the cell empty where the value is missing"
        )
    return numbers.astype(np.float32)
