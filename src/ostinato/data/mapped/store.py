"""The columns of a table on disk: a file for each, one series behind the other, which are mapped.

| file | what it holds |
| --- | --- |
| `table.json` | how it was read and of which files; type, length and CRC-32 of each column |
| `column-0`, `column-1`, ... | values, then covariates: float32 where that holds each number exactly, else float64; words |
| `times` | when each step is, where no grid tells |
| `index.npz` | where each series begins, and what is one number for each |
| `ids.json` | what the series are called |

The folder is made under another name and renamed when it is whole: a folder that is there is whole. What a killed process has begun
goes on with the files of the table that it had read to their end.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.errors import DataError

ABOUT, INDEX, IDS, TIMES = "table.json", "index.npz", "ids.json", "times"
PARTS = "rows-"  # of files of the table in the form in which they are read
TABLES = "tables"  # the folder of a run in which tables are kept
_BUFFER_BYTES = 2**20
_TRIES = 5
_BEGUN = re.compile(r"(\..+)\.([^.]+)-(\d+)")  # the name of a folder that is being made, the machine and the process
_QUIET_S = 900.0  # a process of another machine that writes nothing for so long is gone


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


def forget_changed(own: Path, data: str, files: Any) -> None:
    """Removes what lies beside a table and is of the same data, as their files were before they changed.

    Args:
        own: The folder of the table.
        data: What it is of, by name.
        files: What they are now.
    """
    for other in own.parent.iterdir():
        about = about_table(other)
        if other != own and about is not None and about["data"] == data and about["about"]["files"] != files:
            shutil.rmtree(other, ignore_errors=True)


def open_stored(folder: Path) -> Stored | None:
    """The table in a folder, mapped, by any number of processes; None where it is not there, or a file is not what was written.

    Every byte is looked at once in a process; a gigabyte takes about a second.
    """
    about = about_table(folder)
    try:
        if about is None:
            return None
        columns = tuple(mapped_column(folder / f"column-{at}", each) for at, each in enumerate(about["columns"]))
        times = None if about["times"] is None else mapped_column(folder / TIMES, about["times"])
        with np.load(folder / INDEX, allow_pickle=False) as archive:
            index = {name: archive[name] for name in archive.files}
        text = (folder / IDS).read_text(encoding="utf-8")
        ids = tuple(json.loads(text))
        if _checksum_of(index, text) != about["index"]:
            raise ValueError(f"{folder} is damaged")
        return Stored(folder, about, columns, times, index, ids)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


_looked_at: set[tuple[Any, ...]] = set()  # files of columns whose bytes are those that were written


def mapped_column(path: Path, about: dict[str, Any]) -> np.ndarray:
    """A column of which `ColumnFile.finish` has told; a ValueError where the file has another size."""
    dtype = np.dtype(about["dtype"])
    if path.stat().st_size != about["count"] * dtype.itemsize:
        raise ValueError(f"{path} is not whole")
    if not about["count"]:
        return np.zeros(0, dtype)
    found, status = np.asarray(np.memmap(path, dtype=dtype, mode="r")), path.stat()
    seen = (status.st_dev, status.st_ino, status.st_mtime_ns, about["crc32"])
    if seen not in _looked_at:
        if checksum_of(path) != about["crc32"]:
            raise ValueError(f"{path} is damaged")
        _looked_at.add(seen)
    return found


def checksum_of(path: Path) -> int:
    """CRC-32 of a file."""
    checksum = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BUFFER_BYTES):
            checksum = zlib.crc32(block, checksum)
    return checksum


def write_index(folder: Path, index: dict[str, np.ndarray], ids: Sequence[str]) -> int:
    """Writes what there is for each series, and returns a checksum of it."""
    np.savez(folder / INDEX, **index)  # pyright: ignore[reportArgumentType]
    text = json.dumps(list(ids), ensure_ascii=False)
    (folder / IDS).write_text(text, encoding="utf-8")
    return _checksum_of(index, text)


def _checksum_of(index: dict[str, np.ndarray], ids: str) -> int:
    checksum = zlib.crc32(ids.encode())
    for name in sorted(index):
        checksum = zlib.crc32(np.ascontiguousarray(index[name]).tobytes(), checksum)
    return checksum


@contextmanager
def made_whole(folder: Path, is_whole: Callable[[Path], object] = open_stored) -> Generator[Path]:
    """A folder to make a table in, which gets the name `folder` at the end of the block.

    It has what a process had done that was killed at the same; what others have left is removed. Where another process has made the
    same meanwhile, that stays. Whether a process of another machine was killed nobody can see here: it counts so when its folder
    has not changed for a quarter of an hour.

    Args:
        folder: Which.
        is_whole: Whether what has its name meanwhile is whole.

    Raises:
        DataError: It cannot be written.
    """
    beside = folder.with_name(_own_name(folder))
    goes_on = False
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in _left_in(folder.parent):
            if left.name.startswith(f".{folder.name}.") and not beside.exists():
                with suppress(OSError):  # another process took it
                    os.replace(left, beside)
            shutil.rmtree(left, ignore_errors=True)
        beside.mkdir(exist_ok=True)
        for part in beside.iterdir():
            if not part.name.startswith(PARTS):
                part.unlink()
        yield beside
        for attempt in range(_TRIES):
            if is_whole(folder):
                return
            shutil.rmtree(folder, ignore_errors=True)  # one that is not whole
            try:
                os.replace(beside, folder)
                return
            except OSError:
                if attempt + 1 == _TRIES:
                    raise
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"{folder}: the table cannot be kept there ({reason}); make room or choose another folder"
        ) from error
    except Exception:
        raise
    except BaseException:  # who is told to stop may want to go on later
        goes_on = True
        raise
    finally:
        if not goes_on:
            shutil.rmtree(beside, ignore_errors=True)


def _own_name(folder: Path) -> str:
    """Of a folder that this process makes; processes of several machines, or containers, may have the same number."""
    return f".{folder.name}.{_machine()}-{os.getpid()}"


def _machine() -> str:
    return socket.gethostname().replace(".", "_")


def _left_in(folder: Path) -> list[Path]:
    """What processes have begun that are no more, in the order of their names."""
    found: list[Path] = []
    for each in sorted(folder.glob(".*.*-*")):
        told = _BEGUN.fullmatch(each.name)
        if told is None:
            continue
        if _is_quiet(each) if told[2] != _machine() else not _is_alive(told[3]):
            found.append(each)
    return found


def _is_quiet(folder: Path) -> bool:
    """Whether nothing in a folder has changed for long, by the clock of the file system, on which a new file tells the time."""
    try:
        changed = max(each.stat().st_mtime for each in (folder, *folder.iterdir()))
        with tempfile.TemporaryFile(dir=folder.parent) as probe:
            return os.fstat(probe.fileno()).st_mtime - changed > _QUIET_S
    except OSError:  # it is gone, or nobody can say
        return False


def _is_alive(process: str) -> bool:
    if int(process) == os.getpid():
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
