"""Rows of tables as they are written: CSV, TSV, JSON lines and Parquet.

Cells stay as they are written, and errors name the line. Therefore CSV is read by Python's csv module here; `frames`
reads it with polars, for numbers.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.data.sources.dialect import SEPARATORS, Dialect, header_of, separator_of, table_text
from ostinato.data.sources.lines import decoded, numbered_lines, open_file, suffix_of
from ostinato.data.sources.memory import check_texts
from ostinato.data.sources.opening import is_compressed
from ostinato.data.sources.text import check_there
from ostinato.errors import DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
PARQUET_SUFFIXES = (".parquet", ".pq")
TABLE_SUFFIXES = (*SEPARATORS, *JSON_SUFFIXES, *PARQUET_SUFFIXES)
NO_HEADER = "If its first line is a row like others, add --reading.header false: the columns are then called 1, 2, ..."
_LONGEST_CELL = 2**30
_FIRST_BYTES, _FIRST_ROWS = 2**16, 100
_BYTE_ORDER_MARK = "\ufeff"


def header_hint(path: str | Path) -> str:
    """Return the end of an error: what to do if columns have no names; "" for formats in which they always have."""
    names = Path(path).name.lower().split(".")
    return "" if any(f".{name}" in (*JSON_SUFFIXES, *PARQUET_SUFFIXES) for name in names[1:]) else f". {NO_HEADER}"


def read_cells(path: str | Path, dialect: Dialect | None = None) -> tuple[list[str], list[tuple[str, dict[str, Any]]]]:
    """Read the columns of a table, and its rows with their places ("line 7"). Empty lines are no rows.

    Args:
        path: .csv or .tsv, whose first line names the columns; .jsonl (also .ndjson, .json: an object a line) or .parquet.
        dialect: How CSV or TSV is written; None for the usual form.

    Raises:
        DataError: The suffix is of no known format, or the content does not have its format; the message names the
            line.
    """
    dialect, suffix = dialect or Dialect(), suffix_of(path)
    if suffix not in SEPARATORS and suffix in TABLE_SUFFIXES:
        dialect.refuse(path)
    if suffix in JSON_SUFFIXES:
        rows = [(f"line {number}", row) for number, row in json_lines(path)]
        columns = [*dict.fromkeys(column for _, row in rows for column in row)]
    elif suffix in PARQUET_SUFFIXES:
        table = read_parquet(path)
        check_texts(str(path), table)
        rows = [(f"row {number}", row) for number, row in enumerate(table.iter_rows(named=True), start=1)]
        columns = table.columns
    elif suffix in SEPARATORS:
        content = table_text(path)
        columns, rows = _separated(path, content, separator_of(path, content, suffix, dialect), dialect)
    else:
        check_there(str(path))
        raise DataError(f"{path}: expected a name that ends in {', '.join(TABLE_SUFFIXES)}, compressed or not")
    if not columns:
        raise DataError(f"{path}: there is nothing in it; expected a table whose columns have names")
    return columns, rows


class _AsWritten(float):
    """A number of JSON that remembers how it is written, because as names 1.10 and 1.1 are different."""

    def __new__(cls, text: str) -> _AsWritten:
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str

    def __str__(self) -> str:
        return self.text


def first_cells(path: str | Path, dialect: Dialect | None = None) -> tuple[list[str], list[dict[str, Any]]]:
    """Read the columns and the first rows as `read_cells` does: enough to tell what a table of any size holds."""
    suffix, dialect = suffix_of(path), dialect or Dialect()
    if suffix in JSON_SUFFIXES:
        rows = [row for _, row in itertools.islice(json_lines(path), _FIRST_ROWS)]
        return [*dict.fromkeys(column for row in rows for column in row)], rows
    if suffix in PARQUET_SUFFIXES:
        table = _first_rows(path)
        return table.columns, table.to_dicts()
    content = table_text(path, _FIRST_BYTES)
    if len(content) > _FIRST_BYTES:
        start, newline, _ = content[:_FIRST_BYTES].rpartition(b"\n")
        content = start + newline if start.count(b'"') % 2 == 0 else table_text(path)
    columns, found = _separated(path, content, separator_of(path, content, suffix, dialect), dialect)
    return columns, [row for _, row in found[:_FIRST_ROWS]]


def _first_rows(path: str | Path) -> polars.DataFrame:
    """Read the first rows of a Parquet file; one on this machine is not read to its end."""
    with needed():
        import polars

    if "://" in str(path) or is_compressed(str(path)) or not Path(path).expanduser().is_file():
        return read_parquet(path).head(_FIRST_ROWS)
    try:
        return (
            polars.scan_parquet(Path(path).expanduser(), glob=False, hive_partitioning=False)
            .head(_FIRST_ROWS)
            .collect()
        )
    except Exception:  # the errors of polars have no common class; `read_parquet` reports what is wrong
        return read_parquet(path).head(_FIRST_ROWS)


def json_lines(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give the objects of a file of JSON lines with their line numbers; empty lines are skipped.

    Raises:
        DataError: A line is not a JSON object; the message names the line.
    """
    yield from json_rows(numbered_lines(path), path)


