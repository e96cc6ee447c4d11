"""Rows of tables of any size, one after the other: from a file, or from the files of a folder or a glob.

They are read by the same functions as in `read_cells`, with one difference: the columns of JSON lines are those of the
first thousand lines, because the rest is not read yet.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ostinato.data.mapped.files import TableFile, TableFiles
from ostinato.data.sources.cells import JSON_SUFFIXES, json_rows, one_line, raw_lines, separated_rows
from ostinato.data.sources.dialect import SEPARATORS, Dialect, is_for_excel, separator_of
from ostinato.data.sources.lines import numbered, open_document
from ostinato.data.stored.folder import Progress
from ostinato.errors import DataError
from ostinato.extras import needed

HEAD_ROWS = 1000
_HEAD_BYTES, _CHUNK_BYTES, _PARQUET_ROWS = 2**16, 2**20, 2**15
_TOLD_BYTES = 2**20  # bytes that are read between two reports of progress


@dataclass(frozen=True)
class TableRows:
    """The rows of one file of a table.

    Attributes:
        name: The name of the file, for messages.
        columns: The names of the columns.
        rows: The rows, each with its place ("line 7") and its cells by column.
    """

    name: str
    columns: list[str]
    rows: Iterator[tuple[str, dict[str, Any]]]


class Told:
    """Reports of how far files are read.

    Args:
        on_progress: Called with the bytes that are read, and the bytes in all; None for no reports.
        total: The bytes in all; None if not known.
    """

    def __init__(self, on_progress: Progress | None, total: int | None):
        self._on_progress, self._total = on_progress, total
        self._done = self._told = 0

    def read(self, count: int) -> None:
        """Count bytes that were read, and report them now and then."""
        self._done += count
        if self._on_progress is not None and self._done - self._told >= _TOLD_BYTES:
            self._told = self._done
            self._on_progress(self._done, self._total)

    def lines(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Give the same lines, and count them as read."""
        for line in lines:
            self.read(len(line))
            yield line


def bytes_of(files: Iterable[TableFile]) -> int | None:
    """Return the bytes of text in all files; None if it is not known for one of them."""
    sizes = [each.document.size for each in files]
    return None if None in sizes else sum(size or 0 for size in sizes)


def rows_of_files(
    tables: TableFiles, dialect: Dialect, told: Told, wanted: Callable[[str, list[str]], Iterable[str]]
) -> Iterator[TableRows]:
    """Open the files of a table, one after the other; each is open until the next is requested.

    Args:
        tables: The files.
        dialect: How CSV or TSV is written.
        told: Counts the bytes that are read.
        wanted: Takes the name of a file and its columns, and returns the columns to read; other columns of Parquet stay
            unread.

    Raises:
        DataError: A file cannot be read; the message names it, and the row if one is wrong.
    """
    for file in tables.files:
        with _opened(file, dialect, told, wanted) as found:
            if not found.columns:
                raise DataError(f"{found.name}: there is nothing in it; expected a table whose columns have names")
            yield found


@contextmanager
def _opened(
    file: TableFile, dialect: Dialect, told: Told, wanted: Callable[[str, list[str]], Iterable[str]]
) -> Generator[TableRows]:
    name = file.document.name
    if file.suffix not in (*SEPARATORS, *JSON_SUFFIXES):
        dialect.refuse(name)
        with _near(file) as near:
            yield _parquet(file, near, told, wanted)
        return
    with open_document(file.document) as content:
        if file.suffix in SEPARATORS:
            yield _with_keys(file, _separated(file, content, dialect, told))
        else:
            dialect.refuse(name)
            rows = ((f"line {number}", row) for number, row in json_rows(numbered(told.lines(content), name), name))
            head = list(itertools.islice(rows, HEAD_ROWS))
            columns = [*dict.fromkeys(column for _, row in head for column in row)]
            yield _with_keys(file, TableRows(name, columns, itertools.chain(head, rows)))


def _with_keys(file: TableFile, found: TableRows) -> TableRows:
    """Add the columns that the names of folders give."""
    if not file.keys:
        return found
    rows = ((place, {**row, **file.keys}) for place, row in found.rows)
    return TableRows(found.name, [*dict.fromkeys((*found.columns, *file.keys))], rows)


