"""Tables of numbers as data frames of polars: CSV, TSV, JSON lines and Parquet. Text stays as it is written."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ostinato.data.sources.cells import (
    JSON_SUFFIXES,
    PARQUET_SUFFIXES,
    TABLE_SUFFIXES,
    json_lines,
    one_line,
    read_parquet,
)
from ostinato.data.sources.dialect import SEPARATORS, Dialect, header_of, separator_of, table_text
from ostinato.data.sources.lines import decoded, suffix_of
from ostinato.data.sources.text import check_there
from ostinato.errors import DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars

_EMPTY_LINES = re.compile(rb"\n(?: *\r?\n)+")


def read_frame(path: str | Path, dialect: Dialect | None = None) -> tuple[polars.DataFrame, str | None]:
    """Read a table from a file or URL, compressed or not; return it and the separator of its cells, if there is one.

    Args:
        path: .csv or .tsv, or .jsonl (also .ndjson, .json: an object a line), which give texts only, as they are
            written; or .parquet, which has types. If there are several columns, empty lines are no rows.
        dialect: How the text is written; None for the usual form.

    Raises:
        DataError: The suffix is of no known format, or the content does not have its format; the message names the
            line.
    """
    with needed():
        import polars

    dialect, suffix, separator = dialect or Dialect(), suffix_of(path), None
    if suffix in SEPARATORS:
        content = table_text(path)
        separator = separator_of(path, content, suffix, dialect)
        table = _separated(path, content, separator, dialect)
    elif suffix in JSON_SUFFIXES:
        dialect.refuse(path)
        rows = [{name: _text(path, cell) for name, cell in row.items()} for _, row in json_lines(path)]
        columns = dict.fromkeys(name for row in rows for name in row)
        table = polars.DataFrame(rows, schema=dict.fromkeys(columns, polars.String))
    elif suffix in PARQUET_SUFFIXES:
        dialect.refuse(path)
        table = read_parquet(path)
    else:
        check_there(str(path))
        raise DataError(f"{path}: expected a name that ends in {', '.join(TABLE_SUFFIXES)}, compressed or not")
    if not table.width:
        raise DataError(f"{path}: there is nothing in it; expected a table whose columns have names")
    return table, separator


def _text(path: str | Path, cell: Any) -> str | None:
    if isinstance(cell, list | dict):
        raise DataError(f"{path}: its objects do not make a table ({cell!r:.50} in one); give numbers and texts")
    if isinstance(cell, bool):
        return str(cell).lower()
    return None if cell is None else str(cell)


def _separated(path: str | Path, content: bytes, separator: str, dialect: Dialect) -> polars.DataFrame:
    with needed():
        import polars

    content = _bare(content, separator)
    header = decoded(content.lstrip(b"\r\n").partition(b"\n")[0], path, 1).removeprefix("\ufeff")
    columns = header_of(path, next(csv.reader([header], delimiter=separator)), dialect)
    if len(columns) > 1 and b'"' not in content:
        content = _EMPTY_LINES.sub(b"\n", content)
    try:
        table = polars.read_csv(content, separator=separator, has_header=dialect.header, infer_schema=False)
        # Columns without a name are named by their place, so that names differ.
        named = [name or (f"unnamed {at}" if at else "") for at, name in enumerate(columns)]
        return table.rename(dict(zip(table.columns, named, strict=True)))
    except Exception as error:  # the errors of polars have no common class
        _explain_row(path, content, separator)
        raise DataError(f"{path}: is not a table that can be read ({one_line(error)})") from error


def _bare(content: bytes, separator: str) -> bytes:
    """Remove blanks before quoted cells; end the header with a separator if all rows end with one and it does not."""
    mark = re.escape(separator.encode())
    if separator != " " and b'"' in content and re.search(rb"(?m)(?:^|" + mark + rb') +"', content):
        try:
            out = io.StringIO()
            reader = csv.reader(io.StringIO(content.decode(), newline=""), delimiter=separator, skipinitialspace=True)
            csv.writer(out, delimiter=separator).writerows(reader)
            content = out.getvalue().encode()
        except (csv.Error, UnicodeDecodeError):
            return content
    header, _, rows = content.lstrip(b"\r\n").partition(b"\n")
    header = header.removesuffix(b"\r")
    width, end = header.count(separator.encode()) + 1, separator.encode()
    lines = (line.rstrip(b"\r\n") for line in io.BytesIO(rows))
    if b'"' in header or not rows or header.endswith(end):
        return content
    if all(line.endswith(end) and line.count(end) >= width for line in lines if line):
        return header + end + b"\n" + rows
    return content


def _explain_row(path: str | Path, content: bytes, separator: str) -> None:
    explain_rows(path, lambda: io.BytesIO(content), separator)


def explain_rows(path: str | Path, opened: Callable[[], BinaryIO], separator: str) -> None:
    """Find the first row that differs from the others, because polars does not say which it is.

    Args:
        path: The path of the table, for messages.
        opened: Opens the table again, decompressed.
        separator: The separator of its cells.

    Raises:
        DataError: There is such a row; the message has its line.
    """
    with opened() as file:
        for number, raw in enumerate(file, start=1):
            decoded(raw, path, number)
    with opened() as file:
        first = file.readline().decode().strip()
    with opened() as file:
        reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8", newline=""), delimiter=separator)
        try:
            width = len(next(reader))
            for row in reader:
                if len(row) > width == 1:
                    raise DataError(
                        f"{path}: the first line, {first!r:.50}, has one cell, but line {reader.line_num} has {len(row)}; leave "
                        "out what stands above the names of the columns"
                    )
                if len(row) > width:
                    raise DataError(
                        f"{path}, line {reader.line_num}: has {len(row)} cells, but the first line has {width}; "
                        f"put a cell that contains {separator!r} in double quotes"
                    )
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {one_line(error)}") from error
