"""Writes the columns of a table on disk: groups rows by series, sorts them by time and places them on their grids."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.data.mapped.broken import SKIP, BrokenFilesError, Collected
from ostinato.data.mapped.files import TableFiles
from ostinato.data.mapped.grouping import Grouped, grouped_rows
from ostinato.data.mapped.rows import MISSING, UNKNOWN, RowReader
from ostinato.data.mapped.scratch import Scanned, scan
from ostinato.data.mapped.store import PARTS, TIMES, ColumnFile, write_index
from ostinato.data.mapped.survey import Progress, SeriesFound, TableAsked, roles_of, series_in
from ostinato.data.series.categories import expanded
from ostinato.data.series.grids import OFF, Grid
from ostinato.data.series.laying import laid, no_time_twice, same_step
from ostinato.data.series.layout import Clock, Layout
from ostinato.data.series.likeness import same_clock
from ostinato.data.series.numbers import decimal_sign, read_numbers
from ostinato.data.series.patterns import find_grid
from ostinato.data.series.steps import Gaps, layout_of, remarks
from ostinato.data.series.times import Form, Times
from ostinato.data.sources.dialect import Dialect
from ostinato.errors import DataError

_SAMPLED = 300  # series that determine the grid if there are more than `_MOST_LOOKED_AT`
_MOST_LOOKED_AT = 500  # the most series that may each have a grid of its own, as in `patterns`


@dataclass(frozen=True)
class Told:
    """The user's settings for reading a table, except those about its columns.

    Attributes:
        gaps: As `grid` of `read_series`.
        decimal: The decimal sign; None to find it.
        dialect: How CSV or TSV is written.
        skip_broken: Whether to leave out files that cannot be read, if there are several.
    """

    gaps: Gaps
    decimal: str | None
    dialect: Dialect
    skip_broken: bool = False


def build(
    path: str, tables: TableFiles, folder: Path, asked: TableAsked, told: Told, on_progress: Progress | None
) -> dict[str, Any]:
    """Write the columns of a table into a folder.

    Args:
        path: The path of the table, for messages.
        tables: The files of the table.
        folder: The folder to write into; it may hold only what a killed process has read before.
        asked: The user's settings about columns.
        told: The other settings.
        on_progress: Called with the bytes that are done, and the bytes in all.

    Returns:
        The description of the table.

    Raises:
        DataError: The table cannot be read; the message names the file, and the row if one is wrong.
    """
    unread: dict[str, str] = {}
    while True:
        left = tuple(each for each in tables.files if each.document.name not in unread)
        if not left:
            first = next(iter(unread.values()))
            raise DataError(f"{path}: none of its {len(unread)} files can be read; the first: {first}")
        try:
            about = _of_files(path, dataclasses.replace(tables, files=left), folder, asked, told, on_progress)
            return {**about, "unread": list(unread.values())}
        except BrokenFilesError as error:
            if len(tables.files) == 1:
                raise
            if not told.skip_broken:
                raise BrokenFilesError(error.reasons, SKIP) from error
            # The next round uses what was already read of the other files, as after a kill.
            unread |= {name: " ".join(reason.split()) for name, reason in error.reasons.items()}


def _of_files(
    path: str, tables: TableFiles, folder: Path, asked: TableAsked, told: Told, on_progress: Progress | None
) -> dict[str, Any]:
    total = sum(each.document.stored or 0 for each in tables.files)

    def show(share: float) -> None:
        if on_progress is not None:
            on_progress(int(share * total), total)

    notes: list[str] = []
    wanted = [name for name in (asked.time, asked.id, *(asked.values or ()), *asked.known, *asked.observed) if name]
    wanted += list(asked.static or ())
    scanned, broken = list[Scanned](), Collected()
    for at, each in enumerate(tables.files):
        with broken.of(each.document.name):
            scanned.append(scan(each, told.dialect, folder, at, wanted))
    broken.tell()
    roles = roles_of(path, scanned, asked, notes)
    parts: list[tuple[str, Path, int]] = []
    for at, each in enumerate(scanned):
        part = folder / f"{PARTS}{zlib.crc32(each.name.encode()):08x}-{Path(each.name).name}.parquet"
        with broken.of(each.name):
            parts.append((each.name, part, each.kept(part, roles.needed)))
        show(0.4 * (at + 1) / len(scanned))
    broken.tell()
    for each in scanned:
        if each.near.parent == folder:
            each.near.unlink()
    found = series_in(path, parts, roles, notes)
    if not len(found.rows) or not found.rows.sum():
        raise DataError(f"{path}: there is no row in it; expected a row a step")
    if roles.named is None and len(found.columns.values) > 1:
        notes.append(
            f"{path}: forecasts all of its numbers, {', '.join(found.columns.values)}; --reading.values "
            f"'[{found.columns.values[0]}]' takes some"
        )
    reader = RowReader(path, roles, found.columns, found.ids, told.decimal, scanned[0].separator)
    reader.look_at_times([part for _, part, _ in parts])
    grouped = grouped_rows(parts, found, reader, folder, partial(_shown, show, 0.4, 0.5))
    return _Laying(path, folder, found, reader, grouped, asked.like, told, notes).all(partial(_shown, show, 0.9, 0.1))


def _shown(show: Callable[[float], None], begin: float, length: float, share: float) -> None:
    show(begin + length * share)


class _Laying:
    """Writer of the final columns: places the series on their grids, one after the other."""

    def __init__(
        self,
        path: str,
        folder: Path,
        found: SeriesFound,
        reader: RowReader,
        grouped: Grouped,
        like: Layout | None,
        told: Told,
        notes: list[str],
    ) -> None:
        self.path, self.folder, self.found, self.reader, self.grouped = path, folder, found, reader, grouped
        self.like, self.told, self.notes = like, told, notes
        self.ids = [str(each) for each in found.ids.to_list()]
        self.words, self.places = reader.sorted_words(int(found.rows.sum()))
        for name, words in reader.strange.items():
            shown = ", ".join(map(repr, sorted(words)[:5]))
            notes.append(f"{path}: training never had {shown} in column {name!r}: read as none of its words")
        self.static, self.static_names, static_words = self._statics()
        self.all_words = self.words | static_words

    def all(self, show: Callable[[float], None]) -> dict[str, Any]:
        """Write all series; return the description of the table."""
        times = self._written()
        layout = self._layout(times, sampled=len(self.ids) > _MOST_LOOKED_AT)
        try:
            return self._lay(layout, times, show)
        except DataError:
            # Series outside the sample may have finer steps than those in it.
            if self.like is not None or len(self.ids) <= _MOST_LOOKED_AT:
                raise
            wider = self._layout(times, sampled=False)
            if wider == layout:
                raise
            return self._lay(wider, times, show)

    def _written(self) -> Times:
        """Return how times are written; with a zone, the moments when the offset changed."""
        form, zones = self.reader.form or Form(kind="number"), sorted(self.grouped.zones.items())
        if self.grouped.offsets is None:
            kind = "datetime64[us]" if self.grouped.is_dated else np.int64
            return Times(np.zeros(0, dtype=kind), form)
        changes = [each for at, each in enumerate(zones) if not at or each[1] != zones[at - 1][1]]
        moments, offsets = (np.array([each[part] for each in changes], dtype=np.int64) for part in (0, 1))
        return Times(moments.astype("datetime64[us]"), form, offsets, self.reader.zone)

    def _layout(self, times: Times, *, sampled: bool) -> Layout:
        columns, S = self.found.columns, len(self.ids)
        some = np.unique(np.linspace(0, S - 1, _SAMPLED).astype(int)) if sampled else np.arange(S)
        if self.like is not None:
            _, clock = same_clock(self.path, times, self.like, self.notes)
            layout = dataclasses.replace(self.like, columns=columns, clock=clock)
            few = np.unique(np.linspace(0, S - 1, min(S, _MOST_LOOKED_AT)).astype(int)).tolist()
            same_step(self.path, {self.ids[at]: self._times_of(at, clock) for at in few}, layout)
            return layout
        clocks: dict[Clock, Mapping[str, np.ndarray]] = {}
        names: tuple[Clock, ...] = ("",) if self.grouped.offsets is None else ("local", "utc")
        for clock in names if columns.time is not None else ():
            clocks[clock] = {self.ids[at]: self.grouped.times(at, clock)[0] for at in some.tolist()}
        offsets = tuple(sorted(set(self.grouped.zones.values())))
        layout = layout_of(self.path, columns, clocks, self.told.gaps, times.zone, offsets)
        if S > _MOST_LOOKED_AT and self.told.gaps != "fill" and columns.time is not None:
            grid = find_grid(list(clocks[layout.clock].values()))  # no series has a grid of its own
            filled = grid is not None and self.told.gaps != "rows"
            layout = dataclasses.replace(layout, grid=grid, own={}, filled=filled)
        sign = self.reader.sign
        return dataclasses.replace(layout, words=self.all_words, decimal=sign, day_first=self.reader.day_first)

    def _times_of(self, series: int, clock: Clock) -> np.ndarray:
        found, _ = self.grouped.times(series, clock)
        no_time_twice(self.path, self.ids[series], found)
        return found

    def _statics(self) -> tuple[np.ndarray, tuple[str, ...], dict[str, tuple[str, ...]]]:
        """Return the static values, (S, F), the names of their columns, and the words of columns of words."""
        columns, table = self.found.columns, self.found.statics
        like = self.like.words if self.like is not None else None
        found = expanded(self.path, table, columns.static, like, self.notes, int(self.found.rows.sum()))
        if not found.names:
            return np.zeros((len(self.ids), 0)), (), {}
        sign = self.reader.sign or decimal_sign(self.path, table, columns.static) or "."
        return read_numbers(self.path, found.table, found.names, decimal=sign), found.names, found.words

    def _lay(self, layout: Layout, times: Times, show: Callable[[float], None]) -> dict[str, Any]:
        with ExitStack() as stack:  # closes all files after an error, too: an open file would flush its buffer later
            return self._into(layout, times, show, stack)

    def _file(self, name: str, dtype: np.dtype[Any], stack: ExitStack) -> ColumnFile:
        file = ColumnFile(self.folder / name, dtype)
        stack.callback(file.leave)
        return file

    def _into(self, layout: Layout, times: Times, show: Callable[[float], None], stack: ExitStack) -> dict[str, Any]:
        grouped, c, S = self.grouped, self.found.columns, len(self.ids)
        names = (*c.values, *c.known, *c.observed)
        wordy = {at: name for at, name in enumerate(names) if name in self.words}
        dtypes = [
            np.dtype(np.int16 if at in wordy else np.float32 if ok else np.float64)
            for at, ok in enumerate(grouped.exact)
        ]
        files = [self._file(f"column-{at}", dtype, stack) for at, dtype in enumerate(dtypes)]
        on_grid = layout.grid is not None and layout.filled
        moments_file = None if on_grid else self._file(TIMES, np.dtype(np.int64), stack)
        grids: dict[Grid, int] = {}
        begins, firsts, which = np.zeros(S + 1, np.int64), np.zeros(S, np.int64), np.full(S, -1, np.int32)
        counts, largest = np.zeros((S, len(c.values)), np.int64), np.zeros((S, len(c.values)))
        sizes = np.zeros(len(names))
        for at, id in enumerate(self.ids):
            moments, order = grouped.times(at, layout.clock)
            no_time_twice(self.path, id, moments)
            content = grouped.content(at, order)
            for column, name in wordy.items():
                content[:, column] = _placed(content[:, column], self.places[name])
            when, content, grid = laid(self.path, id, moments, content, layout, self.notes)
            if grid is not None:
                which[at] = grids.setdefault(grid, len(grids))
            if on_grid:
                assert grid is not None
                firsts[at] = int(grid.numbers(when[:1])[0])
                assert firsts[at] != OFF
            elif moments_file is not None:
                moments_file.append(when.astype(np.int64))
            for column, file in enumerate(files):
                numbers = content[:, column]
                file.append(np.where(np.isnan(numbers), MISSING, numbers) if column in wordy else numbers)
            values = content[:, : len(c.values)]
            there = ~np.isnan(values)
            sizes = np.maximum(sizes, np.nanmax(np.abs(content), 0, initial=0.0))
            counts[at], largest[at] = there.sum(0), np.where(there, np.abs(values), 0.0).max(0, initial=0.0)
            begins[at + 1] = begins[at] + len(content)
            if at % 256 == 0:
                show(at / S)
        if self.like is None:
            self.notes += remarks(layout, int(begins[-1]), int(self.found.rows.sum()), int(self.found.rows.max()))
        index = {"begins": begins, "firsts": firsts, "grids": which, "statics": self.static, "counts": counts}
        index |= {"largest": largest, "sizes": sizes}
        checksum = write_index(self.folder, index, self.ids)
        for left in (*self.folder.glob("grouped-*"), *self.folder.glob(f"{PARTS}*")):
            left.unlink()
        offsets = None if times.offsets is None else times.offsets.tolist()
        return {
            "columns": [each.finish() for each in files],
            "times": None if moments_file is None else moments_file.finish(),
            "index": checksum,
            "dated": grouped.is_dated,
            "layout": layout.to_dict(),
            "words": [None if at not in wordy else list(self.words[wordy[at]]) for at in range(len(names))],
            "static": list(self.static_names),
            "grids": [each.to_dict() for each in grids],
            "written": {
                "moments": times.moments.astype(np.int64).tolist(),
                "form": dataclasses.asdict(times.form),
                "offsets": offsets,
                "zone": times.zone,
            },
            "notes": self.notes,
        }


def _placed(codes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Convert numbers of words from the order of first appearance to sorted order; NaN for a missing word."""
    known = places[codes.clip(0).astype(np.int64)] if len(places) else codes
    return np.where(codes == MISSING, np.nan, np.where(codes == UNKNOWN, UNKNOWN, known))
