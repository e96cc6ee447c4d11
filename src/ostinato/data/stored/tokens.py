"""Texts as token ids: of texts that are mapped they are mapped too, and kept beside them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from ostinato.data.stored.folder import ColumnWriter, columns_beside
from ostinato.data.stored.ragged import BLOCK, Ragged, RaggedTexts, mapped_ragged, write_ragged


class Encoder(Protocol):
    """What makes token ids of a text."""

    @property
    def how(self) -> Any:
        """All that the ids depend on, in JSON's types."""
        ...

    def __call__(self, text: str) -> np.ndarray:
        """(T,)."""
        ...


def token_ids(texts: Iterable[str], encode: Encoder, dtype: np.dtype[Any]) -> Ragged:
    """The ids of texts.

    Args:
        texts: N of them.
        encode: Makes ids of a text.
        dtype: Of ids.

    Returns:
        Those of each. Of `RaggedTexts` those of the whole column are kept beside it, whichever of them these are.
    """
    if not isinstance(texts, RaggedTexts):
        return Ragged.of(map(encode, texts), dtype)
    every = texts.every()

    def make(writer: ColumnWriter) -> dict[str, Any]:
        left = iter(every)
        write_ragged(writer, "ids", [], dtype)
        while block := list(itertools.islice(left, BLOCK)):
            write_ragged(writer, "ids", [encode(text) for text in block], dtype)
        return {}

    how = [texts.name, dtype.name, encode.how]
    kept = columns_beside(texts.columns, "ids", how, make)
    return mapped_ragged(kept, "ids").take(texts.rows)
