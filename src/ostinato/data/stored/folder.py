"""Folders of columns on disk, which are made once from some data and used again as long as the data stay the same.

A folder has a mapped file for each column, and `table.json`, as for tables of series: what the columns were made from,
and their types, lengths and CRC-32. It is made under another name and renamed when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.data.mapped.store import (
    ABOUT,
    ColumnFile,
    about_table,
    forget_changed,
    made_whole,
    mapped_column,
    may_write,
)

Progress = Callable[[int, int | None], None]
_VERSION = 1


class ColumnWriter:
    """Writer of the columns of a folder.

    Args:
        folder: The folder for the columns, and for temporary files.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._files: dict[str, ColumnFile] = {}

    def column(self, name: str, dtype: np.dtype[Any]) -> ColumnFile:
        """Return the column called `name`; begin it if there is none."""
        if name not in self._files:
            self._files[name] = ColumnFile(self.folder / name, dtype)
        return self._files[name]

    def finish(self) -> dict[str, Any]:
        """Flush all columns to disk; return the type, length and checksum of each."""
        return {name: file.finish() for name, file in self._files.items()}

    def leave(self) -> None:
        """Close all files, whether they are whole or not."""
        for file in self._files.values():
            file.leave()


@dataclass(frozen=True, eq=False)
class KeptColumns:
    """Columns on disk, mapped.

    Attributes:
        folder: The folder of the columns.
        about: What they were made from, and facts that were found then.
        arrays: The columns by name.
        on_progress: Called while a whole column is read, with the bytes that are done, and the bytes in all.
    """

    folder: Path
    about: dict[str, Any]
    arrays: dict[str, np.ndarray]
    on_progress: Progress | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    @property
    def found(self) -> dict[str, Any]:
        """The facts that were found when the columns were made."""
        return self.about["found"]

    @property
    def checksum(self) -> str:
        """A checksum of all contents."""
        content = json.dumps([self.about["columns"], self.about["found"]], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


def kept_columns(
    folder: str | Path | None,
    data: str,
    files: Any,
    how: Any,
    make: Callable[[ColumnWriter], dict[str, Any]],
    on_progress: Progress | None = None,
) -> KeptColumns:
    """Open the columns of some data; make them if there are none.

    Args:
        folder: The folder for all folders of columns. If it is None, or cannot be written to, a temporary folder is
            used and removed with the last use of the columns.
        data: The name of the data; columns of an earlier state of the same data are removed.
        files: The identity of the data, in JSON's types: if it is equal, the data are the same.
        how: Everything else that the columns depend on, in JSON's types.
        make: Writes the columns, and returns the facts found meanwhile, in JSON's types.
        on_progress: See `KeptColumns`.

    Raises:
        DataError: The columns cannot be stored.
    """
    identity = json.loads(json.dumps({"version": _VERSION, "files": files, "how": how, "like": None}))
    temporary = None
    if folder is None or not may_write(Path(folder)):
        folder = temporary = tempfile.mkdtemp(prefix="ostinato-columns-")
    try:
        columns = replace(_kept(Path(folder), data, identity, make), on_progress=on_progress)
    except BaseException:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        raise
    if temporary is not None:
        weakref.finalize(columns, shutil.rmtree, temporary, ignore_errors=True)
    return columns


def columns_beside(of: KeptColumns, what: str, how: Any, make: Callable[[ColumnWriter], dict[str, Any]]) -> KeptColumns:
    """Open or make columns that are derived from others, beside them; they are removed when the data of these change.

    Args:
        of: The other columns.
        what: What the new columns are, such as "ids".
        how: As for `kept_columns`.
        make: Writes the new columns, as for `kept_columns`.

    Raises:
        DataError: The columns cannot be stored.
    """
    name = f"{what} of {of.about['data']}"
    return kept_columns(of.folder.parent, name, of.about["about"]["files"], [of.checksum, how], make)


def _kept(
    folder: Path, data: str, identity: dict[str, Any], make: Callable[[ColumnWriter], dict[str, Any]]
) -> KeptColumns:
    own = folder / hashlib.sha256(json.dumps([data, identity], sort_keys=True).encode()).hexdigest()[:12]
    if (columns := open_columns(own)) is not None:
        return columns
    with made_whole(own, open_columns) as beside:
        writer = ColumnWriter(beside)
        try:
            found = make(writer)
            about = {"columns": writer.finish(), "found": found, "about": identity, "data": data}
        finally:
            writer.leave()
        (beside / ABOUT).write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
    forget_changed(own, data, identity["files"])
    columns = open_columns(own)
    assert columns is not None
    return columns


def open_columns(folder: Path) -> KeptColumns | None:
    """Map the columns in a folder; None if there are none, or one is damaged. Any number of processes may do so."""
    about = about_table(folder)
    try:
        if about is None:
            return None
        return KeptColumns(
            folder, about, {name: mapped_column(folder / name, told) for name, told in about["columns"].items()}
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
