"""Texts as token ids; the ids of mapped texts are mapped too, and stored beside them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from ostinato.data.stored.folder import ColumnWriter, columns_beside
from ostinato.data.stored.ragged import BLOCK, Ragged, RaggedTexts, mapped_ragged, write_ragged


class Encoder(Protocol):
    """A function that turns a text into token ids."""

    @property
    def how(self) -> Any:
        """Everything that the ids depend on, in JSON's types."""
        ...

    def __call__(self, text: str) -> np.ndarray:
        """Return the ids of a text, (T,)."""
        ...


def token_ids(texts: Iterable[str], encode: Encoder, dtype: np.dtype[Any]) -> Ragged:
    """Return the ids of texts.

    Args:
        texts: N texts.
        encode: Turns a text into ids.
        dtype: The type of the ids.

    Returns:
        The ids of each text. For `RaggedTexts`, the ids of the whole column are stored beside it, even if only some are
        returned.
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
