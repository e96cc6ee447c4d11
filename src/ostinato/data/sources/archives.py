"""NumPy's files: single arrays (.npy), and archives (.npz) whose arrays have the usual names, whole or in parts."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.lib.npyio import NpzFile

from ostinato.data.sources.lines import open_file
from ostinato.data.sources.opening import is_compressed
from ostinato.errors import DataError

_BROKEN = (
    ValueError,
    zipfile.BadZipFile,
    RuntimeError,
)  # a ZIP with a password or an unknown compression: RuntimeError


def archive_names(path: str | Path) -> tuple[str, ...]:
    """Return the names of the arrays in an archive, without reading the arrays.

    Raises:
        DataError: The file is no archive, or cannot be read.
    """
    with _opened(path) as archive:
        return tuple(archive.files)


def read_archive(
    path: str | Path,
    wanted: Callable[[str], bool] = lambda name: True,
    *,
    objects: str = "write it with numpy.savez, of arrays that are not of objects",
) -> dict[str, np.ndarray]:
    """Read the arrays of an archive.

    Args:
        path: A file or a URL.
        wanted: Tells by its name whether to read an array.
        objects: The advice in the error about an array of Python objects, which is refused because loading it could run
            code.

    Raises:
        DataError: The file is no archive, is not whole, or a wanted array holds objects.
    """
    found: dict[str, np.ndarray] = {}
    with _opened(path) as archive:
        for name in filter(wanted, archive.files):
            try:
                found[name] = archive[name]
            except _BROKEN as error:
                if "Object arrays" in str(error):
                    raise DataError(
                        f"{path}: is not a whole NumPy archive of numbers: the array {name} is one of Python objects, "
                        f"which are not loaded; {objects}"
                    ) from error
                raise _no_archive(path, error) from error
    return found


def read_array(
    path: str | Path, *, objects: str = "write it with numpy.save, of an array that is not of objects"
) -> np.ndarray:
    """Read the array of a .npy file or URL.

    Args:
        path: A file or a URL.
        objects: The advice in the error about an array of Python objects, which is refused because loading it could run
            code.

    Raises:
        DataError: The file is no .npy file, is not whole, or holds objects.
    """
    with open_file(path) as file:
        try:
            array = np.load(_readable(file, path), allow_pickle=False)
        except _BROKEN as error:
            reason = " ".join(str(error).split())
            advice = objects if "Object arrays" in reason else "write it with numpy.save"
            raise DataError(f"{path}: is not a whole array of numbers ({reason}); {advice}") from error
        if hasattr(array, "files"):
            raise DataError(f"{path}: is an archive of arrays, not one array; call it .npz")
    return array


def names_for(stems: Iterable[str], parts: Sequence[str] = ()) -> list[str]:
    """Return the names that an array may have, the likeliest first: x, or for a part train_x and x_train (Keras).

    Args:
        stems: The usual names of the array.
        parts: The usual names of the part.
    """
    return [name for stem in stems for part in parts or ("",) for name in _joined(part, stem)]


def _joined(part: str, stem: str) -> tuple[str, ...]:
    return (f"{part}_{stem}", f"{stem}_{part}") if part else (stem,)


def first_of(arrays: dict[str, np.ndarray], names: Sequence[str]) -> tuple[str, np.ndarray] | None:
    """Return the array with the first of these names, in any case, and its own name; None if there is none."""
    own = {name.lower(): name for name in reversed(arrays)}
    found = next((own[name] for name in names if name in own), None)
    return None if found is None else (found, arrays[found])


@contextmanager
def _opened(path: str | Path) -> Generator[NpzFile]:
    with open_file(path) as file:
        try:
            archive = np.load(_readable(file, path), allow_pickle=False)
        except _BROKEN as error:
            raise _no_archive(path, error) from error
        if not hasattr(archive, "files"):
            raise _no_archive(path, TypeError("it is a single array"))
        with cast(NpzFile, archive):
            yield cast(NpzFile, archive)


def _readable(file: BinaryIO, path: str | Path) -> BinaryIO:
    """Return a file that NumPy can read: it seeks from a ZIP's end, and reads a file with a number from the disk."""
    return io.BytesIO(file.read()) if "://" in str(path) or is_compressed(str(path)) else file


def _no_archive(path: str | Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())
    return DataError(f"{path}: is not a whole NumPy archive of numbers ({reason}); write it with numpy.savez")
