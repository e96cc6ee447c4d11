"""A vocabulary for texts that begin and end: what a decoder is given first, and what it says when it is done."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ostinato.data.vocabulary import Vocabulary


class MarkedVocabulary:
    """A vocabulary and three more tokens behind its own: padding, the beginning and the end of a text.

    The marks are no text, so no text can be taken for them. Which ids they have follows from the vocabulary, so it alone is saved:
    `marked.vocabulary.save(folder)` and `MarkedVocabulary(load_vocabulary(folder))`.

    Args:
        vocabulary: Of characters, bytes, words or BPE.

    Attributes:
        pad_id: Stands beside shorter texts of a batch.
        bos_id: What a decoder reads before its first token.
        eos_id: What a decoder says after its last.
        unknown_id: As for the vocabulary; None where every text can be written.
    """

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.pad_id, self.bos_id, self.eos_id = range(len(vocabulary), len(vocabulary) + 3)
        self.unknown_id = vocabulary.unknown_id

    def __len__(self) -> int:
        return len(self.vocabulary) + 3

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text and the end: (N + 1,) int64."""
        return np.append(self.vocabulary.encode(text).astype(np.int64), self.eos_id)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids` up to the first end, without padding and beginnings.

        Raises:
            DataError: An id is not in the vocabulary.
        """
        text: list[int] = []
        for id in ids:
            if id == self.eos_id:
                break
            if id not in (self.pad_id, self.bos_id):
                text.append(int(id))
        return self.vocabulary.decode(text)
