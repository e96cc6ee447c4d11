"""A corpus as B parallel streams, read T steps at a time: the input of truncated backpropagation through time.

Stream b holds the L = (N - 1) // B tokens from position b L on; the remainder at the end is left out. A chunk is the
next T tokens of every stream; its target is the tokens that follow them. Chunks are contiguous: the next chunk begins
with the state that the model has after this one, and no token of a stream is skipped.

Several processes share the rows of a batch: each reads its own, and together they are the batch of one process, row for row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ostinato.data.tokens.tokens import Tokens
from ostinato.errors import ConfigError, DataError, RunError


@dataclass(frozen=True)
class Chunk:
    """The next steps of every stream.

    Attributes:
        input: (T, B) int64.
        target: (T, B) int64, the tokens that follow those of `input`. It shares memory with `input`: write to neither.
        resets: (T, B) bool, True where the token of `input` is the first of a document; None unless asked for. The
            model reads them to cut the chunk into pieces. Leave them on the CPU, where reading them waits for no
            device.
        mask: (T, B) bool, False where a row has no data any more; None where all rows have data.
    """

    input: torch.Tensor
    target: torch.Tensor
    resets: torch.Tensor | None
    mask: torch.Tensor | None = None


def steps_of(resets: torch.Tensor | None) -> list[int]:
    """Return, in order, the steps at which some row begins a text; no step if `resets` is None."""
    if resets is None:
        return []
    some = resets.numpy().any(axis=1) if resets.is_cpu else resets.any(dim=1).cpu().numpy()
    return np.flatnonzero(some).tolist()


class Streams:
    """B parallel streams of tokens, in chunks of T steps.

    Iterating goes from `position` to the end of the epoch and sets `position` back to 0; the last chunk may be shorter.
    `position` counts a chunk as soon as it is given, so a state that is saved while a chunk is being used begins after
    that chunk.

    With `vary_length` the number of steps is drawn for each chunk (Merity et al. 2017, arXiv 1708.02182, section 5):
    the base is T with probability 0.95, else T / 2; the length is a normal number with that mean and a standard
    deviation of 5, at least 5. So a token's place in its chunk, and with it the number of steps that its gradient goes
    back, differs from epoch to epoch. The lengths of an epoch are a function of the seed and the number of the epoch.

    Args:
        tokens: The corpus.
        batch_size: B, the number of streams of all processes together.
        chunk_length: T, the steps of a chunk.
        reset_at_documents: Whether chunks say where documents begin.
        vary_length: Whether chunks have random lengths around T.
        seed: The seed of the random lengths.
        rank: Which share of the streams these chunks hold: B / world of them, from rank B / world on.
        world: How many shares there are.

    Raises:
        ConfigError: A size is less than 1, or B cannot be shared evenly.
        DataError: A stream would be shorter than one chunk.
    """

    def __init__(
        self,
        tokens: Tokens,
        batch_size: int,
        chunk_length: int,
        *,
        reset_at_documents: bool = False,
        vary_length: bool = False,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ):
        for name, value in (("batch_size", batch_size), ("chunk_length", chunk_length)):
            if value < 1:
                raise ConfigError(f"{name} must be at least 1; got {value}")
        self.batch_size, self.chunk_length = batch_size, chunk_length
        self.rows = share_of_rows(batch_size, rank, world)
        self.stream_length = max(len(tokens) - 1, 0) // batch_size
        if self.stream_length < chunk_length:
            raise DataError(_too_small(len(tokens), batch_size, chunk_length))
        self.position = 0
        self.epoch = 0
        self._vary_length, self._seed = vary_length, seed
        self._tokens = tokens
        self._reset_at_documents = reset_at_documents
        # (B, L + 1), a view: each stream, and the token after it as the last target.
        windows = np.lib.stride_tricks.sliding_window_view(tokens.ids, self.stream_length + 1)
        self._streams = windows[:: self.stream_length][:batch_size]
        self._begin_epoch(0)

    def share(self, rank: int, world: int) -> Streams:
        """Return the same streams at the same place, with only the rows of process `rank` of `world`.

        Raises:
            ConfigError: B cannot be shared evenly.
        """
        shared = Streams(
            self._tokens,
            self.batch_size,
            self.chunk_length,
            reset_at_documents=self._reset_at_documents,
            vary_length=self._vary_length,
            seed=self._seed,
            rank=rank,
            world=world,
        )
        shared.load_state_dict(self.state_dict())
        return shared

    @property
    def chunks_per_epoch(self) -> int:
        """Chunks from the beginning of the streams to their end, in this epoch."""
        return len(self._ends)

    def __iter__(self) -> Iterator[Chunk]:
        while self.position < self.chunks_per_epoch:
            chunk = self._chunk(self._end_of(self.position), self._end_of(self.position + 1))
            self.position += 1
            yield chunk
        self.position = 0
        self._begin_epoch(self.epoch + 1)

    def _begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        if self._vary_length:
            self._ends = _random_ends(self.stream_length, self.chunk_length, self._seed, epoch)
        else:
            self._ends = range(self.chunk_length, self.stream_length + self.chunk_length, self.chunk_length)

    def _end_of(self, chunks: int) -> int:
        """Return the step at which the first `chunks` chunks of this epoch end."""
        return min(int(self._ends[chunks - 1]), self.stream_length) if chunks > 0 else 0

    def _chunk(self, start: int, end: int) -> Chunk:
        rows = self._streams[self.rows.start : self.rows.stop]
        steps = torch.as_tensor(rows[:, start : end + 1].T.astype(np.int64, order="C"), device="cpu")  # (T + 1, B)
        return Chunk(steps[:-1], steps[1:], self._resets(start, end) if self._reset_at_documents else None)

    def _resets(self, start: int, end: int) -> torch.Tensor:
        starts = self._tokens.document_starts
        resets = torch.zeros(end - start, len(self.rows), dtype=torch.bool)
        offsets = np.arange(self.rows.start, self.rows.stop, dtype=np.int64) * self.stream_length
        first, last = np.searchsorted(starts, (offsets + start, offsets + end))
        for row in np.flatnonzero(first < last):
            steps = starts[first[row] : last[row]] - offsets[row] - start
            resets[torch.as_tensor(steps, device="cpu"), int(row)] = True
        return resets

    def seen(self, chunks: int) -> list[np.ndarray]:
        """Return the tokens that were input or target in the first `chunks` chunks of this epoch, of all processes.

        Returns:
            One run of tokens for each stream, contiguous in the corpus; for a whole epoch or more, all tokens as one
            run.
        """
        if chunks >= self.chunks_per_epoch:
            return [self._tokens.ids]
        return list(self._streams[:, : self._end_of(chunks) + 1]) if chunks > 0 else []

    def state_dict(self) -> dict[str, int]:
        """Return the place and the sizes that it depends on, the same for every process and any number of processes."""
        return {"position": self.position, "epoch": self.epoch, **self._sizes()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken.

        Raises:
            RunError: The state belongs to streams of other sizes.
        """
        sizes = self._sizes()
        saved = {name: state.get(name) for name in sizes}
        if saved != sizes:
            raise RunError(
                f"the saved place is in streams with {saved}, but these have {sizes}: "
                "resume with the same data and sizes"
            )
        self._begin_epoch(state["epoch"])
        self.position = state["position"]

    def _sizes(self) -> dict[str, int]:
        sizes = {"tokens": len(self._tokens), "batch_size": self.batch_size, "chunk_length": self.chunk_length}
        return {**sizes, "length_seed": self._seed} if self._vary_length else sizes


