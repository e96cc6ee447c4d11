"""Documents of unequal lengths as B rows: each row takes the next document when its own ends.

There is padding only at the end of an epoch, where there is no next document; `Chunk.mask` is False there. Where a
document begins, `Chunk.resets` is true for that row alone, so that a state never goes from one document into another.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ostinato.data.batches.streams import Chunk, share_of_rows
from ostinato.errors import ConfigError, DataError, RunError

Document = torch.Tensor | tuple[torch.Tensor, torch.Tensor]

IGNORED = -100  # the target that torch's losses leave out


class Documents:
    """B rows of documents, in chunks of T steps.

    A document goes to the row that is free first (the lowest row, if several are). Which document goes to which row
    depends on the lengths, the seed and the number of the epoch alone, so a place is one number, and processes that
    share the rows agree without communication.

    Args:
        documents: Each a pair (x, y) of tensors (T_i, ...) with as many steps, or one tensor, whose steps each predict the next:
            x is all but the last, y all but the first.
        batch_size: B, the rows of all processes together.
        chunk_length: T, the steps of a chunk; the last chunk of an epoch may be shorter.
        shuffle_seed: Take the documents in a random order, another one in each epoch; None for the order given.
        rank: Which share of the rows these chunks hold: B / world of them, from rank B / world on.
        world: How many shares there are.

    Raises:
        ConfigError: A size is less than 1, or B cannot be shared evenly.
        DataError: There is no document, one has no step, or x and y differ in length.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        batch_size: int,
        chunk_length: int,
        *,
        shuffle_seed: int | None = None,
        rank: int = 0,
        world: int = 1,
    ):
        for name, value in (("batch_size", batch_size), ("chunk_length", chunk_length)):
            if value < 1:
                raise ConfigError(f"{name} must be at least 1; got {value}")
        if not documents:
            raise DataError("expected at least one document, got none")
        self.batch_size, self.chunk_length = batch_size, chunk_length
        self.rows = share_of_rows(batch_size, rank, world)
        self.position = 0
        self._pairs = [
            document if isinstance(document, tuple) else (document[:-1], document[1:]) for document in documents
        ]
        self._lengths = [_steps_of(i, x, y) for i, (x, y) in enumerate(self._pairs)]
        self._seed = shuffle_seed
        self._begin_epoch(0)

    @property
    def chunks_per_epoch(self) -> int:
        """Chunks until every document has been read."""
        return -(-self._steps // self.chunk_length)

    def __iter__(self) -> Iterator[Chunk]:
        while self.position < self.chunks_per_epoch:
            start = self.position * self.chunk_length
            chunk = self._chunk(start, min(start + self.chunk_length, self._steps))
            self.position += 1
            yield chunk
        self.position = 0
        self._begin_epoch(self.epoch + 1)

    def _begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        order = range(len(self._pairs))
        if self._seed is not None:
            order = np.random.default_rng((self._seed, epoch)).permutation(len(self._pairs)).tolist()
        # For each row, its documents and the steps at which they begin.
        self._documents: list[list[int]] = [[] for _ in range(self.batch_size)]
        self._starts: list[list[int]] = [[] for _ in range(self.batch_size)]
        free = [(0, row) for row in range(self.batch_size)]
        for document in order:
            start, row = free[0]
            self._documents[row].append(document)
            self._starts[row].append(start)
            heapq.heapreplace(free, (start + self._lengths[document], row))
        self._steps = max(end for end, _ in free)

    def _chunk(self, start: int, end: int) -> Chunk:
        T, B = end - start, len(self.rows)
        x, y = self._pairs[0]
        input = x.new_zeros(T, B, *x.shape[1:])
        target = y.new_full((T, B, *y.shape[1:]), 0 if y.is_floating_point() else IGNORED)
        resets, mask = torch.zeros(T, B, dtype=torch.bool), torch.zeros(T, B, dtype=torch.bool)
        for column, row in enumerate(self.rows):
            starts = self._starts[row]
            first = max(int(np.searchsorted(starts, start, side="right")) - 1, 0)
            for document, begin in zip(self._documents[row][first:], starts[first:], strict=True):
                if begin >= end:
                    break
                x, y = self._pairs[document]
                skip, at = max(start - begin, 0), max(begin - start, 0)
                size = min(self._lengths[document] - skip, T - at)
                if size <= 0:  # the document ended before this chunk, and was the row's last
                    continue
                input[at : at + size, column], target[at : at + size, column] = (
                    x[skip : skip + size],
                    y[skip : skip + size],
                )
                mask[at : at + size, column] = True
                resets[at, column] |= begin >= start
        return Chunk(input, target, resets, mask)

    def state_dict(self) -> dict[str, Any]:
        """Return the place and what it depends on, the same for every process and any number of processes."""
        return {"position": self.position, "epoch": self.epoch, **self._sizes()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken.

        Raises:
            RunError: The state belongs to other documents, other sizes or another seed.
        """
        sizes = self._sizes()
        saved = {name: state.get(name) for name in sizes}
        if saved != sizes:
            raise RunError(
                f"the saved place is in documents with {saved}, but these have {sizes}: "
                "resume with the same data and sizes"
            )
        self._begin_epoch(state["epoch"])
        self.position = state["position"]

    def _sizes(self) -> dict[str, Any]:
        return {
            "documents": len(self._pairs),
            "steps": sum(self._lengths),
            "batch_size": self.batch_size,
            "chunk_length": self.chunk_length,
            "shuffle_seed": self._seed,
        }


def _steps_of(index: int, x: torch.Tensor, y: torch.Tensor) -> int:
    if len(x) != len(y):
        raise DataError(f"document {index}: expected as many steps of y as of x, got {len(x)} and {len(y)}")
    if len(x) == 0:
        raise DataError(f"document {index}: expected at least one step to predict, got none; leave it out")
    return len(x)
