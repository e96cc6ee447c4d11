"""Files of records: opened wherever they lie, compressed or not, line by line, with errors that name the line."""

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
_NUMBERED = re.compile(r"-\d+-of-(?=\d+\b)")  # as Hugging Face and others cut large tables


# What `opened_once` has read or `held_as` was given, by name.
_held: ContextVar[dict[str, bytes] | None] = ContextVar("ostinato_held", default=None)


@contextmanager
def opened_once() -> Generator[None]:
    """In the `with` block `open_file` reads a file once, and holds it: who looks at its first rows, to see what it is, goes on so.

    What comes from far away comes once, and a pipe can be read at all.
    """
    with _holding(dict(_held.get() or {})):
        yield


@contextmanager
def held_as(path: str | Path, content: bytes) -> Generator[None]:
    """In the `with` block `open_file` finds these bytes under a name, such as some rows of the file that has it."""
    with _holding({**(_held.get() or {}), str(path): content}):
        yield


def is_held(path: str | Path) -> bool:
    """Whether `open_file` has a file's bytes already, so that nobody need look for it."""
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
    """The bytes of one file or URL, decompressed where its name ends in .gz, .xz, .bz2 or .zst.

    Raises:
        DataError: It is not one file, or cannot be read.
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
    """The bytes of a file that was found.

    Args:
        document: Which.
        path: What it is called in messages; None for its name.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with document.open() as file:
            yield file
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
        name = document.name if path is None else path
        raise DataError(f"{name}: cannot be read ({reason}); check the file and the rights") from error


def numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    r"""The lines of a file in UTF-8 with their numbers, from 1 on, without their ends (`\n` or `\r\n`).

    A byte order mark at the head is left out. Only `\n` ends a line, or `\r` in a file without any `\n`: other separators of
    Unicode may stand in a text.

    Raises:
        DataError: The file cannot be read, or a line is not UTF-8.
    """
    with open_file(path) as file:
        yield from numbered(file, path)


def lines_of_stdin() -> Iterator[tuple[int, str]]:
    """The lines of standard input, as `numbered_lines` gives those of a file.

    Raises:
        DataError: A line is not UTF-8.
    """
    return numbered(bytes_of_stdin(), "standard input")


def bytes_of_stdin() -> Iterable[bytes]:
    """Standard input line by line, as it is: what the locale says of its encoding is not what a file's lines are read by."""
    raw = getattr(sys.stdin, "buffer", None)  # whoever puts a text in its place has none
    return (line.encode() for line in sys.stdin) if raw is None else raw


def numbered(lines: Iterable[bytes], path: str | Path) -> Iterator[tuple[int, str]]:
    """Lines as `numbered_lines` gives those of a file; `path` is what they are called in messages."""
    for number, raw in enumerate(_parted(lines), start=1):
        line = decoded(raw, path, number)
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        yield number, line.removesuffix("\n").removesuffix("\r")


def _parted(lines: Iterable[bytes]) -> Iterator[bytes]:
    r"""The same lines; of a single one without an end those that `\r` ends, as on old Macs."""
    for number, raw in enumerate(lines):
        if number == 0 and b"\r" in raw and not raw.endswith(b"\n"):
            yield from raw.removesuffix(b"\r").split(b"\r")
        else:
            yield raw


def decoded(raw: bytes, path: str | Path, number: int) -> str:
    """The text of a line; a DataError that names file, line and column where it is not UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number}: expected UTF-8, but byte {error.start + 1} of the line (0x{raw[error.start]:02x}) "
            f"is part of no character; convert the file to UTF-8 (iconv -f {likely_encoding(raw)} -t utf-8)"
        ) from error


def suffix_of(path: str | Path) -> str:
    """The suffix that tells the format, in lower case: ".csv" of data.csv and of data.CSV.gz."""
    name = str(path).partition("?")[0] if "://" in str(path) else str(path)
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    while suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def find_parts(
    folder: Path, names: dict[str, tuple[str, ...]], endings: tuple[str, ...], *, numbered: bool = False
) -> dict[str, Path]:
    """The files of a folder that hold its parts, by the names that people give them.

    Args:
        folder: Where they lie.
        names: For each part, the stems it may have: {"validation": ("validation", "valid", "val", "dev")}.
        endings: Of the file names, with or without the suffix of a compression: (".csv", ".tsv").
        numbered: Whether a part may be several files that are numbered, `train-00000-of-00002.parquet`; they are then a glob.

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
    """The glob of all files that are numbered as one is; None where it is not."""
    escaped = Path(glob.escape(str(file)))
    name, count = _NUMBERED.subn("-*-of-", escaped.name, count=1)
    return escaped.with_name(name) if count else None


def part_of_name(stem: str, names: dict[str, tuple[str, ...]]) -> str | None:
    """Which part the name of a file, without its ending, tells: by its last word ("en_ewt-ud-train") or its first ("test_2016")."""
    words = stem.lower().replace("_", "-").replace(".", "-").split("-")
    return next((part for part, stems in names.items() if words[-1] in stems or words[0] in stems), None)


PART_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "development"),
    "test": ("test", "testing"),
}
"""What people call the three parts."""
