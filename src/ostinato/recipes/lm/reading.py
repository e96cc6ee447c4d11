"""Validation text as a few long streams."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import islice

import numpy as np

from ostinato.data.batches.streams import Chunk, Streams
from ostinato.data.tokens.tokens import Tokens
from ostinato.errors import DataError

_LONG = 1024  # tokens; the state of a shorter stream would be fresh for too much of it


class TextReading:
    """A text cut into streams for evaluation, all of it or an even share of every stream.

    Args:
        tokens: the text; at least 2 tokens.
        batch_size: most streams; fewer where they would be short.
        chunk_length: steps at a time.
        max_tokens: read about so many tokens; None for all.
        reset_at_documents: as in training.

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
        """The same text, of whose streams process `rank` of `world` reads its own; all of them, if they cannot be shared evenly."""
        shared = copy.copy(self)
        if self._rows % world == 0:
            shared._rank, shared._world = rank, world
        return shared

    def __call__(self) -> Iterator[Chunk]:
        """The chunks, from the beginning."""
        return islice(self._make(self._rank, self._world), self.chunks)

    def runs(self) -> list[np.ndarray]:
        """The tokens that those chunks hold."""
        return self._make().seen(self.chunks)
