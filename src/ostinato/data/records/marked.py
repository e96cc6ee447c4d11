"""A vocabulary for texts that begin and end: what a decoder is given first, and what it says when it is done."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

import numpy as np

from ostinato.data.tokens.vocabulary import Vocabulary


class MarkedVocabulary:
    """A vocabulary and two more tokens behind its own: the beginning and the end of a text.

    The marks are no text, so no text can be taken for them. Their ids follow from the vocabulary, so it alone is saved:
    `marked.vocabulary.save(folder)`, then `MarkedVocabulary(load_vocabulary(folder))`. Padding needs no token of its own: what is
    behind the end of a shorter text is never read.

    Args:
        vocabulary: Of characters, bytes, words or BPE.

    Attributes:
        begin: The id that a decoder reads before its first token.
        end: The id that a decoder says after its last.
        unknown_id: As for the vocabulary; None where every text can be written.
    """

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.begin, self.end = len(vocabulary), len(vocabulary) + 1
        self.unknown_id = vocabulary.unknown_id

    def __len__(self) -> int:
        return len(self.vocabulary) + 2

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, without beginning and end: (N,) int64."""
        return self.vocabulary.encode(text).astype(np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids` up to the first end, without beginnings.

        Raises:
            DataError: An id is not in the vocabulary.
        """
        said = takewhile(lambda token: token != self.end, ids)
        return self.vocabulary.decode([int(token) for token in said if token != self.begin])
