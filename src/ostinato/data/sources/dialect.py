"""The form of a table of text: the separator of its cells, whether its first line names the columns, its line ends."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ostinato.data.sources.lines import decoded, open_file
from ostinato.errors import ConfigError, DataError

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_MARKS = (",", ";", "\t", "|")
_NAMES = {"tab": "\t", "\\t": "\t"}
_DECIMAL = re.compile(r"[+-]?[\d.]+,\d+")
_LOOKED_AT = 50  # rows
_BYTE_ORDER_MARK = "\ufeff"
_FOR_EXCEL = re.compile(rb"(?:\xef\xbb\xbf)?sep=[^\w\s\"]\r?\n")  # a line that gives Excel the separator, and is no row


@dataclass(frozen=True)
class Dialect:
    """The user's settings about the form of a table of text.

    Args:
        separator: One character, or "tab"; None for the separator of the suffix, or the one that all rows have.
        header: Whether the first line names the columns; if not, they are called 1, 2, ...

    Raises:
        ConfigError: The separator is no single character.
    """

    separator: str | None = None
    header: bool = True

    def __post_init__(self):
        if self.separator is not None:
            mark = _NAMES.get(self.separator, self.separator)
            if len(mark) != 1 or not mark.isascii() or mark in '"\r\n':
                raise ConfigError(
                    f"separator: expected one character, such as ';' or '|', or tab, got {self.separator!r}"
                )
            object.__setattr__(self, "separator", mark)

    def refuse(self, path: str | Path) -> None:
        """Raise a DataError if `header` is false, as the format of `path` always names its columns."""
        if not self.header:
            raise DataError(
                f"{path}: names its columns itself; --reading.header false is for CSV and TSV whose first line is a row"
            )


def table_text(path: str | Path, most: int | None = None) -> bytes:
    r"""Read the bytes of a table of text, with lines that end with `\n` or `\r\n`; other line ends `\r` are replaced.

    Args:
        path: The path of the file.
        most: How many bytes are enough; one more is read if the file is larger. None for all bytes.

    Raises:
        DataError: The file is empty, or cannot be read.
    """
    with open_file(path) as file:
        content = file.read() if most is None else file.read(most + 1)
        if not content.strip():
            content += file.read()
    if not content.strip():
        raise DataError(f"{path}: there is nothing in it; expected a first line with the names of the columns")
    # Spreadsheets on old Macs wrote these line ends.
    content = content if b"\n" in content else content.replace(b"\r", b"\n")
    return _FOR_EXCEL.sub(b"\n", content, count=1) if _FOR_EXCEL.match(content) else content


def is_for_excel(content: bytes) -> bool:
    """Tell whether the first line only gives Excel the separator."""
    return _FOR_EXCEL.match(content) is not None


def separator_of(path: str | Path, content: bytes, suffix: str, dialect: Dialect) -> str:
    """Find the separator: the user's, that of the suffix, or one that cuts all rows into equally many cells.

    Raises:
        DataError: The first line has one cell, which contains another separator.
    """
    usual = SEPARATORS[suffix]
    if dialect.separator is not None:
        return dialect.separator
    rows = [
        decoded(raw, path, number).removeprefix(_BYTE_ORDER_MARK)
        for number, raw in enumerate(islice(io.BytesIO(content), _LOOKED_AT), start=1)
    ]
    first = next(row for row in rows if row.strip())
    if len(_cells(first, usual)) > 1:
        return ";" if usual == "," and _commas_are_decimal(rows) else usual
    others = [mark for mark in _MARKS if mark != usual and mark in first]
    for mark in others:
        if len({len(row) for row in _all_cells(rows, mark) if row}) == 1:
            return mark
    if others:
        raise DataError(
            f"{path}, line 1: expected columns with {usual!r} between them, got one, {first.strip()!r}; "
            f"name what separates its cells, such as --reading.separator '{others[0]}', and put cells that contain it in "
            "double quotes"
        )
    return usual


def _commas_are_decimal(rows: Sequence[str]) -> bool:
    """Tell whether semicolons cut all rows into equally many cells, with commas in numbers only: 1.5.2024;12,5."""
    cut = [row for row in _all_cells(rows, ";") if row]
    return (
        len({len(row) for row in cut}) == 1
        and len(cut[0]) > 1
        and all(_DECIMAL.fullmatch(cell.strip()) for row in cut for cell in row if "," in cell)
    )


def header_of(path: str | Path, cells: Sequence[str], dialect: Dialect) -> list[str]:
    """Return the names of the columns from the first line, without blanks around them; or 1, 2, ... if it is no header.

    Raises:
        DataError: A name occurs twice.
    """
    if not dialect.header:
        return [str(number) for number in range(1, len(cells) + 1)]
    columns = [cell.strip().removeprefix('"').removesuffix('"').strip() for cell in cells]
    twice = next((column for column in columns if column and columns.count(column) > 1), None)
    if twice is not None:
        raise DataError(
            f"{path}, line 1: two columns are called {twice!r}; give each a name of its own, or say that the first line is a "
            "row like others with --reading.header false"
        )
    return columns


def _cells(line: str, mark: str) -> list[str]:
    return next(iter(_all_cells([line], mark)), list[str]())


def _all_cells(lines: Sequence[str], mark: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=mark))
    except csv.Error:
        return []
