"""Tokens of a text: in memory, or in a file that is mapped into memory and read as it is used.

A corpus too large for memory is kept as two files: `corpus.tokens`, the ids of both parts one after the other, and
`corpus.json`, which says what they are ids of. Both are written under another name and renamed when they are whole,
and the description goes last: a file that is there is complete.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from ostinato.errors import DataError

TOKENS_NAME, ABOUT_NAME = "corpus.tokens", "corpus.json"


@dataclass(frozen=True)
class Tokens:
    """The token ids of a text and what is needed to read losses off them.

    Attributes:
        ids: (N,) unsigned; a read-only memory map for a large corpus.
        document_starts: int64 positions in `ids` where a document begins; the first is 0 (none if there are no ids).
        characters: Characters of the text, for bits per character.
        words: Words of the text, separated by white space, for perplexity per word.
    """

    ids: np.ndarray
    document_starts: np.ndarray
    characters: int
    words: int

    def __len__(self) -> int:
        return len(self.ids)


class TokenWriter:
    """Collects the ids of a training and a validation part, in this order, in memory or in a token file.

    Args:
        dtype: Type of the ids.
        folder: Where the token file goes; None to keep the ids in memory.
    """

    def __init__(self, dtype: np.dtype[Any], folder: Path | None = None):
        self._dtype = dtype
        self._folder = folder
        self._file: BinaryIO | None = None
        self._arrays: list[np.ndarray] = []
        self._starts: tuple[list[int], list[int]] = ([], [])
        self._lengths = [0, 0]

    @staticmethod
    def _partial(folder: Path) -> Path:
        return folder / f"{TOKENS_NAME}.partial"

    def begin_document(self, part: int) -> None:
        """The next ids of this part (0 training, 1 validation) begin a document."""
        self._starts[part].append(self._lengths[part])

    def append(self, part: int, ids: np.ndarray) -> None:
        """More ids of this part; those of the validation part come after all of the training part."""
        self._lengths[part] += len(ids)
        if self._file is None:
            self._arrays.append(ids)
        else:
            self._file.write(np.ascontiguousarray(ids, dtype=self._dtype).data)

    def finish(
        self, about: dict[str, Any], characters: tuple[int, int], words: tuple[int, int]
    ) -> tuple[Tokens, Tokens]:
        """Both parts; with a folder, the token file gets its name and its description, `about` included."""
        documents = [
            np.unique([start for start in starts if start < length]).astype(np.int64)
            for starts, length in zip(self._starts, self._lengths, strict=True)
        ]
        if self._file is None or self._folder is None:
            ids = np.concatenate(self._arrays) if self._arrays else np.zeros(0, self._dtype)
            return _parts(ids, self._lengths[0], documents, characters, words)
        self._file.close()
        (self._folder / ABOUT_NAME).unlink(missing_ok=True)
        os.replace(self._partial(self._folder), self._folder / TOKENS_NAME)
        description = {
            "dtype": self._dtype.name,
            "tokens": self._lengths,
            "document_starts": [starts.tolist() for starts in documents],
            "characters": characters,
            "words": words,
            "about": about,
        }
        partial = self._folder / f"{ABOUT_NAME}.partial"
        partial.write_text(json.dumps(description), encoding="utf-8")
        os.replace(partial, self._folder / ABOUT_NAME)
        return _mapped(self._folder, description)

    def __enter__(self) -> TokenWriter:
        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = self._partial(self._folder).open("wb")
            except OSError as error:
                raise _cannot_write(self._folder, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None and self._folder is not None:
            self._file.close()
            self._partial(self._folder).unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise _cannot_write(self._folder, error) from error


def _cannot_write(folder: Path, error: OSError) -> DataError:
    reason = error.strerror or error
    return DataError(f"{folder}: the token file cannot be written ({reason}); make room or choose another folder")


def stored_about(folder: Path) -> dict[str, Any] | None:
    """What the token file in `folder` was made of; None if there is none that is whole."""
    description = _description(folder)
    return None if description is None else description["about"]


def stored_tokens(folder: Path) -> tuple[Tokens, Tokens]:
    """Both parts of the token file in `folder`, which `stored_about` has found."""
    description = _description(folder)
    if description is None:
        raise DataError(
            f"{folder}: expected {TOKENS_NAME} and {ABOUT_NAME} there, whole; open the corpus again to make them"
        )
    return _mapped(folder, description)


def _description(folder: Path) -> dict[str, Any] | None:
    try:
        description = json.loads((folder / ABOUT_NAME).read_text(encoding="utf-8"))
        expected = sum(description["tokens"]) * np.dtype(description["dtype"]).itemsize
        return description if (folder / TOKENS_NAME).stat().st_size == expected else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _mapped(folder: Path, description: dict[str, Any]) -> tuple[Tokens, Tokens]:
    ids = np.memmap(folder / TOKENS_NAME, dtype=description["dtype"], mode="r")
    starts = [np.array(positions, dtype=np.int64) for positions in description["document_starts"]]
    return _parts(ids, description["tokens"][0], starts, description["characters"], description["words"])


def _parts(
    ids: np.ndarray, boundary: int, starts: list[np.ndarray], characters: tuple[int, int], words: tuple[int, int]
) -> tuple[Tokens, Tokens]:
    train = Tokens(ids[:boundary], starts[0], characters[0], words[0])
    return train, Tokens(ids[boundary:], starts[1], characters[1], words[1])
