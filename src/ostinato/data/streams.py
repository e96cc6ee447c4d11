"""A corpus as B parallel streams, read T steps at a time: the input of truncated backpropagation through time.

Stream b holds the L = (N - 1) // B tokens from position b L on; the remainder at the tail is left out. A chunk is the
next T tokens of every stream, its target the tokens that follow them. Chunks are contiguous: the state that a model
has after one chunk is the state to begin the next with, and no token of a stream is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ostinato.data.tokens import Tokens
from ostinato.errors import ConfigError, DataError, RunError


@dataclass(frozen=True)
class Chunk:
    """The next steps of every stream.

    Attributes:
        input: (T, B) int64.
        target: (T, B) int64, the tokens that follow those of `input`. It shares memory with `input`: write to neither.
        resets: (T, B) bool, True where the token of `input` is the first of a document; None unless asked for.
    """

    input: torch.Tensor
    target: torch.Tensor
    resets: torch.Tensor | None


class Streams:
    """B parallel streams of tokens, in chunks of T steps.

    Iterating goes from `position` to the end of the epoch and sets `position` back to 0; the last chunk may be shorter.
    `position` counts a chunk as soon as it is given, so a state saved while a chunk is worked on begins after it.

    Args:
        tokens: The corpus.
        batch_size: B, the number of streams.
        chunk_length: T, the steps of a chunk.
        reset_at_documents: Whether chunks say where documents begin.

    Raises:
        ConfigError: A size is less than 1.
        DataError: A stream would be shorter than one chunk.
    """

    def __init__(self, tokens: Tokens, batch_size: int, chunk_length: int, *, reset_at_documents: bool = False):
        for name, value in (("batch_size", batch_size), ("chunk_length", chunk_length)):
            if value < 1:
                raise ConfigError(f"{name} must be at least 1; got {value}")
        self.batch_size, self.chunk_length = batch_size, chunk_length
        self.stream_length = max(len(tokens) - 1, 0) // batch_size
        if self.stream_length < chunk_length:
            raise DataError(_too_small(len(tokens), batch_size, chunk_length))
        self.position = 0
        self._tokens = tokens
        self._starts = tokens.document_starts if reset_at_documents else None
        # (B, L + 1), a view: each stream and the token after it, which is the last target.
        windows = np.lib.stride_tricks.sliding_window_view(tokens.ids, self.stream_length + 1)
        self._streams = windows[:: self.stream_length][:batch_size]

    @property
    def chunks_per_epoch(self) -> int:
        """Chunks from the beginning of the streams to their end."""
        return -(-self.stream_length // self.chunk_length)

    def __iter__(self) -> Iterator[Chunk]:
        while self.position < self.chunks_per_epoch:
            chunk = self._chunk(self.position * self.chunk_length)
            self.position += 1
            yield chunk
        self.position = 0

    def _chunk(self, start: int) -> Chunk:
        end = min(start + self.chunk_length, self.stream_length)
        steps = torch.from_numpy(self._streams[:, start : end + 1].T.astype(np.int64, order="C"))  # (T + 1, B)
        return Chunk(steps[:-1], steps[1:], self._resets(start, end))

    def _resets(self, start: int, end: int) -> torch.Tensor | None:
        if self._starts is None:
            return None
        resets = torch.zeros(end - start, self.batch_size, dtype=torch.bool)
        offsets = np.arange(self.batch_size, dtype=np.int64) * self.stream_length
        first, last = np.searchsorted(self._starts, (offsets + start, offsets + end))
        for stream in np.flatnonzero(first < last):
            steps = self._starts[first[stream] : last[stream]] - offsets[stream] - start
            resets[torch.from_numpy(steps), int(stream)] = True
        return resets

    def seen(self, chunks: int) -> list[np.ndarray]:
        """The tokens that a model has read or been asked for after `chunks` chunks of one epoch.

        Returns:
            One run of tokens a stream, each contiguous in the corpus; for a whole epoch or more, all tokens as one run.
        """
        if chunks >= self.chunks_per_epoch:
            return [self._tokens.ids]
        return list(self._streams[:, : chunks * self.chunk_length + 1]) if chunks > 0 else []

    def state_dict(self) -> dict[str, int]:
        """Where the streams are, and the sizes that this place depends on."""
        return {"position": self.position, **self._sizes()}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where `state` was taken.

        Raises:
            RunError: The state is that of streams of other sizes.
        """
        sizes = self._sizes()
        saved = {name: state.get(name) for name in sizes}
        if saved != sizes:
            raise RunError(
                f"the saved place is in streams with {saved}, but these have {sizes}: "
                "resume with the same data and sizes"
            )
        self.position = state["position"]

    def _sizes(self) -> dict[str, int]:
        return {"tokens": len(self._tokens), "batch_size": self.batch_size, "chunk_length": self.chunk_length}


def _too_small(tokens: int, batch_size: int, chunk_length: int) -> str:
    came = f"{tokens} tokens are too few for {batch_size} streams of at least {chunk_length} steps"
    largest = max(tokens - 1, 0) // chunk_length
    if largest:
        return f"{came}: with chunk_length={chunk_length} the largest batch_size is {largest}"
    return f"{came}: even one stream needs {chunk_length + 1}; give more text or a smaller chunk_length"
