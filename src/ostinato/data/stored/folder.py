"""Folders of columns on disk, made once of something and opened again as long as it is the same.

A folder has a file for each column, which is mapped, and `table.json`, as the folders of tables of series have: what the columns
were made of; their types, lengths and CRC-32. It is made under another name and renamed when it is whole.
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
    """Columns of a folder that are being written.

    Args:
        folder: Where to; also for what is needed meanwhile only.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._files: dict[str, ColumnFile] = {}

    def column(self, name: str, dtype: np.dtype[Any]) -> ColumnFile:
        """That of a name, which is begun where it is not there."""
        if name not in self._files:
            self._files[name] = ColumnFile(self.folder / name, dtype)
        return self._files[name]

    def finish(self) -> dict[str, Any]:
        """What there is of each column, when all are on disk."""
        return {name: file.finish() for name, file in self._files.items()}

    def leave(self) -> None:
        """Closes all files, whole or not."""
        for file in self._files.values():
            file.leave()


@dataclass(frozen=True, eq=False)
class KeptColumns:
    """Columns on disk, mapped.

    Attributes:
        folder: Where they lie.
        about: What they were made of, and what was found then.
        arrays: By name.
        on_progress: Called while all of a column are gone through, with the bytes that are done, and of how many.
    """

    folder: Path
    about: dict[str, Any]
    arrays: dict[str, np.ndarray]
    on_progress: Progress | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    @property
    def found(self) -> dict[str, Any]:
        """What was found when they were made."""
        return self.about["found"]

    @property
    def checksum(self) -> str:
        """Of all that is in them."""
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
    """The columns of some data: those that are there, or else new ones.

    Args:
        folder: In which the folders are; None, or one that cannot be written to, for a folder of the system that is gone when
            nobody uses the columns any more.
        data: What they are of; columns of the same data as it was before are removed.
        files: What tells whether the data are the same, in JSON's types.
        how: What else the columns depend on, likewise.
        make: Writes them, and returns what was found, likewise.
        on_progress: See `KeptColumns`.

    Raises:
        DataError: They cannot be kept.
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
    """Columns that are made of others, beside them; they are removed when the data of those have changed.

    Args:
        of: Those others.
        what: The new ones are.
        how: As for `kept_columns`, like `make`.
        make: Writes them.

    Raises:
        DataError: They cannot be kept.
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
    """The columns in a folder, mapped, by any number of processes; None where they are not there, or one has another size."""
    about = about_table(folder)
    try:
        if about is None:
            return None
        return KeptColumns(
            folder, about, {name: mapped_column(folder / name, told) for name, told in about["columns"].items()}
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
