"""Files that are either complete or absent: written under a temporary name, synced, renamed."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import torch

from ostinato.data.sources.plain_file import open_plain

_numbers = itertools.count()

# The safetensors format's names for torch's dtypes.
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


class NewFile:
    """A file that gets its name when it is complete; at whatever moment the process dies, an older file of that name stays.

        with NewFile(folder) as file:
            file.write(content)
            file.commit(folder / "name")

    Without `commit` the file is removed. A process that is killed leaves the temporary file, which `remove_leftovers` removes.

    Args:
        folder: the folder of the temporary file; it must exist.
    """

    def __init__(self, folder: Path):
        self._path = folder / f".{os.getpid()}-{next(_numbers)}.tmp"
        self._sha256 = hashlib.sha256()
        self._file: BinaryIO | None = None

    def __enter__(self) -> NewFile:
        self._file = self._path.open("wb")
        return self

    def write(self, content: bytes | memoryview) -> None:
        """Append to the file."""
        assert self._file is not None
        self._file.write(content)
        self._sha256.update(content)

    @property
    def sha256(self) -> str:
        """The checksum of what was written so far."""
        return self._sha256.hexdigest()

    def commit(self, path: Path) -> None:
        """Sync the file to the disk and rename it to `path`, replacing an older file of that name."""
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._path, path)
        _sync_folder(path.parent)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._file is not None:
                self._file.close()
        finally:
            self._path.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    if os.name != "posix":
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)  # a rename is on the disk only when the folder is synced
    finally:
        os.close(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove unfinished files of killed processes from `folder`; no other process may be writing there."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a crash at any moment leaves the old one or the new one."""
    with NewFile(path.parent) as file:
        file.write(content)
        file.commit(path)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text as `write_bytes` does."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON, as `write_bytes` does."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_tensors(file: NewFile, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write `tensors` in the safetensors format, one after the other.

    The library's own writer first collects all of them in memory, so that a state of several gigabytes would need twice its size.
    Of tensors that share memory, each is written in full.

    Raises:
        TypeError: a tensor's type has no name in the format.
    """
    header: dict[str, Any] = {}
    # Wide numbers first: each tensor then begins at a multiple of its own width.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    place = 0
    for name in order:
        tensor = tensors[name]
        if tensor.dtype not in _DTYPES:
            raise TypeError(f"{name}: expected a tensor of a type that safetensors holds, got {tensor.dtype}")
        size = tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, place + size],
        }
        place += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in order:
        flat = tensors[name].detach().to("cpu").contiguous().flatten()
        file.write(flat.view(torch.uint8).numpy().data)


def sha256_of(path: Path) -> str:
    """The checksum of a file, read in blocks."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
