"""A survey of a table of many files before it is read: the roles of its columns, its series, its static columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ostinato.data.mapped.broken import BrokenFilesError, Collected
from ostinato.data.mapped.scratch import Scanned
from ostinato.data.series.columns import COUNT_NAMES, ID_NAMES, INDEX_NAMES, Columns, find_columns
from ostinato.data.series.layout import Layout
from ostinato.data.series.likeness import as_in_training, static_like
from ostinato.data.series.numbers import MISSING_WORDS
from ostinato.data.series.statics import may_be_static, tells_apart, with_static
from ostinato.data.sources.cells import NO_HEADER, one_line
from ostinato.errors import DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars

_SAMPLE_ROWS, _SAMPLE_FILES = 20_000, 20
_ROW = "\0row"  # a name that no table has


@dataclass(frozen=True)
class TableAsked:
    """The user's settings about the columns of a table, as for `read_series`.

    Attributes:
        values: Names of the columns to forecast; None for all columns of numbers.
        time: Name of the column of times; None to find it.
        id: Name of the column that tells series apart; None to find it.
        known: Names of covariates known ahead of time.
        observed: Names of covariates known up to now.
        static: Names of columns that stay the same in each series; None to find them.
        like: How the training table was read; None if this is the training table.
    """

    values: Sequence[str] | None
    time: str | None
    id: str | None
    known: Sequence[str]
    observed: Sequence[str]
    static: Sequence[str] | None
    like: Layout | None


@dataclass(frozen=True)
class Roles:
    """The role of each column.

    Attributes:
        columns: The roles, without static columns, which are still to be found.
        candidates: Columns that may be static.
        absent: Static columns of training that this table lacks.
        sample: Rows of several files, from which the roles were found.
        named: The columns to forecast that the user or training named; None if they were found.
        asked: The user's settings, completed by what was found and by what training had.
    """

    columns: Columns
    candidates: tuple[str, ...]
    absent: tuple[str, ...]
    sample: polars.DataFrame
    named: Sequence[str] | None
    asked: TableAsked

    @property
    def needed(self) -> list[str]:
        """The columns to read; all of them are in the files."""
        c = self.columns
        names = (c.time, c.id, *c.values, *c.known, *c.observed, *self.candidates)
        return [name for name in dict.fromkeys(names) if name is not None and name not in self.absent]


def roles_of(path: str, files: Sequence[Scanned], asked: TableAsked, notes: list[str]) -> Roles:
    """Find the role of each column, as `read_series` does, from the first rows of some files.

    Raises:
        DataError: A named column does not exist, or there is none to forecast.
        ConfigError: A column is named for two roles.
    """
    with needed():
        pass

    some = np.unique(np.linspace(0, len(files) - 1, min(len(files), _SAMPLE_FILES)).astype(int))
    heads: dict[str, polars.DataFrame] = {}
    broken = Collected()
    for each in (files[int(at)] for at in some):
        with broken.of(each.name):
            heads[each.name] = each.head(_SAMPLE_ROWS // len(some))
    broken.tell()
    sample = _together(heads)
    if not sample.height:
        raise DataError(f"{path}: there is no row in it; expected a row a step")
    sample = _without_counts(files, sample)
    hint = f". {NO_HEADER}" if files[0].separator is not None and files[0].has_header else ""
    values, time, id, static, absent = asked.values, asked.time, asked.id, asked.static, ()
    if asked.like is not None:
        values, time, id = as_in_training(path, sample, asked.like, time, id, notes)
        before = set(sample.columns)
        sample, static = static_like(path, sample, asked.like, (), notes)
        absent = tuple(name for name in sample.columns if name not in before)
    columns = find_columns(path, sample, values, (*asked.known, *(static or ())), asked.observed, time, id, hint)
    columns = dataclasses.replace(columns, known=tuple(asked.known), static=())
    asked = dataclasses.replace(asked, values=values, time=columns.time, id=columns.id, static=static)
    candidates: Sequence[str] = static or ()
    if static is None and columns.id is not None:
        candidates = may_be_static(sample, columns, values)
        candidates = [name for name in candidates if _once_in_each(sample, columns.id, name)]
    return Roles(columns, tuple(candidates), absent, sample, values, asked)


def _together(heads: Mapping[str, polars.DataFrame]) -> polars.DataFrame:
    with needed():
        import polars

    first, *others = heads
    sample = heads[first]
    for name in others:
        try:
            sample = polars.concat([sample, heads[name]], how="diagonal_relaxed")
        except Exception as error:  # the errors of polars have no common class
            reason = f"its columns are of other types than those of {first} ({one_line(error)})"
            raise BrokenFilesError({name: f"{name}: {reason}"}) from error
    return sample


def _without_counts(files: Sequence[Scanned], sample: polars.DataFrame) -> polars.DataFrame:
    """Change a sample so that a column looks like row numbers in it only if it does in the whole table."""
    with needed():
        import polars

    named = (*COUNT_NAMES, *ID_NAMES)
    seeming = [name for name in sample.columns if INDEX_NAMES.fullmatch(name.lower()) or name.lower() in named]
    others: list[str] = []
    for name in seeming:
        if not (sample[name].dtype == polars.String or sample[name].dtype.is_integer()):
            others.append(name)
            continue
        numbers = sample[name].cast(polars.Int64, strict=False)
        if numbers.has_nulls() or numbers.n_unique() != len(numbers):
            others.append(name)
            continue
        rows = total = 0
        least, most = (2**62), -(2**62)
        for file in files:
            cells = file.frame.select(polars.col(name).cast(polars.Int64, strict=False).alias("n"))
            count, low, high = (
                cells.select(polars.len(), polars.min("n").alias("a"), polars.max("n").alias("b")).collect().row(0)
            )
            rows, least, most = rows + count, min(least, low or 0), max(most, high or 0)
            total += 1
        if most - least + 1 != rows and not (total > 1 and INDEX_NAMES.fullmatch(name.lower())):
            others.append(name)
    counts = [name for name in seeming if name not in others]
    if not others:
        return sample
    # If a row occurs twice, none of its columns can be row numbers.
    return polars.concat([sample.drop(counts), sample.drop(counts).head(1)])


def _once_in_each(sample: polars.DataFrame, id: str, name: str) -> bool:
    with needed():
        import polars

    apart = (
        sample.select(polars.col(id).cast(polars.String).alias("id"), polars.col(name).alias("value"))
        .drop_nulls()
        .unique()
    )
    return apart.height == apart["id"].n_unique()


@dataclass(frozen=True)
class SeriesFound:
    """The series of a table, in the order in which they begin.

    Attributes:
        ids: (S,) texts, their names.
        rows: (S,) int64, how many rows each has.
        columns: The roles of all columns.
        statics: A table with a row for each series: the value of each static column, as it is written; null if missing.
    """

    ids: polars.Series
    rows: np.ndarray
    columns: Columns
    statics: polars.DataFrame


def series_in(path: str, parts: Sequence[tuple[str, Path, int]], roles: Roles, notes: list[str]) -> SeriesFound:
    """Count the rows of each series, and find the static columns.

    Args:
        path: The path of the table, for messages.
        parts: The name, the Parquet file and the number of rows of each file.
        roles: The roles of its columns.
        notes: Gets a line if static columns were found.

    Raises:
        DataError: A row has no id, or a column that the user named as static changes within a series.
    """
    with needed():
        import polars

    id, absent = roles.columns.id, roles.absent
    names = [name for name in roles.candidates if name not in absent]
    if id is None:
        whole = [_full(polars.scan_parquet(part, glob=False), roles) for _, part, _ in parts]
        rows = sum(each.select(polars.len()).collect().item() for each in whole)
        statics = {name: polars.Series([None], dtype=polars.String) for name in roles.candidates}
        found = with_static(path, roles.sample, roles.columns, roles.asked.static or (), roles.named, notes)
        for name in names:
            frame = polars.concat([polars.scan_parquet(part, glob=False).select(name) for _, part, _ in parts])
            there = _cells(name, frame.collect_schema()[name], True)
            some = frame.select(there).drop_nulls().unique().head(2).collect().to_series()
            _same(path, "", name, some.to_list())
            statics[name] = some.head(1) if len(some) else polars.Series([None], dtype=some.dtype)
        frame = polars.DataFrame(statics) if statics else polars.DataFrame({_ROW: [0]})
        return SeriesFound(polars.Series([""]), np.array([rows]), found, frame)
    tables: list[polars.DataFrame] = []
    before = 0
    for name, part, rows in parts:
        tables.append(_of_file(name, part, roles, names, before))
        before += rows
    table = (
        polars.concat(tables, how="vertical_relaxed")
        .group_by(_ROW + "id")
        .agg(
            polars.col(_ROW).min(),
            polars.col(_ROW + "rows").sum(),
            *(polars.col(f"{_ROW}{at}min").min() for at in range(len(names))),
            *(polars.col(f"{_ROW}{at}max").max() for at in range(len(names))),
            *(polars.col(f"{_ROW}{at}there").sum() for at in range(len(names))),
        )
    )
    table = table.sort(_ROW)
    wanted = roles.asked.static is not None
    values = {name: table[f"{_ROW}{at}min"].alias(name) for at, name in enumerate(names)}
    for at, name in enumerate(names if wanted else ()):
        odd = table.filter(polars.col(f"{_ROW}{at}min") != polars.col(f"{_ROW}{at}max"))
        if odd.height:
            row = odd.row(0, named=True)
            _same(path, row[_ROW + "id"], name, [row[f"{_ROW}{at}min"], row[f"{_ROW}{at}max"]])

    def stays(name: str) -> bool:
        if name not in names:
            return False
        at = names.index(name)
        there = table.filter(polars.col(f"{_ROW}{at}there") > 0)
        same = (there[f"{_ROW}{at}min"] == there[f"{_ROW}{at}max"]).all()
        if not same or int(there[f"{_ROW}{at}there"].sum()) == there.height:
            return False
        return tells_apart(values[name], there.height, there[f"{_ROW}{at}min"].n_unique())

    columns = with_static(path, roles.sample, roles.columns, roles.asked.static, roles.named, notes, stays)
    statics = {
        name: values.get(name, polars.Series(name, [None] * table.height, dtype=polars.String))
        for name in columns.static
    }
    frame = polars.DataFrame(statics) if statics else table.select(_ROW)
    return SeriesFound(
        table[_ROW + "id"].alias("id"), table[_ROW + "rows"].cast(polars.Int64).to_numpy(), columns, frame
    )


def _of_file(name: str, part: Path, roles: Roles, names: Sequence[str], before: int) -> polars.DataFrame:
    """Return a table with a row for each series of a file: its first row, its rows, its least and largest cells."""
    with needed():
        import polars

    assert roles.columns.id is not None
    frame = polars.scan_parquet(part, glob=False)
    schema = frame.collect_schema()
    wanted = roles.asked.static is not None
    id = id_of(roles.columns.id)
    cells = [_cells(each, schema[each], wanted) for each in names]
    table = (
        _full(frame.with_row_index(_ROW), roles)
        .group_by(id.alias(_ROW + "id"))
        .agg(
            polars.col(_ROW).min().cast(polars.Int64) + before,
            polars.len().alias(_ROW + "rows").cast(polars.Int64),
            *(each.min().alias(f"{_ROW}{at}min") for at, each in enumerate(cells)),
            *(each.max().alias(f"{_ROW}{at}max") for at, each in enumerate(cells)),
            *(each.count().cast(polars.Int64).alias(f"{_ROW}{at}there") for at, each in enumerate(cells)),
        )
        .collect(engine="streaming")
    )
    empty = table.filter(polars.col(_ROW + "id").is_null() | (polars.col(_ROW + "id") == ""))
    if empty.height:
        row = int(empty[_ROW].cast(polars.Int64).min() or 0) - before  # pyright: ignore[reportArgumentType]
        said = f"{name}, row {row + 1} after the header: column {roles.columns.id!r}, which tells the series apart, is empty"
        raise BrokenFilesError({name: f"{said}; give every row the name of its series"})
    return table


def id_of(name: str) -> polars.Expr:
    """Return an expression for the name of a row's series, as it is written, without blanks around it."""
    with needed():
        import polars

    return polars.col(name).cast(polars.String).str.strip_chars()


