"""The series of a mapped table: each is read when it is accessed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, overload

import numpy as np
from typing_extensions import override  # typing's own from Python 3.12 on

from ostinato.data.mapped.broken import told_unread
from ostinato.data.mapped.build import Told, build
from ostinato.data.mapped.files import TableFiles, find_tables
from ostinato.data.mapped.rows import MISSING
from ostinato.data.mapped.store import ABOUT, Stored, about_table, forget_changed, made_whole, may_write, open_stored
from ostinato.data.mapped.survey import TableAsked
from ostinato.data.series.grids import Grid, grid_from_dict
from ostinato.data.series.layout import Layout
from ostinato.data.series.series import Series, SeriesTable
from ostinato.data.series.steps import Gaps
from ostinato.data.series.times import Form, Times
from ostinato.data.sources.dialect import Dialect
from ostinato.errors import ConfigError, DataError

_VERSION = 2
_MOST_ANSWERED = 3  # the most tables to predict for that are kept beside the training table


class MappedSeries(Sequence[Series]):
    """The series of a table on disk; a series is read when it is accessed.

    Args:
        stored: The table.
        lengths: (S,) int64, how many of the first steps of each series count; None for all steps.
        which: (S,) int64, the indices of the series in the table; None for all series.
    """

    def __init__(self, stored: Stored, lengths: np.ndarray | None = None, which: np.ndarray | None = None):
        self.stored = stored
        index, about = stored.index, stored.about
        self._which = np.arange(len(stored.ids)) if which is None else which
        self._begins = index["begins"][:-1][self._which]
        whole = np.diff(index["begins"])[self._which]
        self.lengths = whole if lengths is None else lengths
        self._is_whole = lengths is None
        self._layout = Layout.from_dict(about["layout"])
        self._grids = [grid_from_dict(each) for each in about["grids"]]
        c = self._layout.columns
        edges = np.cumsum([0, len(c.values), len(c.known), len(c.observed)])
        self._parts = [range(edges[at], edges[at + 1]) for at in range(3)]
        self._words: list[list[str] | None] = about["words"]

    @override
    def __len__(self) -> int:
        return len(self._which)

    @overload
    def __getitem__(self, index: int) -> Series: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Series]: ...
    @override
    def __getitem__(self, index: int | slice) -> Series | Sequence[Series]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]  # raises an IndexError after the end, which ends a loop
        steps = slice(0, int(self.lengths[at]))
        values = [self.values(at, column, steps) for column in range(len(self._parts[0]))]
        return Series(
            self.id(at),
            self.times(at, steps),
            np.stack(values, 1),
            self.known(at, steps),
            self.observed(at, steps),
            self.grid(at),
            self.static(at),
        )

    def id(self, series: int) -> str:
        """Return the name of a series."""
        return self.stored.ids[int(self._which[series])]

    def static(self, series: int) -> np.ndarray:
        """Return the static values of a series, (F,)."""
        return self.stored.index["statics"][self._which[series]]

    def grid(self, series: int) -> Grid | None:
        """Return the grid of a series; None if its times follow no rule."""
        which = int(self.stored.index["grids"][self._which[series]])
        return None if which < 0 else self._grids[which]

    def times(self, series: int, steps: slice) -> np.ndarray:
        """Return the times of some steps of a series, (T,) datetime64[us] or int64."""
        if self.stored.times is not None:
            found = np.array(self.stored.times[self._at(series, steps)])
            return found.astype("datetime64[us]") if self.stored.about["dated"] else found
        grid, first = self.grid(series), int(self.stored.index["firsts"][self._which[series]])
        assert grid is not None
        return grid.times(np.arange(first + steps.start, first + steps.stop, dtype=np.int64))

    def values(self, series: int, column: int, steps: slice) -> np.ndarray:
        """Return one of the columns to forecast, (T,) float64, NaN where missing."""
        return self.stored.columns[column][self._at(series, steps)].astype(np.float64)

    def known(self, series: int, steps: slice) -> np.ndarray:
        """Return covariates known ahead of time, (T, K) float64, with a column of 0 and 1 for each word."""
        return self._covariates(series, self._parts[1], steps)

    def observed(self, series: int, steps: slice) -> np.ndarray:
        """Return the other covariates, (T, P) float64."""
        return self._covariates(series, self._parts[2], steps)

    def _covariates(self, series: int, columns: range, steps: slice) -> np.ndarray:
        parts = [np.zeros((steps.stop - steps.start, 0))]
        for column in columns:
            found, words = self.stored.columns[column][self._at(series, steps)], self._words[column]
            if words is None:
                parts.append(found.astype(np.float64)[:, None])
            else:
                there = (found[:, None] == np.arange(len(words))).astype(np.float64)
                there[found == MISSING] = np.nan
                parts.append(there)
        return np.concatenate(parts, 1)

    def _at(self, series: int, steps: slice) -> slice:
        begin = int(self._begins[series])
        return slice(begin + steps.start, begin + steps.stop)

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return how many values each column of each series has, and their largest absolute value or 0; (S, C) each."""
        if self._is_whole:
            return self.stored.index["counts"][self._which], self.stored.index["largest"][self._which]
        counts, largest = (
            np.zeros((len(self), len(self._parts[0])), np.int64),
            np.zeros((len(self), len(self._parts[0]))),
        )
        for at in range(len(self)):
            for column in self._parts[0]:
                found = np.abs(self.values(at, column, slice(0, int(self.lengths[at]))))
                there = ~np.isnan(found)
                counts[at, column], largest[at, column] = there.sum(), found[there].max(initial=0.0)
        return counts, largest

    def cut(self, end_of: Callable[[np.ndarray], int]) -> MappedSeries:
        """Return the beginning of each series, without series that have no step left.

        Args:
            end_of: Takes the times of a series, (T,), and returns how many steps stay.
        """
        ends = np.array([end_of(self.times(at, slice(0, int(self.lengths[at])))) for at in range(len(self))], np.int64)
        kept = ends > 0
        return MappedSeries(self.stored, ends[kept], self._which[kept])

    @override
    def __iter__(self) -> Iterator[Series]:
        return (self[at] for at in range(len(self)))


