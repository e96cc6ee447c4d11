"""Reading validation text as a few long streams."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import islice

import numpy as np

from ostinato.data.batches.streams import Chunk, Streams
from ostinato.data.tokens.tokens import Tokens
from ostinato.errors import DataError

_LONG = 1024  # tokens; in a shorter stream, a fresh state would matter for too much of the text


class TextReading:
    """A text cut into streams for evaluation, or an even share of these streams.

    Args:
        tokens: the text; at least 2 tokens.
        batch_size: the number of streams at most; fewer if they would be short.
        chunk_length: the steps of a chunk.
        max_tokens: read about so many tokens; None for all.
        reset_at_documents: begin every document with a fresh state, as in training.

    Raises:
        DataError: the text has fewer than 2 tokens.
    """

    def __init__(
        self,
        tokens: Tokens,
        batch_size: int,
        chunk_length: int,
        max_tokens: int | None = None,
        *,
        reset_at_documents: bool = False,
    ):
        if len(tokens) < 2:
            raise DataError(f"expected at least 2 tokens of text to evaluate on, got {len(tokens)}; give a longer text")
        length = len(tokens) - 1
        rows = min(batch_size, max(1, length // max(_LONG, chunk_length)))
        steps = min(chunk_length, length // rows)
        self._rank, self._world = 0, 1
        self._make = lambda rank=0, world=1: Streams(
            tokens, rows, steps, reset_at_documents=reset_at_documents, rank=rank, world=world
        )
        self._rows = rows
        streams = self._make()
        self.chunks = streams.chunks_per_epoch
        if max_tokens is not None:
            self.chunks = min(self.chunks, max(1, max_tokens // (rows * steps)))
        self.predicted = min(self.chunks * steps, streams.stream_length) * rows

    def share(self, rank: int, world: int) -> TextReading:
        """The text as process `rank` of `world` reads it: its share of the streams, or all if not evenly divisible."""
        shared = copy.copy(self)
        if self._rows % world == 0:
            shared._rank, shared._world = rank, world
        return shared

    def __call__(self) -> Iterator[Chunk]:
        """Gives the chunks, from the beginning."""
        return islice(self._make(self._rank, self._world), self.chunks)

    def runs(self) -> list[np.ndarray]:
        """The tokens that those chunks hold."""
        return self._make().seen(self.chunks)
