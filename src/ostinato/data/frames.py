"""Tables of numbers as polars' data frames: CSV, TSV, JSON lines and Parquet."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.data.lines import decoded, open_file, suffix_of
from ostinato.data.tables import (
    JSON_SUFFIXES,
    PARQUET_SUFFIXES,
    SEPARATORS,
    TABLE_SUFFIXES,
    check_header,
    json_lines,
    one_line,
    read_parquet,
)
from ostinato.errors import DataError

if TYPE_CHECKING:
    import polars

_NO_NUMBER = ["NA", "N/A", "n/a", "NaN", "nan", "null", "NULL"]


def read_frame(path: str | Path) -> polars.DataFrame:
    """A table of a file or URL, by its suffix; compressed or not. Columns of numbers become numbers, others stay text.

    Args:
        path: .csv or .tsv, whose first line names the columns; .jsonl (also .ndjson, .json: an object a line) or .parquet.

    Raises:
        DataError: The suffix tells no format, or the content is not what the suffix says; the message names the line.
    """
    import polars

    suffix = suffix_of(path)
    if suffix in JSON_SUFFIXES:
        rows = [row for _, row in json_lines(path)]
        try:
            table = polars.DataFrame(rows, infer_schema_length=None, strict=False)
        except Exception as error:  # polars has errors of its own, without a common class
            raise DataError(
                f"{path}: its objects do not make a table ({one_line(error)}); give numbers and texts"
            ) from error
    elif suffix in SEPARATORS:
        with open_file(path) as file:
            table = _separated(path, file.read(), SEPARATORS[suffix])
    elif suffix in PARQUET_SUFFIXES:
        table = read_parquet(path)
    else:
        raise DataError(f"{path}: expected a name that ends in {', '.join(TABLE_SUFFIXES)}, compressed or not")
    if not table.width:
        raise DataError(f"{path}: there is nothing in it; expected a table whose columns have names")
    return table


def _separated(path: str | Path, content: bytes, separator: str) -> polars.DataFrame:
    import polars

    if not content.strip():
        raise DataError(f"{path}: there is nothing in it; expected a first line with the names of the columns")
    header = decoded(content.lstrip(b"\r\n").partition(b"\n")[0], path, 1).removeprefix("\ufeff")
    check_header(path, next(csv.reader([header], delimiter=separator)), separator)
    try:
        return polars.read_csv(content, separator=separator, infer_schema_length=None, null_values=_NO_NUMBER)
    except Exception as error:  # polars has errors of its own, without a common class
        _explain_row(path, content, separator)
        raise DataError(f"{path}: is not a table that can be read ({one_line(error)})") from error


def _explain_row(path: str | Path, content: bytes, separator: str) -> None:
    """Find the first row that is not like the others; polars does not say which it is."""
    for number, raw in enumerate(content.splitlines(keepends=True), start=1):
        decoded(raw, path, number)
    reader = csv.reader(io.StringIO(content.decode(), newline=""), delimiter=separator)
    try:
        width = len(next(reader))
        for row in reader:
            if len(row) > width:
                raise DataError(
                    f"{path}, line {reader.line_num}: has {len(row)} cells, but the header has {width}; "
                    f"put a cell that contains {separator!r} in double quotes"
                )
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {one_line(error)}") from error
