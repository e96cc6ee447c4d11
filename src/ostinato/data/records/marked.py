"""A vocabulary with marks for the beginning and the end of a text: a decoder's first input and its last output."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

import numpy as np

from ostinato.data.tokens.vocabulary import Vocabulary


class MarkedVocabulary:
    """A vocabulary with two more tokens after its own: the beginning and the end of a text.

    The marks are not text, so no text is encoded as one. Their ids follow from the size of the vocabulary, so only the
    vocabulary is saved: `marked.vocabulary.save(folder)`, then `MarkedVocabulary(load_vocabulary(folder))`. Padding
    needs no token, because nothing is read after the end of a shorter text.

    Args:
        vocabulary: A vocabulary of characters, bytes, words or BPE.

    Attributes:
        begin: The id that a decoder reads before its first token.
        end: The id that a decoder gives after its last token.
        unknown_id: The id of unknown text in `vocabulary`; None if it can encode every text.
    """

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.begin, self.end = len(vocabulary), len(vocabulary) + 1
        self.unknown_id = vocabulary.unknown_id

    def __len__(self) -> int:
        return len(self.vocabulary) + 2

    def encode(self, text: str) -> np.ndarray:
        """Return the ids of a text, without the marks of beginning and end: (N,) int64."""
        return self.vocabulary.encode(text).astype(np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids` up to the first mark of the end, without marks of the beginning.

        Raises:
            DataError: An id is not in the vocabulary.
        """
        said = takewhile(lambda token: token != self.end, ids)
        return self.vocabulary.decode([int(token) for token in said if token != self.begin])
