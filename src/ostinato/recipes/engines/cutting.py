"""Cutting data into pieces for workers: rows of files that read as they do in the whole, or rows of data read whole."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

from ostinato.data.sources.cells import JSON_SUFFIXES, PARQUET_SUFFIXES
from ostinato.data.sources.dialect import SEPARATORS, Dialect, is_for_excel
from ostinato.data.sources.lines import held_as, suffix_of
from ostinato.data.sources.opening import is_compressed
from ostinato.data.sources.text import Document, find_text
from ostinato.data.sources.text_folders import part_folders
from ostinato.extras import needed

RowsAs: TypeAlias = Literal["lines", "objects", "blocks", "records", "table"]
"""What a row of a file is: a line; a line of JSON; what stands between empty lines; a record of CSV; a row of Parquet."""

_LONGEST_CELL = 2**30
_MARKS = (b",", b";", b"\t", b"|")
_BLOCK = 2**20


@dataclass(frozen=True)
class Piece:
    """A piece of the data: some rows.

    Attributes:
        number: the number of the piece, from 0 on.
        before: how many rows are in the pieces before it.
        rows: how many rows it has; None for a whole file whose rows were not counted.
        file: the file that it is cut from; None for rows of data that are read whole.
        how: what a row of the file is; None for the whole file.
        begin: its first byte in the file; in Parquet its first row.
        end: the byte or the row after its last.
        head: how many bytes at the beginning of the file every piece has above its rows: the names of the columns.
        head_lines: how many lines these are.
        line: the number of its first line in the file.
    """

    number: int
    before: int
    rows: int | None
    file: str | None = None
    how: RowsAs | None = None
    begin: int = 0
    end: int = 0
    head: int = 0
    head_lines: int = 0
    line: int = 1

    def __str__(self) -> str:
        where = "" if self.file is None else f" of {self.file}"
        if self.rows is None:
            return f"all rows{where}"
        if self.how == "table":
            return f"rows {self.begin + 1} to {self.end}{where}"
        if self.how is not None:
            return f"{self.rows} rows from line {self.line} on{where}"
        return f"examples {self.before + 1} to {self.before + self.rows}"

    @contextmanager
    def held(self) -> Generator[None]:
        """Within this context, whoever opens the file reads only these rows."""
        if self.file is None or self.how is None:
            yield
            return
        with held_as(self.file, self._content()):
            yield

    def _content(self) -> bytes:
        assert self.file is not None
        path = Path(self.file).expanduser()
        if self.how == "table":
            with needed():
                import polars

            content = io.BytesIO()
            rows = polars.scan_parquet(path, glob=False).slice(self.begin, self.end - self.begin)
            rows.collect().write_parquet(content, compression="uncompressed")
            return content.getvalue()
        with path.open("rb") as file:
            head = file.read(self.head)
            file.seek(self.begin)
            return head + file.read(self.end - self.begin)

    def named(self, message: str) -> str:
        """An error message from reading the piece, with line and row numbers changed to those of the whole file."""
        if self.file is None or self.how is None:
            return message

        def moved(found: re.Match[str]) -> str:
            number = int(found[3])
            if found[2] == "row":
                return f"{found[1]}row {number + self.begin}"
            if number > self.head_lines:
                number += self.line - self.head_lines - 1
            return f"{found[1]}line {number}"

        return re.sub(rf"({re.escape(self.file)}, )(line|row) (\d+)", moved, message)


def rows_of_table(suffix: str) -> RowsAs | None:
    """What a row of a table with this suffix is; None if the suffix is not of a table."""
    if suffix in SEPARATORS:
        return "records"
    return "objects" if suffix in JSON_SUFFIXES else "table" if suffix in PARQUET_SUFFIXES else None


def cut(task: Any, trained: Any, data: str, most: int) -> list[Piece] | None:
    """Cuts data into pieces of files; None if the data must be read whole.

    Args:
        task: the task that predicts for them; `Task.rows_as` says what a row of a file is.
        trained: the `Trained` of its run.
        data: a file, a folder or a glob.
        most: rows of a piece at most.

    Raises:
        DataError: there are no such data.
    """
    if (files := _files(task, trained, data)) is None:
        return None
    found: list[Piece] = []
    for name, how in files:
        before = sum(piece.rows or 0 for piece in found)
        pieces = list(_pieces_of(name, how, most, len(found), before, trained.settings))
        if not pieces or pieces[0].how is None:
            if len(files) == 1:
                return None
            pieces = [Piece(len(found), before, None, name)]
        found += pieces
    return found


def _files(task: Any, trained: Any, data: str) -> list[tuple[str, RowsAs]] | None:
    """The files, with what a row of each is; None if one of them has no such rows, or is not on this machine."""
    if "://" in data:
        return None
    path = Path(data).expanduser()
    if path.is_file():
        names = [data]
    else:
        if path.is_dir() and part_folders(path):
            return None  # a data set in parts, from which the task chooses one
        documents = [each for each in find_text(data, binary=True).documents if _is_data(each)]
        names = [each.name for each in documents]
    kinds = [task.rows_as(trained.settings, trained.known, suffix_of(name)) for name in names]
    if not names or None in kinds or (len(names) == 1 and is_compressed(names[0])):
        return None
    return list(zip(names, kinds, strict=True))


def _is_data(document: Document) -> bool:
    """Whether a file has data; _SUCCESS, which Spark leaves beside its parts, has none."""
    return not Path(document.name).name.startswith("_")


def _pieces_of(name: str, how: RowsAs, most: int, number: int, before: int, settings: Any) -> Iterator[Piece]:
    """The pieces of a file; a single piece without `how` if the file must be read whole."""
    path, separator, head, head_lines = Path(name).expanduser(), "", 0, 0
    if how == "table":
        yield from _tables(name, most, number, before)
        return
    has_header = how == "records" and getattr(settings.reading, "header", True)
    if how == "records":
        separator = _separator(path, settings)
    if is_compressed(name) or separator is None or _is_of_old_macs(path):
        yield Piece(number, before, None, name)
        return
    with path.open("rb") as file:
        walk, rows = _Walk(file), 0
        ends = _records(walk, separator) if how == "records" else _lines(walk, how)
        if has_header:
            next((is_row for is_row in ends if is_row), None)
            head, head_lines = walk.offset, walk.line
        begin, line = walk.offset, walk.line + 1
        for is_row in ends:
            rows += is_row
            if rows < most:
                continue
            yield Piece(number, before, rows, name, how, begin, walk.offset, head, head_lines, line)
            number, before, rows, begin, line = number + 1, before + rows, 0, walk.offset, walk.line + 1
        if rows:
            yield Piece(number, before, rows, name, how, begin, walk.offset, head, head_lines, line)


def _tables(name: str, most: int, number: int, before: int) -> Iterator[Piece]:
    with needed():
        import polars

    try:
        rows = int(polars.scan_parquet(Path(name).expanduser(), glob=False).select(polars.len()).collect().item())
    except Exception:  # polars' errors have no common class; reading the file reports the fault
        yield Piece(number, before, None, name)
        return
    for at, begin in enumerate(range(0, rows, most)):
        end = min(rows, begin + most)
        yield Piece(number + at, before + begin, end - begin, name, "table", begin, end)


class _Walk:
    """The lines of a file, and how far it has been read.

    Attributes:
        offset: bytes read.
        line: lines read.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self.offset = self.line = 0

    def __iter__(self) -> Iterator[bytes]:
        for raw in self._file:
            self.offset += len(raw)
            self.line += 1
            yield raw


