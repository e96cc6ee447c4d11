"""Files of records, local or remote, compressed or not: read line by line, with errors that name the line."""

from __future__ import annotations

import glob
import io
import lzma
import re
import sys
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from ostinato.data.sources.hidden import visible
from ostinato.data.sources.text import Document, find_text, likely_encoding
from ostinato.errors import DataError

COMPRESSIONS = frozenset({".gz", ".xz", ".bz2", ".zst"})
_BYTE_ORDER_MARK = "\ufeff"
_NUMBERED = re.compile(r"-\d+-of-(?=\d+\b)")  # in the names of Hugging Face and others for the parts of large tables


# The bytes that were read within `opened_once` or given to `held_as`, by the name of the file.
_held: ContextVar[dict[str, bytes] | None] = ContextVar("ostinato_held", default=None)


@contextmanager
def opened_once() -> Generator[None]:
    """In the `with` block, make `open_file` read each file once and keep its bytes in memory.

    So a remote file is fetched once, and a pipe can be read although its first rows are looked at before.
    """
    with _holding(dict(_held.get() or {})):
        yield


@contextmanager
def held_as(path: str | Path, content: bytes) -> Generator[None]:
    """In the `with` block, make `open_file` return these bytes for a name, such as only some rows of the file."""
    with _holding({**(_held.get() or {}), str(path): content}):
        yield


def is_held(path: str | Path) -> bool:
    """Tell whether `open_file` has the bytes of a file in memory, so that the file need not exist."""
    return str(path) in (_held.get() or {})


@contextmanager
def _holding(content: dict[str, bytes]) -> Generator[None]:
    token = _held.set(content)
    try:
        yield
    finally:
        _held.reset(token)


@contextmanager
def open_file(path: str | Path) -> Generator[BinaryIO]:
    """Open one file or URL for reading bytes, decompressed if its name ends in .gz, .xz, .bz2 or .zst.

    Raises:
        DataError: The path is not one file, or cannot be read.
    """
    if "://" not in str(path) and Path(path).expanduser().is_dir():
        raise DataError(f"{path}: expected a file, but this is a folder; name a file in it")
    held = _held.get()
    if held is not None and str(path) in held:
        yield io.BytesIO(held[str(path)])
        return
    documents = find_text(str(path)).documents
    if len(documents) != 1:
        raise DataError(f"{path}: expected one file, but the name stands for {len(documents)}; name one of them")
    with open_document(documents[0], path) as file:
        if held is None:
            yield file
        else:
            held[str(path)] = file.read()
            yield io.BytesIO(held[str(path)])


@contextmanager
def open_document(document: Document, path: str | Path | None = None) -> Generator[BinaryIO]:
    """Open a file that was found by `find_text`.

    Args:
        document: The file.
        path: The name of the file in messages; None for its own.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with document.open() as file:
            yield file
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
        name = document.name if path is None else path
        raise DataError(f"{name}: cannot be read ({reason}); check the file and the rights") from error


def numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    r"""Give the lines of a file in UTF-8 with their numbers, from 1 on, without their ends (`\n` or `\r\n`).

    A byte order mark at the beginning is removed. Only `\n` ends a line, or `\r` in a file without any `\n`: other
    separators of Unicode may be part of a text.

    Raises:
        DataError: The file cannot be read, or a line is not UTF-8.
    """
    with open_file(path) as file:
        yield from numbered(file, path)


def lines_of_stdin() -> Iterator[tuple[int, str]]:
    """Give the lines of standard input, as `numbered_lines` gives those of a file.

    Raises:
        DataError: A line is not UTF-8.
    """
    return numbered(bytes_of_stdin(), "standard input")


def bytes_of_stdin() -> Iterable[bytes]:
    """Give standard input line by line as bytes, so that it is decoded as files are, and not by the locale."""
    raw = getattr(sys.stdin, "buffer", None)  # a stream of text that replaces standard input has none
    return (line.encode() for line in sys.stdin) if raw is None else raw


def numbered(lines: Iterable[bytes], path: str | Path) -> Iterator[tuple[int, str]]:
    """Decode and number lines, as `numbered_lines` does for a file; `path` names the lines in messages."""
    for number, raw in enumerate(_parted(lines), start=1):
        line = decoded(raw, path, number)
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        yield number, line.removesuffix("\n").removesuffix("\r")


def _parted(lines: Iterable[bytes]) -> Iterator[bytes]:
    r"""Give the same lines; if there is one without `\n`, split it at `\r`, the line end of old Macs."""
    for number, raw in enumerate(lines):
        if number == 0 and b"\r" in raw and not raw.endswith(b"\n"):
            yield from raw.removesuffix(b"\r").split(b"\r")
        else:
            yield raw


def decoded(raw: bytes, path: str | Path, number: int) -> str:
    """Decode a line; raise a DataError that names file, line and byte if it is not UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number}: expected UTF-8, but byte {error.start + 1} of the line (0x{raw[error.start]:02x}) "
            f"is part of no character; convert the file to UTF-8 (iconv -f {likely_encoding(raw)} -t utf-8)"
        ) from error


def suffix_of(path: str | Path) -> str:
    """Return the suffix of the format, in lower case: ".csv" for data.csv and for data.CSV.gz."""
    name = str(path).partition("?")[0] if "://" in str(path) else str(path)
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    while suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def find_parts(
    folder: Path, names: dict[str, tuple[str, ...]], endings: tuple[str, ...], *, numbered: bool = False
) -> dict[str, Path]:
    """Find the files of a folder that hold its parts, by their names.

    Args:
        folder: The folder.
        names: For each part, the stems that its file may have: {"validation": ("validation", "valid", "val", "dev")}.
        endings: The endings that a file name may have, before the suffix of a compression: (".csv", ".tsv").
        numbered: Whether a part may be several numbered files, `train-00000-of-00002.parquet`; the result is then a
            glob.

    Raises:
        DataError: Two files could be the same part.
    """
    found: dict[str, Path] = {}
    for file in visible(folder.iterdir()):
        name = file.name.lower()
        for compression in COMPRESSIONS:
            name = name.removesuffix(compression)
        ending = next((ending for ending in endings if name.endswith(ending)), None)
        if ending is None or not file.is_file():
            continue
        part = part_of_name(name.removesuffix(ending), names)
        if part is None:
            continue
        pattern = numbered_as(file) if numbered and part in found else None
        if pattern is not None and pattern in (found[part], numbered_as(found[part])):
            found[part] = pattern
            continue
        if part in found:
            raise DataError(
                f"{folder}: {found[part].name} and {file.name} could both be the {part} part; name the files"
            )
        found[part] = file
    return found


def numbered_as(file: Path) -> Path | None:
    """Return the glob for a numbered file and all that are numbered likewise; None if the file is not numbered."""
    escaped = Path(glob.escape(str(file)))
    name, count = _NUMBERED.subn("-*-of-", escaped.name, count=1)
    return escaped.with_name(name) if count else None


def part_of_name(stem: str, names: dict[str, tuple[str, ...]]) -> str | None:
    """Find the part in a file name without ending: in its last word ("en_ewt-ud-train") or its first ("test_2016")."""
    words = stem.lower().replace("_", "-").replace(".", "-").split("-")
    return next((part for part, stems in names.items() if words[-1] in stems or words[0] in stems), None)


PART_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "development"),
    "test": ("test", "testing"),
}
"""What people call the three parts."""