def json_rows(lines: Iterable[tuple[int, str]], path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give the objects in numbered lines, as `json_lines` does for a file; `path` names the lines in messages."""
    for number, line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_float=_AsWritten)
        except (ValueError, RecursionError) as error:
            is_syntax = isinstance(error, json.JSONDecodeError)  # its message would say "line 1", as it saw one line
            wrong = f"{error.msg} at character {error.colno}" if is_syntax else one_line(error)
            raise DataError(f"{path}, line {number}: is not JSON ({wrong}); write one object a line") from error
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, line {number}: expected a JSON object with named values, got {type(row).__name__}"
            )
        yield number, row


def read_parquet(path: str | Path) -> polars.DataFrame:
    """Read a Parquet file or URL.

    Raises:
        DataError: The file is no Parquet file, or not whole.
    """
    with needed():
        import polars

    with open_file(path) as file:
        content = file.read()
    try:
        return polars.read_parquet(io.BytesIO(content))
    except Exception as error:  # the errors of polars have no common class
        raise DataError(f"{path}: is not a whole Parquet file ({one_line(error)}); write it again") from error


def _separated(
    path: str | Path, content: bytes, separator: str, dialect: Dialect
) -> tuple[list[str], list[tuple[str, dict[str, Any]]]]:
    try:
        return _rows(path, content, separator, dialect, quoted=True)
    except DataError:
        if separator != "\t":
            raise
        # Some TSV files quote cells as CSV does; in most, a quotation mark is a normal character.
        return _rows(path, content, separator, dialect, quoted=False)


def _rows(
    path: str | Path, content: bytes, separator: str, dialect: Dialect, *, quoted: bool
) -> tuple[list[str], list[tuple[str, dict[str, Any]]]]:
    found = separated_rows(path, raw_lines(path, io.BytesIO(content)), separator, dialect, quoted=quoted)
    _, columns = next(found, (0, list[str]()))
    return columns, [(f"line {number}", dict(zip(columns, cells, strict=False))) for number, cells in found]


def separated_rows(
    path: str | Path, lines: Iterable[str], separator: str, dialect: Dialect, *, quoted: bool
) -> Iterator[tuple[int, list[str]]]:
    """Give the names of the columns, then the rows of CSV or TSV, each with the number of the line where it begins.

    Args:
        path: The path of the table, for messages.
        lines: The lines, with their ends.
        separator: The separator of cells.
        dialect: Whether the first line names the columns.
        quoted: Whether a cell may be in quotation marks.

    Raises:
        DataError: A row has too many cells, or is quoted wrongly.
    """
    columns: list[str] = []
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    begin = 1
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        reader = csv.reader(lines, delimiter=separator, quoting=quoting, strict=True)
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                is_header = not columns and dialect.header
                if not columns:
                    columns = header_of(path, cells, dialect)
                    yield begin, columns
                if len(cells) > len(columns):
                    raise DataError(
                        f"{path}, line {begin}: has {len(cells)} cells, but the {'header' if dialect.header else 'first line'} has "
                        f"{len(columns)}; put a cell that contains {separator!r} in double quotes"
                    )
                if not is_header:
                    yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {begin}: {one_line(error)}; double a quotation mark within a quoted cell, and end the cell with one"
        ) from error
    finally:
        csv.field_size_limit(limit)


def raw_lines(path: str | Path, lines: Iterable[bytes]) -> Iterator[str]:
    """Decode lines of UTF-8, with their ends; a byte order mark at the beginning is removed.

    Raises:
        DataError: A line is not UTF-8; the message names it.
    """
    for number, raw in enumerate(lines, start=1):
        line = decoded(raw, path, number)
        yield line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line


def one_line(error: BaseException) -> str:
    """Return the message of another library's error in one line, cut after 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__
