"""JSON lines and Parquet with a whole recording of any length in each row: its values are a list in one cell.

    {"id": "a", "values": [[0.1, 9.8], [0.2, null]], "label": "walk", "group": "Ada"}

`values` holds a list of steps, each a list with a number for each channel, or a number if there is one channel; or a
list for each channel by name, {"acc": [...], "pressure": [...]}. `label` is the label of the recording, or a list with
one for each step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from ostinato.data.recordings.columns import GROUP_NAMES, ID_NAMES, Columns
from ostinato.data.recordings.recording import Recording, Recordings, channel_names, check_channels, too_large
from ostinato.data.records.targets import SEVERAL
from ostinato.data.sources.cells import JSON_SUFFIXES, PARQUET_SUFFIXES, first_cells, json_lines, read_parquet
from ostinato.data.sources.lines import suffix_of
from ostinato.data.sources.tables import joined_label, several_labels
from ostinato.errors import DataError

_VALUES = ("values", "x", "data", "series", "signal", "recording")
_TIMES = ("times", "time", "timestamps", "t")


def holds_lists(path: str | Path) -> bool:
    """Tell whether the first row of a file has a list of values in a cell."""
    if suffix_of(path) not in (*JSON_SUFFIXES, *PARQUET_SUFFIXES):
        return False
    try:
        _, rows = first_cells(path)
    except DataError:
        return False  # the readers of tables report the error
    return bool(rows) and isinstance(_cell(rows[0], None, _VALUES), list | dict)


def read_lists(path: str | Path, columns: Columns) -> Recordings:
    """Read the recordings of a file with a list of values in each row.

    Args:
        path: A file or URL.
        columns: The keys that a user named: id, group, label, time; and the channels, in their order.

    Raises:
        DataError: A row is no recording; the message names the row.
    """
    items: list[Recording] = []
    channels = columns.channels
    for number, (place, row) in enumerate(_rows(path), start=1):
        where = f"{path}, {place}"
        given = _cell(row, None, _VALUES)
        if isinstance(given, Mapping):
            names, values = _of_channels(where, cast("Mapping[str, Any]", given))
        else:
            values = _of_steps(where, given)
            names = channels or channel_names(values.shape[1])
            if len(names) != values.shape[1]:
                raise DataError(
                    f"{where}: expected steps of {len(names)} numbers ({', '.join(names)}), got {values.shape[1]} in each"
                )
        id, group = _text(_cell(row, columns.id, ID_NAMES)), _text(_cell(row, columns.group, GROUP_NAMES))
        told = _label_cell(where, row, columns)
        label, labels = _labels(where, told, len(values))
        times = _times(where, _cell(row, columns.time, _TIMES), len(values))
        made = Recording(id or str(number), values, label, labels, times, group)
        channels = channels or names
        items += check_channels(Recordings(names, (made,)), channels, where).items
    return Recordings(channels or ("x",), tuple(items))


def _label_cell(where: str, row: Mapping[str, Any], columns: Columns) -> Any:
    if (names := several_labels(columns.label, list(row))) is not None:
        return joined_label(row, names, where)
    found = _cell(row, columns.label, columns.label_names)
    return SEVERAL.join(map(str, cast("list[Any]", found))) if columns.several and isinstance(found, list) else found


def _rows(path: str | Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if suffix_of(path) in JSON_SUFFIXES:
        yield from ((f"line {number}", row) for number, row in json_lines(path))
    else:
        rows = read_parquet(path).iter_rows(named=True)
        yield from ((f"row {number}", row) for number, row in enumerate(rows, start=1))


def _cell(row: Mapping[str, Any], named: str | None, known: tuple[str, ...]) -> Any:
    if named is not None:
        return row.get(named)
    lower = {name.lower(): name for name in reversed(list(row))}
    return next((row[lower[each]] for each in known if each in lower), None)


def _text(cell: Any) -> str | None:
    return None if cell is None else str(cell).strip() or None


def _of_channels(where: str, given: Mapping[str, Any]) -> tuple[tuple[str, ...], np.ndarray]:
    lengths = {name: len(cast("list[Any]", v)) if isinstance(v, list) else -1 for name, v in given.items()}
    if not lengths or len(set(lengths.values())) != 1 or min(lengths.values()) < 1:
        told = ", ".join(f"{name}: {'no list' if n < 0 else n}" for name, n in lengths.items())
        raise DataError(f"{where}: expected a list for each channel, all as long, got {told or 'none'}")
    return tuple(given), _of_steps(where, [list(step) for step in zip(*given.values(), strict=True)])


def _of_steps(where: str, given: Any) -> np.ndarray:
    """Return the values as (T, C) float64."""
    try:
        values = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where}: expected values, a list of steps with as many numbers each (null where one is missing); {error}"
        ) from error
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or not values.size:
        raise DataError(f"{where}: expected values, a list of steps with the numbers of each, got {values.shape}")
    if too_large(values).any():
        step, channel = (int(at) for at in np.argwhere(too_large(values))[0])
        raise DataError(f"{where}: step {step + 1}, channel {channel + 1} is infinite, or too large; expected a number")
    return values


def _labels(where: str, given: Any, steps: int) -> tuple[str | None, tuple[str | None, ...] | None]:
    if not isinstance(given, list):
        return _text(given), None
    listed = cast("list[Any]", given)
    if len(listed) != steps:
        raise DataError(f"{where}: expected a label for each of {steps} steps, got {len(listed)}")
    found = tuple(map(_text, listed))
    return (found[0] if len(set(found)) == 1 else None), found


def _times(where: str, given: Any, steps: int) -> np.ndarray | None:
    if given is None:
        return None
    try:
        found = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape != (steps,) or not np.isfinite(found).all() or (np.diff(found) <= 0).any():
        raise DataError(f"{where}: expected times, {steps} increasing numbers")
    return found - found[0]
