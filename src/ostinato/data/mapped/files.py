"""The files of a table: one, or those of a folder or a glob, local or remote; names of folders may give columns."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from ostinato.data.sources.cells import PARQUET_SUFFIXES, TABLE_SUFFIXES
from ostinato.data.sources.lines import is_held, suffix_of
from ostinato.data.sources.opening import is_compressed
from ostinato.data.sources.text import Document, find_text
from ostinato.errors import DataError
from ostinato.extras import needed

MOST_BYTES = 64 * 2**20  # the largest file of a table that is read into memory
MOST_ROWS = 1_000_000  # the most rows of such a file in Parquet, which compresses them
_MOST_PACKED = 8  # the assumed ratio of a text's size to its compressed size
_KEY = re.compile(r"([^=/]+)=([^/]*)")
_NO_KEY = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class TableFile:
    """One file of a table.

    Attributes:
        document: The name of the file, and how to open it.
        suffix: The suffix that says its format.
        keys: Columns from the names of its folders, as in `store=CA_1/part.parquet`; None for a missing value.
    """

    document: Document
    suffix: str
    keys: dict[str, str | None]

    @property
    def is_near(self) -> bool:
        """Whether the file is on this machine and not compressed, so that any part can be read without copying it."""
        return "://" not in self.document.name and not is_compressed(self.document.name) and self.path.is_file()

    @property
    def path(self) -> Path:
        """The path of a file on this machine."""
        return Path(self.document.name)


@dataclass(frozen=True)
class TableFiles:
    """The files of a table, in the order of their names.

    Attributes:
        name: The name of the data.
        files: The files, at least one, all of one format.
    """

    name: str
    files: tuple[TableFile, ...]

    def identity(self) -> list[list[Any]]:
        """Return names, sizes and times of change; if they are equal, the table is very likely the same."""
        return [[each.document.name, each.document.stored, each.document.modified] for each in self.files]


def is_large(data: str) -> bool:
    """Tell whether a table is to be mapped: several files, or one above 64 MB, or above a million rows in Parquet."""
    if is_held(data):
        return False
    if "://" in data:
        if "*" in data or data.endswith("/"):
            return True
        try:
            stored = find_text(data).stored or 0
        except DataError:
            return False  # the reader reports the error
        return stored * (_MOST_PACKED if is_compressed(data) else 1) > MOST_BYTES
    path = Path(data).expanduser()
    if path.is_dir():
        return True
    if not path.is_file():
        return not path.exists() and glob.has_magic(data)
    size = path.stat().st_size * (_MOST_PACKED if is_compressed(data) else 1)
    return size > MOST_BYTES or (suffix_of(data) in PARQUET_SUFFIXES and _rows(path) > MOST_ROWS)


def _rows(path: Path) -> int:
    with needed():
        import polars

    try:
        return int(polars.scan_parquet(path, glob=False).select(polars.len()).collect().item())
    except Exception:  # the errors of polars have no common class; the reader reports the error
        return 0


def find_tables(data: str) -> TableFiles:
    """Find the files that `data` names: a file, a folder, a glob (also `**`) or a URL of one of these.

    Raises:
        DataError: There is no file, or there are files of several formats.
    """
    text = find_text(data, binary=True)
    # Files such as _SUCCESS, which Spark writes beside its parts, are no parts.
    several = len(text.documents) > 1
    documents = [each for each in text.documents if suffix_of(each.name) in TABLE_SUFFIXES or not several]
    documents = [each for each in documents if not PurePosixPath(each.name).name.startswith("_")] or documents
    kinds = sorted({_kind(suffix_of(each.name)) for each in documents})
    if len(kinds) != 1 or kinds[0] not in TABLE_SUFFIXES:
        got = "none of them" if len(kinds) < 2 else f"several formats, {', '.join(kinds)}"
        raise DataError(
            f"{data}: expected files whose names end in {', '.join(TABLE_SUFFIXES)}, got {got}; name some with a glob in quotes"
        )
    root = _root(data)
    files = tuple(TableFile(each, suffix_of(each.name), _keys(each.name, root)) for each in documents)
    names = {tuple(each.keys) for each in files}
    if len(names) > 1:
        raise DataError(
            f"{data}: its folders name other columns ({'; '.join(', '.join(each) or 'none' for each in sorted(names))}); expected "
            "the same above all files"
        )
    return TableFiles(Path(data.rstrip("/")).name, files)


def _kind(suffix: str) -> str:
    return ".parquet" if suffix in PARQUET_SUFFIXES else suffix


def _root(data: str) -> str:
    """Return the fixed beginning of all names that `data` means; its folders name no columns."""
    if "://" not in data and Path(data).expanduser().is_file():
        return str(Path(data).expanduser())
    parts = data.split("/")
    fixed = next((at for at, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return str(Path("/".join(parts[:fixed]) or ".").expanduser()) if "://" not in data else "/".join(parts[:fixed])


def _keys(name: str, root: str) -> dict[str, str | None]:
    if "://" in root:  # fsspec's names lack the protocol
        root = root.partition("://")[2]
    below = name[name.find(root) + len(root) :] if root != "." and root in name else name
    found = (_KEY.fullmatch(part) for part in PurePosixPath(below.replace("\\", "/")).parts[:-1])
    return {each[1]: None if each[2] == _NO_KEY else unquote(each[2]) for each in found if each}
