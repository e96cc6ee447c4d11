"""Files of a table, scanned by polars and converted into one form: temporary Parquet files in small groups of rows.

Files of text become columns of text, as it is written. An error in a file is reported with its line.
"""

from __future__ import annotations

import csv
import errno
import glob
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ostinato.data.mapped.broken import NotKeptError
from ostinato.data.mapped.files import TableFile
from ostinato.data.mapped.store import checksum_of
from ostinato.data.sources.cells import JSON_SUFFIXES, json_lines, one_line
from ostinato.data.sources.dialect import SEPARATORS, Dialect, header_of, is_for_excel, separator_of
from ostinato.data.sources.frames import explain_rows
from ostinato.data.sources.lines import decoded
from ostinato.errors import DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars

GROUP_ROWS = 2**18  # rows in a group of a Parquet file, which is read at once
_HEAD_BYTES = 2**16
_HEAD_LINES = 1000
_OF_SYSTEM = re.compile(r"\(os error (\d+)\)")  # an error of the system in a message of polars
_NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


T = TypeVar("T")


@dataclass(frozen=True)
class Scanned:
    """A file that is ready to be scanned.

    Attributes:
        file: The file.
        near: Its path, or the path of its decompressed copy, on this machine.
        frame: The lazy frame of polars; cells of text stay as they are written.
        separator: The separator of its cells, if it is CSV or TSV.
        has_header: Whether its first line names the columns.
    """

    file: TableFile
    near: Path
    frame: polars.LazyFrame
    separator: str | None = None
    has_header: bool = True

    @property
    def name(self) -> str:
        """The name of the file, for messages."""
        return self.file.document.name

    def head(self, rows: int) -> polars.DataFrame:
        """Return the first rows.

        Raises:
            DataError: They cannot be read.
        """
        return self._told(lambda: self.frame.head(rows).collect())

    def into(self, path: Path, columns: Sequence[str]) -> int:
        """Write some columns as Parquet, and return the number of rows.

        Raises:
            DataError: The file cannot be read, or lacks a column.
        """
        with needed():
            import polars

        there = self._told(lambda: self.frame.collect_schema().names())
        if missing := [name for name in columns if name not in there]:
            raise DataError(f"{self.name}: has no column {missing[0]!r}; its columns are {', '.join(there)}")
        frame = self.frame.select(columns)
        self._told(partial(frame.sink_parquet, path, compression="lz4", row_group_size=GROUP_ROWS))
        return int(polars.scan_parquet(path, glob=False).select(polars.len()).collect().item())

    def kept(self, path: Path, columns: Sequence[str]) -> int:
        """Write as `into` does, unless an earlier process, which was killed later, had already written the whole file.

        Raises:
            DataError: As for `into`.
        """
        note = path.with_suffix(".json")
        try:
            about = json.loads(note.read_text(encoding="utf-8"))
            if about["columns"] == list(columns) and about["crc32"] == checksum_of(path):
                return about["rows"]
        except (OSError, ValueError, KeyError):
            pass
        rows = self.into(path, columns)
        note.write_text(json.dumps({"columns": list(columns), "rows": rows, "crc32": checksum_of(path)}), "utf-8")
        return rows

    def _told(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except OSError as error:
            raise _of_system(error)(
                f"{self.name}: cannot be read or kept ({one_line(error)}); make room, or check the file"
            ) from error
        except Exception as error:  # the errors of polars have no common class
            if (told := _OF_SYSTEM.search(str(error))) and int(told[1]) in _NO_ROOM:
                raise NotKeptError(
                    f"{self.name}: cannot be kept beside the run ({os.strerror(int(told[1]))}); make room"
                ) from error
            if self.separator is not None:
                explain_rows(self.name, lambda: self.near.open("rb"), self.separator)
            if self.file.suffix in JSON_SUFFIXES:
                _explain_lines(self.near, self.name)
            raise DataError(f"{self.name}: is not a table that can be read ({one_line(error)})") from error


def scan(file: TableFile, dialect: Dialect, folder: Path, number: int, wanted: Sequence[str] = ()) -> Scanned:
    """Prepare a file for scanning.

    Args:
        file: The file; if it is compressed or remote, it is copied first.
        dialect: How CSV or TSV is written.
        folder: The folder for copies.
        number: The number of the file, which names the copy.
        wanted: Columns of JSON that are read even if the first lines lack them.

    Raises:
        DataError: The file cannot be read.
    """
    with needed():
        import polars

    near = file.path.expanduser() if file.is_near else _copied(file, folder / f"{number}{file.suffix}")
    separator = None
    if file.suffix in SEPARATORS:
        frame, separator = _scan_text(file, near, dialect)
    elif file.suffix in JSON_SUFFIXES:
        dialect.refuse(file.document.name)
        frame = _scan_json(file, near, wanted)
    else:
        dialect.refuse(file.document.name)
        frame = polars.scan_parquet(near, glob=False, hive_partitioning=False)
    if file.keys:
        frame = frame.with_columns(
            polars.lit(value, dtype=polars.String).alias(name) for name, value in file.keys.items()
        )
    return Scanned(file, near, frame, separator, dialect.header)


def _of_system(error: Exception) -> type[DataError]:
    return NotKeptError if isinstance(error, OSError) and error.errno in _NO_ROOM else DataError


def _copied(file: TableFile, path: Path) -> Path:
    try:
        with file.document.open() as content, path.open("wb") as copy:
            shutil.copyfileobj(content, copy, 2**20)
    except (OSError, EOFError) as error:
        raise _of_system(error)(f"{file.document.name}: cannot be read or kept ({one_line(error)})") from error
    return path


def _scan_text(file: TableFile, near: Path, dialect: Dialect) -> tuple[polars.LazyFrame, str]:
    with needed():
        import polars

    name = file.document.name
    with near.open("rb") as content:
        head = content.read(_HEAD_BYTES)
        if content.read(1):
            head = head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1] or head
    if not head.strip():
        raise DataError(f"{name}: there is nothing in it; expected a first line with the names of the columns")
    old = b"\n" not in head and b"\r" in head  # line ends of spreadsheets on old Macs
    lines = (head.replace(b"\r", b"\n") if old else head).split(b"\n")
    above = int(is_for_excel(head))
    above += next(at for at, line in enumerate(lines[above:]) if line.strip())
    rest = b"\n".join(lines[above:])
    separator = separator_of(name, rest, file.suffix, dialect)
    first = decoded(lines[above], name, above + 1).removeprefix("\ufeff")
    columns = header_of(name, next(csv.reader([first], delimiter=separator)), dialect)
    # Columns without a name are named by their place, so that names differ.
    named = [column or (f"unnamed {at}" if at else "") for at, column in enumerate(columns)]
    frame = polars.scan_csv(
        near,
        separator=separator,
        has_header=dialect.header,
        skip_lines=above,
        infer_schema=False,
        eol_char="\r" if old else "\n",
        with_column_names=lambda found: named if len(found) == len(named) else found,
        glob=False,
    )
    return frame, separator


def _scan_json(file: TableFile, near: Path, wanted: Sequence[str]) -> polars.LazyFrame:
    with needed():
        import polars

    rows = [row for _, row in islice(json_lines(near), _HEAD_LINES)]
    names = dict.fromkeys((*(name for row in rows for name in row), *(wanted if rows else ())))
    if not names:
        raise DataError(f"{file.document.name}: there is nothing in it; expected an object a line")
    for row in rows:
        strange = [json.dumps(cell) for cell in row.values() if isinstance(cell, list | dict)]
        if strange:
            raise DataError(
                f"{file.document.name}: its objects do not make a table ({strange[0]:.50} in one); give numbers and texts"
            )
    return polars.scan_ndjson(glob.escape(str(near)), schema=dict.fromkeys(names, polars.String))


def _explain_lines(near: Path, name: str) -> None:
    """Read all lines, to raise an error with the number of the one that is no object."""
    try:
        for _ in json_lines(near):
            pass
    except DataError as error:
        raise DataError(str(error).replace(str(near), name, 1)) from error
