"""Opening of documents: local or remote, compressed or not; after a failure, reading continues.

A remote document is read as one long answer, not in many small requests. If the answer breaks off, it is requested
again from that byte on; if the server cannot begin in the middle, it sends all of it, and the known part is skipped.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from typing_extensions import Buffer, override  # typing's own from Python 3.12 on

from ostinato.data.sources.far_errors import lasts
from ostinato.errors import DataError

TRIES = 6
FIRST_WAIT_S = 0.25
_BUFFER_BYTES = 2**20
_COMPRESSIONS = {".gz": "gzip", ".xz": "xz", ".bz2": "bz2", ".zst": "zstd"}


def is_compressed(name: str) -> bool:
    """Tell whether a name ends as that of a compressed file: .gz, .xz, .bz2 or .zst."""
    return _suffix(name) in _COMPRESSIONS


@contextmanager
def open_local(path: Path) -> Generator[BinaryIO]:
    """Open a file of this machine for reading bytes, decompressed."""
    with path.open("rb") as file, _decompressed(file, path.name) as content:
        yield content


@contextmanager
def open_remote(filesystem: Any, path: str, size: int | None) -> Generator[BinaryIO]:
    """Open a document in an fsspec file system for reading bytes, decompressed.

    Args:
        filesystem: The file system of fsspec.
        path: The name of the document there.
        size: Its size in bytes as it is stored; None if unknown. An earlier end is treated as a failure.
    """
    protocols = {filesystem.protocol} if isinstance(filesystem.protocol, str) else set(filesystem.protocol)
    open_at = _open_http_at if protocols & {"http", "https"} else _open_at
    steady = SteadyFile(lambda offset: open_at(filesystem, path, offset), size)
    with io.BufferedReader(steady, _BUFFER_BYTES) as file, _decompressed(cast(BinaryIO, file), path) as content:
        yield content


class SteadyFile(io.RawIOBase):
    """A file that, when reading fails, is opened again and read from the same byte on.

    Args:
        open_at: Opens the file at an offset.
        size: The size in bytes; None if unknown.

    Raises:
        DataError: Reading failed several times in a row, with longer and longer waits between.
    """

    def __init__(self, open_at: Callable[[int], BinaryIO], size: int | None):
        self._open_at, self._size = open_at, size
        self._file: BinaryIO | None = None
        self._offset = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end may not be known")
        target = offset + (self._offset if whence == io.SEEK_CUR else 0)
        if target != self._offset:
            self._leave()
            self._offset = target
        return target

    @override
    def tell(self) -> int:
        return self._offset

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        block = self._insist(len(view))
        view[: len(block)] = block
        self._offset += len(block)
        return len(block)

    def _insist(self, size: int) -> bytes:
        attempt = 1
        while True:
            try:
                return self._read(size)
            except Exception as error:  # each file system of fsspec has errors of its own
                self._leave()
                if lasts(error):
                    raise
                if attempt == TRIES:
                    reason = " ".join(str(error).split()) or type(error).__name__
                    raise DataError(
                        f"reading stopped at byte {self._offset:,} ({reason}), {TRIES} times in a row; "
                        "run the same again later: what is done is kept"
                    ) from error
                time.sleep(FIRST_WAIT_S * 2 ** (attempt - 1))
                attempt += 1

    def _read(self, size: int) -> bytes:
        if self._offset == self._size:
            return b""
        if self._file is None:
            self._file = self._open_at(self._offset)
        block = self._file.read(size)
        if not block and self._size is not None and self._offset < self._size:
            raise EOFError(f"it ended there, but should have {self._size:,} bytes")
        return block

    def _leave(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @override
    def close(self) -> None:
        self._leave()
        super().close()


class Decompressed(io.BufferedReader):
    """The content of a compressed file, with a count of the compressed bytes that were read.

    Args:
        content: The file of decompressed bytes.
        stored: The compressed file.
    """

    def __init__(self, content: Any, stored: BinaryIO):
        super().__init__(content, _BUFFER_BYTES)
        self._stored = stored

    @property
    def stored_bytes(self) -> int:
        """How many bytes of the compressed file were read."""
        return self._stored.tell()

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if self.raw.seekable() or whence != io.SEEK_SET or offset < self.tell():
            return super().seek(offset, whence)
        _skip(cast(BinaryIO, self), offset - self.tell())
        return offset


def _open_at(filesystem: Any, path: str, offset: int) -> BinaryIO:
    file = filesystem.open(path, "rb")
    file.seek(offset)
    return file


def _open_http_at(filesystem: Any, url: str, offset: int) -> BinaryIO:
    # A block size of 0 makes fsspec read one long answer; with a size given, it does not request the size each time.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={offset}-"} if offset else {})}
    file = filesystem.open(url, "rb", block_size=0, size=1, headers=headers)
    if offset and file.r.status != 206:  # the server sends the file from its beginning
        try:
            _skip(file, offset)
        except BaseException:
            file.close()
            raise
    return file


def _skip(file: BinaryIO, size: int) -> None:
    left = size
    while left:
        block = file.read(min(left, _BUFFER_BYTES))
        if not block:
            raise EOFError(f"it ended at byte {size - left:,}, before byte {size:,}")
        left -= len(block)


@contextmanager
def _decompressed(file: BinaryIO, name: str) -> Generator[BinaryIO]:
    kind = _COMPRESSIONS.get(_suffix(name))
    if kind is None:
        yield file
        return
    # Imported here because it costs more than importing this module.
    import fsspec.compression  # pyright: ignore[reportMissingTypeStubs]

    openers = cast("dict[str, Any]", fsspec.compression.compr)  # pyright: ignore[reportUnknownMemberType]
    if kind not in openers:
        raise DataError(f"{name}: files that end in {_suffix(name)} need one more package: pip install zstandard")
    with ExitStack() as stack:
        content = stack.enter_context(openers[kind](file, mode="rb"))
        yield cast(BinaryIO, stack.enter_context(Decompressed(content, file)))


def _suffix(name: str) -> str:
    return PurePosixPath(name.partition("?")[0]).suffix.lower()
