"""Tokens of a text: the ids, in memory or mapped from a file, and what is needed to read losses off them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


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


class TokenList:
    """Collects the ids of a training and a validation part, in this order, in memory.

    Args:
        dtype: Type of the ids.
    """

    def __init__(self, dtype: np.dtype[Any]):
        self._dtype = dtype
        self._arrays: list[np.ndarray] = []
        self._starts: tuple[list[int], list[int]] = ([], [])
        self._lengths = [0, 0]

    def append(self, part: int, ids: np.ndarray, begins_document: bool) -> None:
        """More ids of this part (0 training, 1 validation); all of the training part comes first."""
        if begins_document:
            self._starts[part].append(self._lengths[part])
        self._lengths[part] += len(ids)
        self._arrays.append(ids)

    def finish(self, characters: tuple[int, int], words: tuple[int, int]) -> tuple[Tokens, Tokens]:
        """Both parts."""
        ids = np.concatenate([np.zeros(0, self._dtype), *self._arrays])
        return two_parts(ids, self._lengths[0], self._starts, characters, words)


def two_parts(
    ids: np.ndarray,
    boundary: int,
    starts: tuple[list[int], list[int]],
    characters: tuple[int, int],
    words: tuple[int, int],
) -> tuple[Tokens, Tokens]:
    """The training part, which ends at token `boundary`, and the validation part of `ids`."""
    train, validation = (
        Tokens(part, _documents(begin, len(part)), *counts)
        for part, begin, counts in zip(
            (ids[:boundary], ids[boundary:]), starts, zip(characters, words, strict=True), strict=True
        )
    )
    return train, validation


def _documents(starts: list[int], length: int) -> np.ndarray:
    """Without the documents that have no token."""
    positions = np.unique(np.array(starts, dtype=np.int64))
    return positions[positions < length]