def share_of_rows(batch_size: int, rank: int, world: int) -> range:
    """Return the rows of a batch that belong to process `rank` of `world`.

    Raises:
        ConfigError: The rows cannot be shared evenly; the mean of the processes' losses would then not be the mean over
            all rows.
    """
    if not 0 <= rank < world:
        raise ConfigError(f"rank: expected 0 <= rank < world = {world}, got {rank}")
    if batch_size % world:
        below = batch_size // world * world
        near = f"{below} or {below + world}" if below else f"{world}"
        raise ConfigError(
            f"batch_size: expected rows that {world} processes can share evenly, got {batch_size}; take {near}"
        )
    size = batch_size // world
    return range(rank * size, (rank + 1) * size)


_HALF_LENGTH, _DEVIATION, _SHORTEST = 0.05, 5.0, 5


def _random_ends(stream_length: int, chunk_length: int, seed: int, epoch: int) -> np.ndarray:
    """Draw the steps at which the chunks of one epoch end; the last is `stream_length`."""
    generator = np.random.default_rng((seed, epoch))
    ends: list[np.ndarray] = []
    end = 0
    while end < stream_length:
        count = 16 + (stream_length - end) // chunk_length
        base = np.where(generator.random(count) < _HALF_LENGTH, chunk_length / 2, chunk_length)
        lengths = np.maximum(_SHORTEST, generator.normal(base, _DEVIATION).astype(np.int64))
        ends.append(end + np.cumsum(lengths))
        end = int(ends[-1][-1])
    found = np.concatenate(ends)
    return np.append(found[found < stream_length], stream_length)


def _too_small(tokens: int, batch_size: int, chunk_length: int) -> str:
    came = f"{tokens} tokens are too few for {batch_size} streams of at least {chunk_length} steps"
    largest = max(tokens - 1, 0) // chunk_length
    if largest:
        return f"{came}: with chunk_length={chunk_length} the largest batch_size is {largest}"
    return f"{came}: even one stream needs {chunk_length + 1}; give more text or a smaller chunk_length"