def _full(frame: polars.LazyFrame, roles: Roles) -> polars.LazyFrame:
    return frame if roles.columns.time is None else frame.filter(~is_empty(frame.collect_schema()))


def is_empty(schema: polars.Schema) -> polars.Expr:
    """Return an expression that is true for a row without any content, with which exports of spreadsheets end."""
    with needed():
        import polars

    return polars.all_horizontal(
        (polars.col(name).fill_null("").str.strip_chars() == "")
        if kind == polars.String
        else polars.col(name).is_null()
        for name, kind in schema.items()
        if name != _ROW
    )


def _cells(name: str, kind: polars.DataType, wanted: bool) -> polars.Expr:
    """Return an expression for the cells of a column; if `wanted`, words for a missing value become null."""
    with needed():
        import polars

    column = polars.col(name)
    if isinstance(kind, polars.Categorical | polars.Enum):
        column = column.cast(polars.String)
    elif kind != polars.String:
        return column
    if not wanted:
        return column
    bare = column.str.strip_chars()
    return polars.when(bare.str.to_lowercase().is_in(MISSING_WORDS)).then(None).otherwise(bare)


def _same(path: str, series: str, name: str, values: list[object]) -> None:
    if len(values) > 1 and _as_number(values[0]) != _as_number(values[1]):
        raise DataError(
            f"{path}: column {name!r} is to stay the same in a series, but {series!r} has {values[0]!r} and {values[1]!r}; name it "
            "with --reading.known where it changes"
        )


def _as_number(value: object) -> object:
    try:
        return float(str(value))
    except ValueError:
        return value


Progress = Callable[[int, int | None], None]
