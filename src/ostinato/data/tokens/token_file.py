"""The tokens of a corpus too large for memory: a mapped file. It is written in shards, which survive a killed process.

| file | what it holds |
| --- | --- |
| `corpus.tokens` | the ids of the training part, then those of the validation and of the test part |
| `corpus.json` | which text the ids are of, and the length and CRC-32 of each shard |
| `corpus.journal` | the same, line by line, while the file is made |

A shard is a range of the one file, not a file of its own: so the ids are one array, streams are views of it, and the
kernel reads ahead across the borders. Shards matter only while the file is made. When the ids of a shard are on disk, a
line of the journal says how many they are, their checksum, and the place in the text after them. When an unfinished
file is continued, everything after its last whole shard is cut off. `corpus.json` is renamed into its place last, so a
corpus that has it is whole.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ostinato.data.sources.plain_file import open_plain, read_plain
from ostinato.data.tokens.tokens import PARTS, Tokens, in_parts
from ostinato.errors import DataError

TOKENS_NAME, ABOUT_NAME, JOURNAL_NAME = "corpus.tokens", "corpus.json", "corpus.journal"
SHARD_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Place:
    """How far a text is tokenised.

    Attributes:
        document: Index of the document that is next or in progress.
        offset: Bytes of that document that are done.
        characters: Characters done in all documents.
        words: Words done in each part.
        in_word: Whether the text that is done ends in the middle of a word.
    """

    document: int = 0
    offset: int = 0
    characters: int = 0
    words: tuple[int, ...] = (0,) * PARTS
    in_word: bool = False


@dataclass
class _Shards:
    """The whole shards of a token file, as the lines of the journal describe them.

    Attributes:
        ends: Bytes of the file up to the end of each shard.
        checksums: CRC-32 of each shard.
        tokens: Number of tokens in each part.
        starts: Where documents start, in each part.
        place: The place in the text after the last shard.
    """

    ends: list[int] = field(default_factory=list[int])
    checksums: list[int] = field(default_factory=list[int])
    tokens: list[int] = field(default_factory=lambda: [0] * PARTS)
    starts: list[list[int]] = field(default_factory=lambda: [[] for _ in range(PARTS)])
    place: Place = field(default_factory=Place)

    @property
    def end(self) -> int:
        """Bytes of the file up to the end of the last whole shard."""
        return self.ends[-1] if self.ends else 0

    def add(self, line: dict[str, Any]) -> None:
        place: dict[str, Any] = {**line["place"], "words": tuple(line["place"]["words"])}
        self.ends.append(line["end"])
        self.checksums.append(line["crc32"])
        self.tokens = line["tokens"]
        for part, more in zip(self.starts, line["document_starts"], strict=True):
            part.extend(more)
        self.place = Place(**place)


class TokenFile:
    """Writer of the token file in a folder; it continues an unfinished file.

    Args:
        folder: The folder to write into; created if it does not exist.
        dtype: Type of the ids.
        about: Which text the ids are of, in JSON's types. An unfinished file with an equal `about` is continued.

    Attributes:
        place: How far the text is in the file.

    Raises:
        DataError: The folder cannot be written.
    """

    def __init__(self, folder: Path, dtype: np.dtype[Any], about: dict[str, Any]):
        self._folder, self._dtype, self._about = folder, dtype, about
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._shards = _whole_shards(folder) if unfinished(folder) == about else _begin(folder, about)
            self._file = (folder / TOKENS_NAME).open("r+b", buffering=0)
            self._bytes = self._file.seek(self._shards.end)
            self._file.truncate()
        self._lengths = list(self._shards.tokens)
        self._starts: list[list[int]] = [[] for _ in range(PARTS)]
        self._checksum = 0
        self.place = self._shards.place

    def append(self, part: int, ids: np.ndarray, begins_document: bool, place: Place) -> None:
        """Append ids of a part; the parts come in the order of their numbers.

        Args:
            part: 0 for training, 1 for validation, 2 for test.
            ids: (N,), each within the range of `dtype`.
            begins_document: Whether the first id begins a document.
            place: The place in the text after these ids.

        Raises:
            DataError: There is no room for them.
        """
        if begins_document:
            self._starts[part].append(self._lengths[part])
        self._lengths[part] += len(ids)
        content = np.ascontiguousarray(ids, dtype=self._dtype).tobytes()
        with _writing(self._folder):
            left = memoryview(content)
            while left:  # a disk that becomes full takes only a part, and fails at the next write
                left = left[self._file.write(left) :]
        self._checksum = zlib.crc32(content, self._checksum)
        self._bytes += len(content)
        self.place = place
        if self._bytes - self._shards.end >= SHARD_BYTES:
            self._finish_shard()

    def _finish_shard(self) -> None:
        line = {
            "end": self._bytes,
            "crc32": self._checksum,
            "tokens": list(self._lengths),
            "document_starts": self._starts,
            "place": asdict(self.place),
        }
        with _writing(self._folder):
            os.fsync(self._file.fileno())
            _write_line(self._folder / JOURNAL_NAME, line, "a")
        self._shards.add(line)
        self._checksum, self._starts = 0, [[] for _ in range(PARTS)]

    def finish(self, characters: Sequence[int]) -> tuple[Tokens, Tokens, Tokens]:
        """Write the description of the file, which makes it whole; return its parts.

        Args:
            characters: Characters in each part.

        Raises:
            DataError: The folder cannot be written.
        """
        self._finish_shard()
        shards = self._shards
        description = {
            "dtype": self._dtype.name,
            "tokens": shards.tokens,
            "document_starts": shards.starts,
            "characters": characters,
            "words": shards.place.words,
            "shards": {"ends": shards.ends, "crc32": shards.checksums},
            "about": self._about,
        }
        with _writing(self._folder):
            partial = self._folder / f"{ABOUT_NAME}.partial"
            _write_line(partial, description, "w")
            os.replace(partial, self._folder / ABOUT_NAME)
            (self._folder / JOURNAL_NAME).unlink()
        return _mapped(self._folder, description)

    def __enter__(self) -> TokenFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def unfinished(folder: Path) -> dict[str, Any] | None:
    """Return the `about` of the unfinished token file in `folder`; None if there is none."""
    return next(_journal_lines(folder), dict[str, Any]()).get("about")


def stored_about(folder: Path) -> dict[str, Any] | None:
    """Return the `about` of the token file in `folder`; None if there is no whole one."""
    description = _description(folder)
    return None if description is None else description["about"]


def stored_tokens(folder: Path) -> tuple[Tokens, Tokens, Tokens]:
    """Map the token file in `folder` and return its parts; any number of processes may do so at once.

    Raises:
        DataError: There is no whole token file.
    """
    description = _description(folder)
    if description is None:
        raise DataError(
            f"{folder}: expected {TOKENS_NAME} and {ABOUT_NAME} there, whole; open the corpus again to make them"
        )
    return _mapped(folder, description)


def _begin(folder: Path, about: dict[str, Any]) -> _Shards:
    for name in (ABOUT_NAME, TOKENS_NAME):  # makes a new file, as another process may have mapped the old one
        (folder / name).unlink(missing_ok=True)
    (folder / TOKENS_NAME).touch()
    _write_line(folder / JOURNAL_NAME, {"about": about}, "w")
    return _Shards()


def _write_line(path: Path, content: dict[str, Any], mode: str) -> None:
    with path.open(mode, encoding="utf-8") as file:
        file.write(json.dumps(content) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _whole_shards(folder: Path) -> _Shards:
    """Return the shards of an unfinished file up to the first that differs from the journal; cut the journal there."""
    shards, lines = _Shards(), _journal_lines(folder)
    whole = [next(lines)]
    (folder / TOKENS_NAME).touch()
    with (folder / TOKENS_NAME).open("rb") as file:
        for line in lines:
            content = file.read(line["end"] - shards.end)
            if len(content) != line["end"] - shards.end or zlib.crc32(content) != line["crc32"]:
                break
            shards.add(line)
            whole.append(line)
    partial = folder / f"{JOURNAL_NAME}.partial"
    partial.write_text("".join(json.dumps(line) + "\n" for line in whole), encoding="utf-8")
    os.replace(partial, folder / JOURNAL_NAME)
    return shards


def _journal_lines(folder: Path) -> Iterator[dict[str, Any]]:
    try:
        with open_plain(folder / JOURNAL_NAME) as journal:
            for line in journal:
                yield json.loads(line)
    except (OSError, ValueError):  # no journal, or the incomplete last line of a killed process
        return


def _description(folder: Path) -> dict[str, Any] | None:
    try:
        description = json.loads(read_plain(folder / ABOUT_NAME))
        expected = sum(description["tokens"]) * np.dtype(description["dtype"]).itemsize
        with open_plain(folder / TOKENS_NAME) as tokens:
            return description if os.fstat(tokens.fileno()).st_size == expected else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _mapped(folder: Path, description: dict[str, Any]) -> tuple[Tokens, Tokens, Tokens]:
    ids = np.memmap(folder / TOKENS_NAME, dtype=description["dtype"], mode="r")
    return in_parts(
        ids,
        description["tokens"],
        description["document_starts"],
        description["characters"],
        description["words"],
    )


@contextmanager
def _writing(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"{folder}: the token file cannot be written ({reason}); make room or choose another folder: what is done is kept"
        ) from error
