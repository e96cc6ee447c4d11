"""The columns of a table on disk: a mapped file for each column, with one series after the other.

| file | what it holds |
| --- | --- |
| `table.json` | how and from which files the table was read; type, length and CRC-32 of each column |
| `column-0`, `column-1`, ... | values, then covariates: float32 if that is exact, else float64; codes of words |
| `times` | the time of each step, if there is no grid |
| `index.npz` | where each series begins, and other numbers for each series |
| `ids.json` | the names of the series |

The folder is made under another name and renamed when it is whole, so a folder with its final name is whole. If a
process was killed, the next one uses the files of the table that it had read completely.
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
PARTS = "rows-"  # the prefix of the temporary Parquet copies of the table's files
TABLES = "tables"  # the folder in a run for tables
_BUFFER_BYTES = 2**20
_TRIES = 5
_BEGUN = re.compile(r"(\..+)\.([^.]+)-(\d+)")  # a folder in progress: its name, machine and process
_QUIET_S = 900.0  # a process of another machine that has written nothing for so long counts as dead


class ColumnFile:
    """A column that is written piece by piece.

    Args:
        path: The path of the file.
        dtype: The type of the numbers.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any]):
        self._file, self._dtype = path.open("wb", buffering=_BUFFER_BYTES), dtype
        self.count, self.checksum = 0, 0

    def append(self, numbers: np.ndarray) -> None:
        """Append (T,) numbers, which must fit into the type."""
        content = np.ascontiguousarray(numbers, dtype=self._dtype)
        self._file.write(content.data)
        self.checksum = zlib.crc32(content.data, self.checksum)
        self.count += len(content)

    def leave(self) -> None:
        """Close the file, whether it is whole or not."""
        self._file.close()

    def finish(self) -> dict[str, Any]:
        """Flush the file to disk and close it; return its type, length and checksum."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {"dtype": self._dtype.name, "count": self.count, "crc32": self.checksum}


@dataclass(frozen=True)
class Stored:
    """A table on disk, mapped.

    Attributes:
        folder: The folder of the table.
        about: The description of the table.
        columns: The columns, (N,) each, for all steps of all series.
        times: (N,) int64; None if a grid determines the times.
        index: Arrays with an entry for each series: `begins` (S + 1,), `firsts`, `grids`, `statics`, `counts`,
            `largest`; and `sizes`, the largest absolute value of each column.
        ids: The names of the series.
    """

    folder: Path
    about: dict[str, Any]
    columns: tuple[np.ndarray, ...]
    times: np.ndarray | None
    index: dict[str, np.ndarray]
    ids: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """The checksums of all files of the table."""
        return f"{self.about['columns']} {self.about['times']} {self.about['index']}"


def about_table(folder: Path) -> dict[str, Any] | None:
    """Return the description of the table in a folder; None if there is none."""
    try:
        return json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def forget_changed(own: Path, data: str, files: Any) -> None:
    """Remove the tables beside `own` that were made from the same data when its files were different.

    Args:
        own: The folder of the table.
        data: The name of its data.
        files: The identity of the data's files now.
    """
    for other in own.parent.iterdir():
        about = about_table(other)
        if other != own and about is not None and about["data"] == data and about["about"]["files"] != files:
            shutil.rmtree(other, ignore_errors=True)


def open_stored(folder: Path) -> Stored | None:
    """Map the table in a folder; None if there is none, or a file is damaged. Any number of processes may do so.

    Each process checks every byte once; a gigabyte takes about a second.
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


_looked_at: set[tuple[Any, ...]] = set()  # files of columns whose checksums were found right


def mapped_column(path: Path, about: dict[str, Any]) -> np.ndarray:
    """Map a column that `ColumnFile.finish` described; raise a ValueError if its size or checksum is wrong."""
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
    """Compute the CRC-32 of a file."""
    checksum = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BUFFER_BYTES):
            checksum = zlib.crc32(block, checksum)
    return checksum


def write_index(folder: Path, index: dict[str, np.ndarray], ids: Sequence[str]) -> int:
    """Write the arrays and the names of the series, and return their checksum."""
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
    """Give a temporary folder to make a table in, and rename it to `folder` at the end of the block.

    The temporary folder has what a killed process had read for the same table; the remains of other killed processes
    are removed. If another process has made the same table meanwhile, that one stays. Whether a process of another
    machine was killed cannot be seen from here: it counts as killed if its folder has not changed for a quarter of an
    hour.

    Args:
        folder: The final name of the folder.
        is_whole: Tells whether a folder that has the final name meanwhile is whole.

    Raises:
        DataError: The folder cannot be written.
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
            shutil.rmtree(folder, ignore_errors=True)  # it exists, if at all, but is damaged
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
    except BaseException:  # an interrupted user may want to continue later
        goes_on = True
        raise
    finally:
        if not goes_on:
            shutil.rmtree(beside, ignore_errors=True)


def _own_name(folder: Path) -> str:
    """Name a folder that this process makes, with its machine, as processes of several may have the same number."""
    return f".{folder.name}.{_machine()}-{os.getpid()}"


def _machine() -> str:
    return socket.gethostname().replace(".", "_")


def _left_in(folder: Path) -> list[Path]:
    """Find the unfinished folders of processes that no longer run, in the order of their names."""
    found: list[Path] = []
    for each in sorted(folder.glob(".*.*-*")):
        told = _BEGUN.fullmatch(each.name)
        if told is None:
            continue
        if _is_quiet(each) if told[2] != _machine() else not _is_alive(told[3]):
            found.append(each)
    return found


def _is_quiet(folder: Path) -> bool:
    """Tell whether nothing in a folder has changed for long, by the file system's clock: the time of a new file."""
    try:
        changed = max(each.stat().st_mtime for each in (folder, *folder.iterdir()))
        with tempfile.TemporaryFile(dir=folder.parent) as probe:
            return os.fstat(probe.fileno()).st_mtime - changed > _QUIET_S
    except OSError:  # it is gone, or its times cannot be read
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
    """Tell whether a folder can be made and written to."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), None)
    return there is not None and os.access(there, os.W_OK)
