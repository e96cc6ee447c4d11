"""Sources of text: the built-in text, a file, a folder, a glob or a URL, read in blocks of strict UTF-8.

The built-in text is on every machine that runs Python: the source code of its own standard library. A `Text` is a
list of `Document`s; their concatenation is the corpus. Nothing is added between documents and no character is changed
(line ends stay as they are), except that a byte order mark at the beginning of a document is removed.

A folder means every file below it, by sorted relative path, without hidden files and folders (a name that starts with a
dot), without `__pycache__` and without binary files (a zero byte among the first 8000 bytes, which is git's rule). A
glob means every file that it matches, so it can choose files by suffix: `--data 'papers/**/*.tex'`.

A document whose name ends in .gz, .xz, .bz2 or .zst is decompressed.
"""

from __future__ import annotations

import codecs
import glob
import hashlib
import os
import sys
import sysconfig
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from ostinato.data.sources.far_errors import explained, steadily
from ostinato.data.sources.opening import Decompressed, is_compressed, open_local, open_remote
from ostinato.errors import DataError

BLOCK_BYTES = 2**20
_SNIFF_BYTES = 8000
_BYTE_ORDER_MARK = "\ufeff"
_NOT_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}


@dataclass(frozen=True)
class Document:
    """One file: its name, what shows that it has changed, and how to open it."""

    name: str
    size: int | None
    """In bytes of text; None where the source does not say."""
    modified: str
    """Changes when the document changes, as far as the source tells; may be empty."""
    open: Callable[[], AbstractContextManager[BinaryIO]] = field(compare=False)
    stored: int | None = None
    """In bytes as it is kept, compressed or not; None where the source does not say."""


@dataclass(frozen=True)
class Piece:
    """A block of one document's text, never empty."""

    text: str
    size: int
    """Bytes read for this piece."""
    document: int
    """Index of the document."""
    start: int
    """Where in the bytes of the document the text begins."""
    begins_document: bool
    stored: int
    """Bytes of the document as it is kept that were read for this piece, and of a compressed one those before a first piece."""


@dataclass(frozen=True)
class Text:
    """Documents in a fixed order; their concatenation is the corpus."""

    name: str
    documents: tuple[Document, ...]

    @property
    def size(self) -> int | None:
        """Bytes of text in all documents; None if it is not known for one of them."""
        return _total(document.size for document in self.documents)

    @property
    def stored(self) -> int | None:
        """Bytes of all documents as they are stored; None if it is not known for one of them."""
        return _total(document.stored for document in self.documents)

    def fingerprint(self) -> str:
        """Return a hash of the names, sizes and times of change; if it is equal, the text is very likely the same."""
        digest = hashlib.sha256()
        for document in self.documents:
            digest.update(repr((document.name, document.size, document.modified)).encode())
        return digest.hexdigest()

    def pieces(self, block_bytes: int = BLOCK_BYTES, document: int = 0, offset: int = 0) -> Iterator[Piece]:
        """Give the text in order, in pieces of at most `block_bytes` bytes; a piece never spans two documents.

        Args:
            block_bytes: Bytes that are read at a time; at least 1.
            document: Index of the document to begin with.
            offset: The byte of that document to begin at, which must be the first of a character.

        Raises:
            DataError: A document cannot be read or is not UTF-8; the message names it and the place of its first bad
                byte.
        """
        for index in range(document, len(self.documents)):
            yield from _decoded(self.documents[index], index, block_bytes, offset if index == document else 0)


def find_text(data: str | None = None, *, binary: bool = False) -> Text:
    """Find the text that `data` names.

    Args:
        data: None for the built-in text, else a file, a folder, a glob (also `**`) or a URL.
        binary: Whether to include binary files of a folder.

    Raises:
        DataError: Nothing is there, or nothing that can be read.
    """
    if data is None:
        return standard_library()
    if not data.strip():
        raise DataError("data is empty: give a file, a folder, a glob or a URL, or leave it out for the built-in text")
    if "://" in data:
        return _remote(data, binary)
    path = Path(data).expanduser()
    if path.is_file():
        return Text(path.name, (_local(path),))
    if path.is_dir():
        documents = _folder((_local(file) for file in _visible_files(path)), binary)
        return Text(f"{path.resolve().name}/, {_files(documents)}", _some(documents, data))
    if glob.has_magic(data):
        matches = sorted(glob.glob(str(path), recursive=True))
        documents = tuple(_local(Path(match)) for match in matches if os.path.isfile(match))
        return Text(f"{data}, {_files(documents)}", _some(documents, data))
    raise _absent(data)


def check_there(data: str) -> None:
    """Raise a DataError if a name that is no glob and no URL names no file or folder."""
    if "://" not in data and not glob.has_magic(data) and not Path(data).expanduser().exists():
        raise _absent(data)


def _absent(data: str) -> DataError:
    return DataError(f"{data}: no such file or folder; give a file, a folder, a glob in quotes or a URL")


