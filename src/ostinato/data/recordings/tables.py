"""Tables of recordings in CSV, TSV, JSON lines or Parquet: long, with a row a step, or wide, with a row a recording."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.data.recordings.columns import NOTHING_NAMED, Columns, counts_rows, found_columns, wide_columns
from ostinato.data.recordings.recording import Recording, Recordings, too_large
from ostinato.data.series.columns import read_times
from ostinato.data.series.numbers import decimal_sign, is_numeric, read_numbers
from ostinato.data.sources.cells import header_hint
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.frames import read_frame
from ostinato.data.sources.tables import joined_label, several_labels
from ostinato.errors import DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars

_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")


def read_recording_table(
    path: str | Path,
    columns: Columns = NOTHING_NAMED,
    *,
    labels: bool = True,
    dialect: Dialect | None = None,
) -> Recordings:
    """Read the recordings of a table, in the order in which they begin.

    Args:
        path: A file or URL.
        columns: The columns that the user named.
        labels: Whether labels are wanted. Each step then has one; if all steps of a recording agree, it is also the
            recording's.
        dialect: How CSV or TSV is written; None for the usual form.

    Raises:
        DataError: The table cannot be read, a column does not exist, or labels are wanted and there are none.
        ConfigError: One column is named for two things.
    """
    table, separator = read_frame(path, dialect)
    if not table.height:
        raise DataError(f"{path}: there is no row in it; expected a row for each step, or for each recording")
    table, columns = _as_wanted(path, table, columns, labels)
    found = found_columns(path, table, columns, labels)
    if found.label is None and labels:
        raise DataError(
            f"{path}: none of the columns {', '.join(table.columns)} is called {columns.label_names[0]}; name the one of "
            f"{columns.label_names[0]}s with {columns.label_flag}{header_hint(path)}"
        )
    wide = (
        wide_columns(found.channels or (), columns.fewest_wide) if columns.channels is None and not found.time else None
    )
    if wide is not None and (found.id is None or table[found.id].n_unique() == table.height):
        read = _of_rows(path, table, found, wide, separator)
    else:
        found, notes = _without_row_numbers(path, table, found, columns)
        read = _of_steps(path, table, found, separator)
        read = replace(read, notes=(*notes, *read.notes))
    return read if columns.channels else replace(read, notes=(*read.notes, *_left_out(path, table, found)))


def _as_wanted(
    path: str | Path, table: polars.DataFrame, columns: Columns, labels: bool
) -> tuple[polars.DataFrame, Columns]:
    """Drop the ignored columns; join columns of ones and zeros, one for each label, into a single column of labels."""
    with needed():
        import polars

    missing = [name for name in columns.ignored if name not in table.columns]
    if missing and not columns.expected:
        raise DataError(f"{path}: has no column {missing[0]!r} to ignore; its columns are {', '.join(table.columns)}")
    table = table.drop(columns.ignored, strict=False)
    names = several_labels(columns.label, table.columns)
    if names is None:
        return table, columns
    if not labels:
        return table.drop(names, strict=False), replace(columns, label=None)
    rows = table.select(names).to_dicts()
    cells = [joined_label(row, names, f"{path}, row {at} after the header") for at, row in enumerate(rows, start=1)]
    label = ";".join(names)
    return table.drop(names).with_columns(polars.Series(label, cells)), replace(columns, label=label)


def _without_row_numbers(
    path: str | Path, table: polars.DataFrame, found: Columns, named: Columns
) -> tuple[Columns, tuple[str, ...]]:
    """Ignore a column of ids that the user did not name and that counts the rows.

    With it each step would be a recording of its own, and neighbouring steps would be in different parts.
    """
    if found.id is None or named.id or table.height == 1 or table[found.id].n_unique() < table.height:
        return found, ()
    ids = sorted(int(cell) if cell and cell.isdigit() else -2 * at for at, cell in enumerate(_cells(table, found.id)))
    if ids == [*range(ids[0], ids[0] + len(ids))]:
        said = f"column {found.id!r} counts the rows and tells no recordings apart; name what does with --recording.id"
        return replace(found, id=None), (f"{path}: {said}",)
    said = f"each row is a recording of one step, called by column {found.id!r}; name another with --recording.id"
    return found, (f"{path}: {said}",)


def _left_out(path: str | Path, table: polars.DataFrame, found: Columns) -> tuple[str, ...]:
    """Make a note that names the columns that are not read; row numbers are not named."""
    read = {found.id, found.time, found.date, found.group, found.label, *(found.channels or ())}
    left = [name for name in table.columns if name not in read and not counts_rows(table[name])]
    if not left:
        return ()
    return (f"{path}: not read: {', '.join(left)}; --recording.channels names all columns that are to be read",)


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
    """Return the cells of a column as texts, None for an empty one.

    If all are whole numbers, "1.0" becomes "1": a data frame with gaps writes whole numbers so.
    """
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
    """Cut off steps at the end without any value, with which shorter recordings are filled up."""
    there = np.flatnonzero(np.logical_not(np.isnan(values).all(1)))
    end = int(there[-1]) + 1 if len(there) else 1
    return np.ascontiguousarray(values[:end])


def _of_steps(path: str | Path, table: polars.DataFrame, found: Columns, separator: str | None) -> Recordings:
    channels = found.channels or ()
    clock = [found.time] if found.time is not None and found.date is None else []
    sign = _decimal(path, table, [*channels, *clock], separator)
    numbers = _numbers(path, table, channels, sign)
    ids = _texts(path, table, found.id, "the name of the recording")
    groups = _texts(path, table, found.group, "the group")
    labels, times = _labels(table, found.label), _times(path, table, found, sign)
    # Trial 1 of one person is not trial 1 of another: group and id together name a recording.
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
        # Some steps may have no label.
        known = {said for said in steps or () if said is not None}
        label = known.pop() if len(known) == 1 else None
        own = None if times is None else times[rows] - times[rows[0]]
        items.append(Recording(id, numbers[rows], label, steps, own, group))
    return Recordings(tuple(channels), tuple(items), notes)


def _times(path: str | Path, table: polars.DataFrame, found: Columns, sign: str) -> np.ndarray | None:
    """Return the times of the rows, (rows,) float64: numbers as they are, dates in seconds."""
    name = found.time
    if name is None:
        return None
    if found.date is not None:
        days, hours = ([str(cell or "").strip() for cell in table[each].to_list()] for each in (found.date, name))
        together = [f"{day} {hour}" if day and hour else "" for day, hour in zip(days, hours, strict=True)]
        with needed():
            import polars

        name = f"{found.date} {name}"
        table = polars.DataFrame({name: together})
    if is_numeric(table[name]):
        numbers = read_numbers(path, table, [name], decimal=sign)[:, 0]
        if np.isnan(numbers).any():
            row = int(np.isnan(numbers).argmax()) + 1
            raise DataError(f"{path}, row {row} after the header: column {name!r} is empty; give every row a time")
        return numbers
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
    """Find the decimal sign: a comma, if no cell says otherwise, as measurements rarely have thousands separators."""
    with needed():
        import polars

    texts = [table[name] for name in names if table[name].dtype == polars.String]
    has_comma = separator != "," and any(column.str.contains(",", literal=True).any() for column in texts)
    return decimal_sign(path, table, names, separator=separator, usual="," if has_comma else ".", hint="") or "."


def _numbers(path: str | Path, table: polars.DataFrame, names: Sequence[str], sign: str) -> np.ndarray:
    """Read columns of numbers as (rows, columns) float64."""
    numbers = read_numbers(path, table, names, decimal=sign)
    wide = np.argwhere(too_large(numbers))
    if len(wide):
        row, column = wide[0].tolist()
        raise DataError(
            f"{path}, row {row + 1} after the header: expected numbers within ±3.4e38 in column {names[column]!r}, got "
            f"{numbers[row, column]}; scale them, or leave the cell empty where the value is missing"
        )
    return numbers
