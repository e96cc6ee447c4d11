"""Tokens of a text: the ids, in memory or mapped from a file, and the counts that turn a loss into figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PARTS = 3
"""Training, validation, test."""


@dataclass(frozen=True)
class Tokens:
    """The token ids of a text, and the counts that turn a loss into figures such as bits per character.

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
    """Collector, in memory, of the ids of the training, the validation and the test part, in this order.

    Args:
        dtype: Type of the ids.
    """

    def __init__(self, dtype: np.dtype[Any]):
        self._dtype = dtype
        self._arrays: list[np.ndarray] = []
        self._starts: list[list[int]] = [[] for _ in range(PARTS)]
        self._lengths = [0] * PARTS

    def append(self, part: int, ids: np.ndarray, begins_document: bool) -> None:
        """Append ids of a part (0 training, 1 validation, 2 test); the parts come in this order."""
        if begins_document:
            self._starts[part].append(self._lengths[part])
        self._lengths[part] += len(ids)
        self._arrays.append(ids)

    def finish(self, characters: Sequence[int], words: Sequence[int]) -> tuple[Tokens, Tokens, Tokens]:
        """Return the training, the validation and the test part.

        Args:
            characters: Characters of each part.
            words: Words of each part.
        """
        ids = np.concatenate([np.zeros(0, self._dtype), *self._arrays])
        return in_parts(ids, self._lengths, self._starts, characters, words)


def in_parts(
    ids: np.ndarray,
    lengths: Sequence[int],
    starts: Sequence[Sequence[int]],
    characters: Sequence[int],
    words: Sequence[int],
) -> tuple[Tokens, Tokens, Tokens]:
    """Split `ids` into the training, the validation and the test part, which follow one another in it."""
    ends = np.cumsum(lengths)
    train, validation, test = (
        Tokens(ids[end - length : end], _documents(begin, length), *counts)
        for end, length, begin, *counts in zip(ends, lengths, starts, characters, words, strict=True)
    )
    return train, validation, test


def _documents(starts: Sequence[int], length: int) -> np.ndarray:
    """Return the start positions of the documents that have at least one token."""
    positions = np.unique(np.array(starts, dtype=np.int64))
    return positions[positions < length]