def _separated(file: TableFile, content: BinaryIO, dialect: Dialect, told: Told) -> TableRows:
    name = file.document.name
    head = content.read(_HEAD_BYTES)
    while head and not head.strip() and (more := content.read(_HEAD_BYTES)):
        head += more
    if not head.strip():
        raise DataError(f"{name}: there is nothing in it; expected a first line with the names of the columns")
    old = b"\n" not in head and b"\r" in head
    lines = _lines(head, content, old)
    if is_for_excel(head):
        next(lines)
        lines = itertools.chain([b"\n"], lines)
        head = b"\n" + head.partition(b"\n")[2]
    separator = separator_of(name, head.replace(b"\r", b"\n") if old else head, file.suffix, dialect)
    quoted = separator != "\t" or _is_quoted(file, dialect, old)
    rows = separated_rows(name, raw_lines(name, told.lines(lines)), separator, dialect, quoted=quoted)
    _, columns = next(rows, (0, list[str]()))
    found = ((f"line {number}", dict(zip(columns, cells, strict=False))) for number, cells in rows)
    return TableRows(name, columns, found)


def _lines(head: bytes, rest: BinaryIO, old: bool) -> Iterator[bytes]:
    r"""Give the lines of `head` and `rest` with their ends; if `old`, lines end with `\r`, as on old Macs."""
    left, content = b"", head
    while content:
        lines = (left + (content.replace(b"\r", b"\n") if old else content)).split(b"\n")
        left = lines.pop()
        for line in lines:
            yield line + b"\n"
        content = rest.read(_CHUNK_BYTES)
    if left:
        yield left


def _is_quoted(file: TableFile, dialect: Dialect, old: bool) -> bool:
    """Tell whether cells of a TSV file are quoted as in CSV; in most TSV files a quotation mark is a normal character.

    The file is read to its end, because the last cell may decide.
    """
    name = file.document.name
    with open_document(file.document) as content:
        if not any(b'"' in chunk for chunk in iter(lambda: content.read(_CHUNK_BYTES), b"")):
            return False
    with open_document(file.document) as content:
        try:
            lines = raw_lines(name, _lines(content.read(_CHUNK_BYTES), content, old))
            for _ in separated_rows(name, lines, "\t", dialect, quoted=True):
                pass
        except DataError:
            return False
    return True


def _parquet(file: TableFile, near: Path, told: Told, wanted: Callable[[str, list[str]], Iterable[str]]) -> TableRows:
    with needed():
        import polars

    name = file.document.name
    try:
        frame = polars.scan_parquet(near, glob=False, hive_partitioning=False)
        columns = [*dict.fromkeys((*frame.collect_schema().names(), *file.keys))]
        rows = int(frame.select(polars.len()).collect().item())
    except Exception as error:  # the errors of polars have no common class
        raise DataError(f"{name}: is not a whole Parquet file ({one_line(error)}); write it again") from error
    some = [column for column in columns if column in {*wanted(name, columns)} - {*file.keys}]
    share = (file.document.size or 0) / max(rows, 1)

    def read() -> Iterator[tuple[str, dict[str, Any]]]:
        number = 0
        try:
            for table in frame.select(some).collect_batches(chunk_size=_PARQUET_ROWS, maintain_order=True):
                for row in table.iter_rows(named=True):
                    number += 1
                    yield f"row {number}", {**row, **file.keys} if file.keys else row
                told.read(int(share * table.height))
        except Exception as error:  # as above
            raise DataError(
                f"{name}: cannot be read behind row {number:,} ({one_line(error)}); write it again"
            ) from error

    return TableRows(name, columns, read())


@contextmanager
def _near(file: TableFile) -> Generator[Path]:
    """Give the path of a decompressed file on this machine: itself, or a copy that is removed after the block."""
    if file.is_near:
        yield file.path.expanduser()
        return
    with tempfile.TemporaryDirectory(prefix="ostinato-table-") as folder:
        near = Path(folder) / f"table{file.suffix}"
        with open_document(file.document) as content, near.open("wb") as copy:
            shutil.copyfileobj(content, copy, _CHUNK_BYTES)
        yield near