def standard_library() -> Text:
    """Return the built-in text: the source code of the running Python's own standard library, without its tests.

    The files are in the order of a hash of their relative paths. It is the same on every machine with the same Python
    and scatters related files, so that two parts of the concatenation are of the same kind.
    """
    root = Path(sysconfig.get_path("stdlib"))
    files: dict[str, Path] = {}
    for file in root.rglob("*.py"):
        relative = file.relative_to(root)
        if _NOT_LIBRARY.isdisjoint(relative.parts) and _is_utf8(file):
            files[relative.as_posix()] = file
    if not files:
        raise DataError(f"{root}: this Python has no standard library in source form; name a text with --data")
    order = sorted(files, key=lambda name: hashlib.sha256(name.encode()).digest())
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Text(f"Python {version} standard library, {len(files)} files", tuple(_local(files[name]) for name in order))


def _is_utf8(file: Path) -> bool:
    try:
        file.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return False
    return True


def _local(path: Path) -> Document:
    with _reading(str(path)):
        status = path.stat()
    return _document(str(path), status.st_size, str(status.st_mtime_ns), partial(open_local, path))


def _document(
    name: str, size: int | None, modified: str, open: Callable[[], AbstractContextManager[BinaryIO]]
) -> Document:
    if is_compressed(name):  # the size of its text is known only after reading it
        return Document(name, None, f"{size} {modified}", open, size)
    return Document(name, size, modified, open, size)


def _visible_files(root: Path) -> list[Path]:
    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if _is_visible(name)]
        found += [Path(folder, name) for name in files if _is_visible(name)]
    return sorted((file for file in found if file.is_file()), key=lambda file: file.relative_to(root).as_posix())


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name != "__pycache__"


def _folder(documents: Iterable[Document], binary: bool) -> tuple[Document, ...]:
    return tuple(document for document in documents if binary or not _is_binary(document))


def _is_binary(document: Document) -> bool:
    with _reading(document.name), document.open() as file:
        return b"\0" in file.read(_SNIFF_BYTES)


def _remote(url: str, binary: bool) -> Text:
    # Imported here because it costs more than importing this module.
    import fsspec.core  # pyright: ignore[reportMissingTypeStubs]

    with _reading(url):
        filesystem, path = cast("tuple[Any, str]", fsspec.core.url_to_fs(url))  # pyright: ignore[reportUnknownMemberType]

        def info(found: str) -> dict[str, Any]:
            return steadily(lambda: filesystem.info(found))

        def document(found: str) -> Document:
            about = info(found)
            changed = [str(about[key]) for key in ("mtime", "created", "LastModified", "ETag", "etag") if key in about]
            size = about.get("size")
            return _document(found, size, " ".join(changed), partial(open_remote, filesystem, found, size))

        if "*" in path:
            matches = sorted(
                found for found in steadily(lambda: filesystem.glob(path)) if info(found)["type"] == "file"
            )
            documents = tuple(document(found) for found in matches)
        elif info(path)["type"] == "directory":
            below = {found: found[len(path.rstrip("/")) :].split("/") for found in filesystem.find(path)}
            visible = sorted(found for found, parts in below.items() if all(map(_is_visible, parts)))
            documents = _folder((document(found) for found in visible), binary)
        else:
            return Text(url, (document(path),))
    return Text(f"{url}, {_files(documents)}", _some(documents, url))


def _files(documents: tuple[Document, ...]) -> str:
    return "1 file" if len(documents) == 1 else f"{len(documents)} files"


def _some(documents: tuple[Document, ...], data: str) -> tuple[Document, ...]:
    if not documents:
        raise DataError(
            f"{data}: no text files there (hidden and binary files do not count); check the name or the glob"
        )
    return documents


@contextmanager
def _reading(name: str) -> Generator[None]:
    """Turn any error of a file system into one line that names the document; wrap only calls of file systems."""
    try:
        yield
    except DataError as error:
        raise error if str(error).startswith(name) else DataError(f"{name}: {error}") from error
    except Exception as error:  # each file system of fsspec has errors of its own
        raise DataError(f"{name}: {explained(error)}") from error


def likely_encoding(raw: bytes) -> str:
    """Guess the encoding, by iconv's name, of a text that is not UTF-8: UTF-16 if it begins so, else Latin-1."""
    return "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "latin1"


def _total(sizes: Iterable[int | None]) -> int | None:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


def _decoded(document: Document, index: int, block_bytes: int, offset: int) -> Iterator[Piece]:
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    unreported, begins, taken = 0, offset == 0, 0
    with ExitStack() as stack:
        with _reading(document.name):
            file = stack.enter_context(document.open())
            file.seek(offset)
        while True:
            with _reading(document.name):
                block = file.read(block_bytes)
            start = offset - len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                bad = error.object[error.start]
                likely = likely_encoding(error.object if start == 0 else b"")
                raise DataError(
                    f"{document.name}: expected UTF-8, but byte 0x{bad:02x} at offset {start + error.start} "
                    f"is part of no character; convert the file to UTF-8 (iconv -f {likely} -t utf-8) or leave it out"
                ) from error
            if start == 0 and text.startswith(_BYTE_ORDER_MARK):
                text, start = text.removeprefix(_BYTE_ORDER_MARK), len(_BYTE_ORDER_MARK.encode())
            offset += len(block)
            unreported += len(block)
            if text:
                stored = file.stored_bytes - taken if isinstance(file, Decompressed) else unreported
                yield Piece(text, unreported, index, start, begins, stored)
                unreported, begins, taken = 0, False, taken + stored
            if not block:
                return