def map_series(
    path: str | Path,
    folder: str | Path | None,
    values: Sequence[str] | None = None,
    *,
    time: str | None = None,
    id: str | None = None,
    known: Sequence[str] = (),
    observed: Sequence[str] = (),
    static: Sequence[str] | None = (),
    grid: Gaps = "auto",
    decimal: str | None = None,
    dialect: Dialect | None = None,
    like: Layout | None = None,
    skip_broken: bool = False,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> SeriesTable:
    """Read the series of a table that may be larger than memory: once, into columns on disk, which are mapped.

    The numbers are those that `read_series` gives for the same table. The rows may be in any order, in many files.

    Args:
        path: A file, a folder, a glob (also `**`) or a URL of one of these: CSV, TSV, JSON lines or Parquet. Names of
            folders may give columns, as in `store=CA_1/part.parquet`.
        folder: The folder for the columns, which are used again as long as the names, sizes and times of change of the
            files, and the other arguments, are the same. None for a temporary folder, which is removed with the last
            use of the table.
        values: As for `read_series`, like the arguments up to `like`.
        time: The column of times.
        id: The column that tells series apart.
        known: Covariates known ahead of time.
        observed: Other covariates.
        static: Columns that stay the same in each series.
        grid: What gaps mean.
        decimal: The decimal sign.
        dialect: How CSV or TSV is written.
        like: How the training table was read.
        skip_broken: Whether to leave out files that cannot be read, if there are several; `unread` and notes then name
            them.
        on_progress: Called with the bytes that are done, and the bytes in all.

    Raises:
        DataError: The table cannot be read or stored; the message names the file, and the row if one is wrong.
        ConfigError: A column is named for two roles, or an argument has no valid value.
    """
    if grid not in ("auto", "fill", "rows"):
        raise ConfigError(f"grid must be auto, fill or rows; got {grid!r}")
    if decimal not in (None, ".", ","):
        raise ConfigError(f"decimal must be . or ,; got {decimal!r}")
    tables = find_tables(str(path))
    asked = TableAsked(values, time, id, known, observed, static, like)
    told = Told(grid, decimal, dialect or Dialect(), skip_broken)
    identity = _identity(tables, asked, told)
    temporary = None
    if folder is None or not may_write(Path(folder)):
        temporary = tempfile.mkdtemp(prefix="ostinato-table-")
        folder = temporary
    try:
        stored = _stored(str(path), tables, Path(folder), identity, asked, told, on_progress)
    except BaseException:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        raise
    if temporary is not None:
        weakref.finalize(stored, shutil.rmtree, temporary, ignore_errors=True)
    return _table(tables, stored)


def _identity(tables: TableFiles, asked: TableAsked, told: Told) -> dict[str, Any]:
    """Return what a table on disk is made from: the files, the columns and the settings."""
    like = None if asked.like is None else asked.like.to_dict()
    columns = {name: getattr(asked, name) for name in ("values", "time", "id", "known", "observed", "static")}
    how = {
        "gaps": told.gaps,
        "decimal": told.decimal,
        "separator": told.dialect.separator,
        "header": told.dialect.header,
        "skip_broken": told.skip_broken,
    }
    found = {"version": _VERSION, "files": tables.identity(), "columns": columns, "how": how, "like": like}
    return json.loads(json.dumps(found))


def _stored(
    path: str,
    tables: TableFiles,
    folder: Path,
    identity: dict[str, Any],
    asked: TableAsked,
    told: Told,
    on_progress: Callable[[int, int | None], None] | None,
) -> Stored:
    own = folder / hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    for place in (own, *_same(folder, identity)):
        if (stored := open_stored(place)) is not None:
            with suppress(OSError):  # marks the time of the last use
                os.utime(place / ABOUT)
            return stored
    with made_whole(own) as beside:
        about = build(path, tables, beside, asked, told, on_progress)
        if find_tables(path).identity() != identity["files"]:
            raise DataError(
                f"{path}: its files have changed while they were read; run the same again when nobody writes to them"
            )
        text = json.dumps({**about, "about": identity, "data": path}, ensure_ascii=False)
        (beside / ABOUT).write_text(text, encoding="utf-8")
    forget_changed(own, path, identity["files"])
    if asked.like is not None:
        _forget_oldest(folder, own)
    stored = open_stored(own)
    assert stored is not None
    return stored


def _forget_oldest(folder: Path, own: Path) -> None:
    """Remove tables that were read for predictions, except those that were used last."""
    found: list[tuple[int, Path]] = []
    for other in folder.iterdir():
        about = about_table(other)
        if other != own and about is not None and about["about"]["like"] is not None:
            with suppress(OSError):  # another process removes it
                found.append(((other / ABOUT).stat().st_mtime_ns, other))
    for _, other in sorted(found)[: -(_MOST_ANSWERED - 1)]:
        shutil.rmtree(other, ignore_errors=True)


def _same(folder: Path, identity: dict[str, Any]) -> Iterator[Path]:
    """Give training tables of the same files that were read in the way that this one is to be read."""
    if identity["like"] is None or not folder.is_dir():
        return
    for other in sorted(folder.iterdir()):
        about = about_table(other)
        if about is None or about["about"]["files"] != identity["files"] or about["about"]["how"] != identity["how"]:
            continue
        if about["about"]["like"] is None and json.loads(json.dumps(about["layout"])) == identity["like"]:
            yield other


def _table(tables: TableFiles, stored: Stored) -> SeriesTable:
    about = stored.about
    layout, written = Layout.from_dict(about["layout"]), about["written"]
    names: list[tuple[str, ...]] = []
    at = len(layout.columns.values)
    for part in (layout.columns.known, layout.columns.observed):
        found: list[str] = []
        for name in part:
            words = about["words"][at]
            found += [name] if words is None else [f"{name}={word}" for word in words]
            at += 1
        names.append(tuple(found))
    moments = np.array(written["moments"], dtype=np.int64)
    offsets = None if written["offsets"] is None else np.array(written["offsets"], dtype=np.int64)
    times = Times(
        moments.astype("datetime64[us]") if about["dated"] else moments,
        Form(**written["form"]),
        offsets,
        written["zone"],
    )
    unread = tuple(about["unread"])
    return SeriesTable(
        tables.name,
        MappedSeries(stored),
        layout.columns.values,
        names[0],
        names[1],
        layout.step,
        layout,
        times,
        (*about["notes"], *told_unread(tables.name, unread)),
        tuple(about["static"]),
        unread,
    )