def _lines(walk: _Walk, how: RowsAs) -> Iterator[bool]:
    """For each place where the file may be cut, whether a row ends there. A block ends after its empty line."""
    inside = False
    for raw in walk:
        if how == "lines":
            yield True
        elif how == "objects":
            yield bool(raw.strip())
        elif raw.strip():
            inside = inside or not raw.startswith(b"#")
        else:
            yield inside
            inside = False
    if inside:
        yield True


def _records(walk: _Walk, separator: str) -> Iterator[bool]:
    """The same for CSV, by the reader that will read the pieces; a record that it cannot read is a row too."""
    # In Latin-1 every byte is a character, and bytes of ASCII mean the same as in UTF-8.
    reader = csv.reader((raw.decode("latin-1") for raw in walk), delimiter=separator, strict=True)
    while True:
        limit = csv.field_size_limit(_LONGEST_CELL)
        try:
            cells = next(reader, None)
        except csv.Error:
            cells = ["?"]
        finally:
            csv.field_size_limit(limit)
        if cells is None:
            return
        yield len(cells) > 1 or bool(cells and cells[0].strip())


def _separator(path: Path, settings: Any) -> str | None:
    """The separator of cells; None if the whole file must be seen to find it."""
    told, usual = getattr(settings.reading, "separator", None), SEPARATORS[suffix_of(path)]
    with path.open("rb") as file:
        first = next((raw for raw in file if raw.strip()), b"")
        if is_for_excel(first) or (told is None and any(mark in first for mark in _MARKS if mark != usual.encode())):
            return None
        separator = Dialect(told).separator or usual
        # Quotation marks in TSV are quotes only if the whole file can be read that way.
        if separator == "\t" and (
            b'"' in first or any(b'"' in block for block in iter(lambda: file.read(_BLOCK), b""))
        ):
            return None
    return separator


def _is_of_old_macs(path: Path) -> bool:
    with path.open("rb") as file:
        beginning = file.readline(_BLOCK)
    return b"\r" in beginning and not beginning.endswith(b"\n")
