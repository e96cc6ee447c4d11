"""The columns of a table on disk: a file for each, one series behind the other, which are mapped.

| file | what it holds |
| --- | --- |
| `table.json` | how it was read and of which files; type, length and CRC-32 of each column |
| `column-0`, `column-1`, ... | values, then covariates: float32 where that holds each number exactly, else float64; words |
| `times` | when each step is, where no grid tells |
| `index.npz` | where each series begins, and what is one number for each |
| `ids.json` | what the series are called |

The folder is made under another name and renamed when it is whole: a folder that is there is whole, and what a killed process has
begun is begun anew.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.errors import DataError

ABOUT, INDEX, IDS, TIMES = "table.json", "index.npz", "ids.json", "times"
TABLES = "tables"  # the folder of a run in which tables are kept
_BUFFER_BYTES = 2**20


class ColumnFile:
    """A column that is written piece by piece.

    Args:
        path: Of the file.
        dtype: Of its numbers.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any]):
        self._file, self._dtype = path.open("wb", buffering=_BUFFER_BYTES), dtype
        self.count, self.checksum = 0, 0

    def append(self, numbers: np.ndarray) -> None:
        """(T,) more, that fit into the type."""
        content = np.ascontiguousarray(numbers, dtype=self._dtype)
        self._file.write(content.data)
        self.checksum = zlib.crc32(content.data, self.checksum)
        self.count += len(content)

    def leave(self) -> None:
        """Closes the file, whole or not."""
        self._file.close()

    def finish(self) -> dict[str, Any]:
        """Type, length and checksum, when it is on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {"dtype": self._dtype.name, "count": self.count, "crc32": self.checksum}


@dataclass(frozen=True)
class Stored:
    """A table on disk, mapped.

    Attributes:
        folder: Where it lies.
        about: Its description.
        columns: (N,) each, of all steps.
        times: (N,) int64; None where a grid tells them.
        index: What there is for each series: `begins` (S + 1,), `firsts`, `grids`, `statics`, `counts`,
            `largest`; and how large the numbers of each column are, `sizes`.
        ids: Of the series.
    """

    folder: Path
    about: dict[str, Any]
    columns: tuple[np.ndarray, ...]
    times: np.ndarray | None
    index: dict[str, np.ndarray]
    ids: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """Of all that is in it."""
        return f"{self.about['columns']} {self.about['times']} {self.about['index']}"


def about_table(folder: Path) -> dict[str, Any] | None:
    """What the table in a folder is of; None if there is none."""
    try:
        return json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def open_stored(folder: Path) -> Stored | None:
    """The table in a folder, mapped, by any number of processes; None where it is not there, or a file has another size."""
    about = about_table(folder)
    try:
        if about is None:
            return None
        columns = tuple(mapped_column(folder / f"column-{at}", each) for at, each in enumerate(about["columns"]))
        times = None if about["times"] is None else mapped_column(folder / TIMES, about["times"])
        with np.load(folder / INDEX, allow_pickle=False) as archive:
            index = {name: archive[name] for name in archive.files}
        ids = tuple(json.loads((folder / IDS).read_text(encoding="utf-8")))
        return Stored(folder, about, columns, times, index, ids)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def mapped_column(path: Path, about: dict[str, Any]) -> np.ndarray:
    """A column of which `ColumnFile.finish` has told; a ValueError where the file has another size."""
    dtype = np.dtype(about["dtype"])
    if path.stat().st_size != about["count"] * dtype.itemsize:
        raise ValueError(f"{path} is not whole")
    if not about["count"]:
        return np.zeros(0, dtype)
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))


def write_index(folder: Path, index: dict[str, np.ndarray], ids: Sequence[str]) -> int:
    """Writes what there is for each series, and returns a checksum of it."""
    np.savez(folder / INDEX, **index)  # pyright: ignore[reportArgumentType]
    text = json.dumps(list(ids), ensure_ascii=False)
    (folder / IDS).write_text(text, encoding="utf-8")
    checksum = zlib.crc32(text.encode())
    for name in sorted(index):
        checksum = zlib.crc32(np.ascontiguousarray(index[name]).tobytes(), checksum)
    return checksum


@contextmanager
def made_whole(folder: Path) -> Generator[Path]:
    """A folder to make a table in, which gets the name `folder` at the end of the block; what others left half made goes.

    Raises:
        DataError: It cannot be written.
    """
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(f".{folder.name}.*"):
            if not _is_alive(left.suffix[1:]):
                shutil.rmtree(left, ignore_errors=True)
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        yield beside
        shutil.rmtree(folder, ignore_errors=True)  # one that is not whole
        os.replace(beside, folder)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"{folder}: the table cannot be kept there ({reason}); make room or choose another folder"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _is_alive(process: str) -> bool:
    if not process.isdigit() or int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def may_write(folder: Path) -> bool:
    """Whether a folder can be made and written to."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), None)
    return there is not None and os.access(there, os.W_OK)
