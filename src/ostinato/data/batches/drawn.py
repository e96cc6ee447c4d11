"""Batches of examples that are too many to list: hundreds of millions of windows take as much memory as ten.

Each epoch has an order of its own, in which every example comes once. It is computed and not stored, see `permutation`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from typing_extensions import override

from ostinato.data.batches.batches import Batch, PlacedBatches, share_of
from ostinato.data.batches.permutation import key_of, permuted
from ostinato.errors import DataError


class ManyExamples(Protocol):
    """Examples that can be put into batches without a list of them."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def counts_of(self, rows: np.ndarray) -> np.ndarray:
        """Return (B,), the terms of the loss of the examples `rows`; see `Examples`."""
        ...

    def batch(self, rows: np.ndarray) -> Batch:
        """Put the examples `rows` side by side; see `Examples`."""
        ...


class DrawnBatches(PlacedBatches):
    """Random batches as in `Batches`, but of examples that are not listed, and not sorted by length.

    Args:
        examples: at least one.
        batch_size: the most rows of a batch, those of all processes together; at least 1.
        seed: of the order.
        rank: which share of the rows of each batch these are.
        world: how many shares there are.

    Raises:
        ConfigError: a size is out of its range.
        DataError: there are no examples.
    """

    def __init__(self, examples: ManyExamples, batch_size: int, *, seed: int = 0, rank: int = 0, world: int = 1):
        super().__init__(batch_size, seed=seed, rank=rank, world=world)
        if not len(examples):
            raise DataError("expected at least one example, got none; give data with examples in it")
        self.examples = examples

    @property
    @override
    def chunks_per_epoch(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.examples) // self.batch_size)

    @override
    def _begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    @override
    def _rows(self, position: int) -> np.ndarray:
        begin, count = position * self.batch_size, len(self.examples)
        return permuted(np.arange(begin, min(begin + self.batch_size, count)), count, key_of(self.seed, self.epoch))

    @override
    def _share(self, rows: np.ndarray) -> Batch:
        return share_of(self.examples, rows, self.examples.counts_of(rows), self._rank, self._world)

    @override
    def _sizes(self) -> dict[str, int | None]:
        return {"drawn": len(self.examples), "batch_size": self.batch_size, "order_seed": self.seed}
