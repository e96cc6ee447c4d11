"""Grouping, on disk, of rows in any order by their series."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.data.mapped.broken import Collected
from ostinato.data.mapped.rows import RowReader
from ostinato.data.mapped.scratch import GROUP_ROWS
from ostinato.data.mapped.survey import SeriesFound
from ostinato.data.series.layout import Clock
from ostinato.extras import needed

_READ_ROWS = 2 * GROUP_ROWS
_SHELF_ROWS = 2**22  # rows that are sorted at once
_HELD_BYTES = 2**28  # if the mapped columns are larger, their pages are given back to the system while they are filled


@dataclass
class Grouped:
    """Columns of all rows, grouped by series, on disk and mapped; the rows of a series are in the order of the files.

    Attributes:
        begins: (S + 1,) int64, where each series begins.
        moments: (N,) int64, the times.
        offsets: (N,) int64, see `RowNumbers`; None if times have no zone.
        columns: The columns, (N,) float64 each.
        is_dated: Whether moments are microseconds.
        exact: For each column, whether float32 holds all of its numbers exactly.
        zones: For each moment in UTC, the microseconds that the local time is ahead of it.
    """

    begins: np.ndarray
    moments: np.ndarray
    offsets: np.ndarray | None
    columns: list[np.ndarray]
    is_dated: bool
    exact: list[bool]
    zones: dict[int, int] = field(default_factory=dict[int, int])

    def times(self, series: int, clock: Clock) -> tuple[np.ndarray, np.ndarray | slice]:
        """Return the sorted times of a series on a clock, (T,), and the order that sorts its rows."""
        its = slice(int(self.begins[series]), int(self.begins[series + 1]))
        found = np.array(self.moments[its])
        if clock == "local" and self.offsets is not None:
            found = found + self.offsets[its]
        order: np.ndarray | slice = slice(None)
        if (found[1:] < found[:-1]).any():
            order = np.argsort(found, kind="stable")
            found = found[order]
        return (found.astype("datetime64[us]") if self.is_dated else found), order

    def content(self, series: int, order: np.ndarray | slice) -> np.ndarray:
        """Return the numbers of a series, (T, C), its rows in `order`."""
        its = slice(int(self.begins[series]), int(self.begins[series + 1]))
        return np.stack([column[its][order] for column in self.columns], 1)


def grouped_rows(
    parts: Sequence[tuple[str, Path, int]],
    found: SeriesFound,
    reader: RowReader,
    folder: Path,
    show: Callable[[float], None],
) -> Grouped:
    """Read all rows and group them by series.

    Args:
        parts: The name, the Parquet file and the number of rows of each file.
        found: The series.
        reader: The reader of the rows.
        folder: Where the columns are written.
        show: Called with the share that is done.

    Raises:
        DataError: A cell is no number or no time; the message has its file and row.
    """
    with needed():
        import polars

    count = int(found.rows.sum())
    begins = np.concatenate([[0], np.cumsum(found.rows)])
    c = found.columns
    made: dict[str, np.memmap[Any, Any]] = {}

    def file(name: str, dtype: type) -> np.ndarray:
        path = folder / f"grouped-{name}"
        _make_room(path, count * np.dtype(dtype).itemsize)
        made[name] = np.memmap(path, dtype=dtype, mode="r+", shape=(count,))
        return made[name]

    def let_go() -> None:
        if count * 8 * len(made) > _HELD_BYTES:
            for each in made.values():
                _let_go(each)

    columns = [file(str(at), np.float64) for at in range(len(c.values) + len(c.known) + len(c.observed))]
    grouped = Grouped(begins, file("times", np.int64), None, columns, False, [True] * len(columns))
    # Rows are grouped in two passes, because writing each row directly to its series would touch every page of the
    # files again and again. The first pass appends each row to the shelf of its series (a shelf is a range of the files
    # for several series), so it writes in a few places only; the second sorts each shelf, which fits into memory.
    shelves = _Shelves(begins, file("series", np.int32))
    counted, all_rows, broken = 0, sum(rows for *_, rows in parts), Collected()
    for name, part, rows in parts:
        frame = polars.scan_parquet(part, glob=False)
        with broken.of(name):
            for before in range(0, rows, _READ_ROWS):
                table = frame.slice(before, _READ_ROWS).collect()
                its = reader.read(table, name, before, counted)
                order, places = shelves.take(its.series)
                grouped.is_dated = its.moments.dtype.kind == "M"
                _put(grouped.moments, places, its.moments.astype(np.int64)[order])
                if its.offsets is not None:
                    if grouped.offsets is None:
                        grouped.offsets = file("offsets", np.int64)
                    _put(grouped.offsets, places, its.offsets[order])
                    at, one = np.unique(its.moments.astype(np.int64), return_index=True)
                    grouped.zones |= dict(zip(at.tolist(), its.offsets[one].tolist(), strict=True))
                for at, column in enumerate(columns):
                    numbers = its.columns[:, at]
                    _put(column, places, numbers[order])
                    grouped.exact[at] = grouped.exact[at] and _fits(numbers)
                counted += table.height
                let_go()
                show(0.8 * counted / all_rows)
    broken.tell()
    sorted_ones = [each for name, each in made.items() if name != "series"]
    for done, (its_rows, order) in enumerate(shelves.orders(), 1):
        for each in sorted_ones:
            each[its_rows] = each[its_rows][order]
        let_go()
        show(0.8 + 0.2 * done / shelves.count)
    return grouped


class _Shelves:
    """Shelves: ranges of the columns, each for several consecutive series, whose rows are in any order at first.

    Args:
        begins: (S + 1,) int64, where each series begins when all rows are sorted.
        series: (N,) int32, mapped; gets the series of each row.
    """

    def __init__(self, begins: np.ndarray, series: np.ndarray) -> None:
        which = begins[:-1] // _SHELF_ROWS
        first = np.flatnonzero(np.diff(which, prepend=-1))  # the first series of each shelf
        self.count, self._series, self._first = len(first), series, first
        self._of = (np.cumsum(np.diff(which, prepend=-1) != 0) - 1).astype(np.int16 if len(first) < 2**15 else np.int64)
        self._edges = np.append(begins[first], begins[-1])
        self._fill = self._edges[:-1].copy()

    def take(self, series: np.ndarray) -> tuple[np.ndarray, list[tuple[slice, slice]]]:
        """Assign rows to their shelves.

        Returns:
            The order of the rows by their shelves, (n,), and for each shelf a slice of this order and its target in the
            columns.
        """
        of = self._of[series]
        order, places, at = np.argsort(of, kind="stable"), list[tuple[slice, slice]](), 0
        counts = np.bincount(of, minlength=self.count)
        for shelf in np.flatnonzero(counts).tolist():
            begin, n = int(self._fill[shelf]), int(counts[shelf])
            places.append((slice(at, at + n), slice(begin, begin + n)))
            at += n
        self._fill += counts
        _put(self._series, places, series[order])
        return order, places

    def orders(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Give the range of each shelf, and the order that groups its rows by series, without changing their order."""
        for shelf in range(self.count):
            rows = slice(int(self._edges[shelf]), int(self._edges[shelf + 1]))
            series = self._series[rows] - self._first[shelf]
            few = int(series.max(initial=0)) < 2**16  # NumPy sorts 16 bits in linear time
            yield rows, np.argsort(series.astype(np.uint16) if few else series, kind="stable")


def _put(column: np.ndarray, places: Sequence[tuple[slice, slice]], numbers: np.ndarray) -> None:
    for source, target in places:
        column[target] = numbers[source]


def _fits(numbers: np.ndarray) -> bool:
    """Tell whether float32 holds all numbers exactly."""
    with np.errstate(over="ignore"):
        short = numbers.astype(np.float32)
    return bool(((short == numbers) | np.isnan(numbers)).all())


def _make_room(path: Path, size: int) -> None:
    """Make a file with all blocks allocated, as writing to a hole in a mapped file on a full disk kills the process."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, size)
                return
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # some file systems cannot allocate in advance
                    raise
        file.truncate(size)


def _let_go(mapped: np.memmap[Any, Any]) -> None:
    """Give the pages of a mapped file back to the system, so that they no longer count as memory of this process."""
    if hasattr(mmap, "MADV_DONTNEED"):
        pages: Any = getattr(mapped, "_mmap")  # noqa: B009 - NumPy has no name of its own for it
        pages.madvise(mmap.MADV_DONTNEED)
