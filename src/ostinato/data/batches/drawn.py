"""Batches of examples that are too many to list: hundreds of millions of windows take as much memory as ten.

Each epoch has an order of its own, in which every example comes once. It is a permutation that is computed and not stored: the
place in it is enciphered by a network of Feistel, whose rounds are keyed by the seed and the number of the epoch (Black & Rogaway
2002, *Ciphers with arbitrary finite domains*, by cycle walking).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from typing_extensions import override

from ostinato.data.batches.batches import Batch, PlacedBatches, share_of
from ostinato.errors import DataError

_ROUNDS = 6


class ManyExamples(Protocol):
    """What can be put into batches without a list of it."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def counts_of(self, rows: np.ndarray) -> np.ndarray:
        """(B,): terms of the loss of some, see `Examples`."""
        ...

    def batch(self, rows: np.ndarray) -> Batch:
        """Some side by side, see `Examples`."""
        ...


def permuted(places: np.ndarray, count: int, key: int) -> np.ndarray:
    """(N,) int64: what lies at some places of a permutation of 0 to count - 1.

    Args:
        places: (N,) int64, from 0 to count - 1.
        count: at least 1.
        key: which permutation, from 0 to 2^64 - 1.
    """
    half = max(1, -(-int(count - 1).bit_length() // 2))
    found = places.astype(np.uint64)
    out = np.ones(len(found), dtype=bool)  # not enciphered yet, or beyond the end: enciphered again
    while out.any():
        found[out] = _enciphered(found[out], half, key)
        out = found >= count
    return found.astype(np.int64)


def _enciphered(v: np.ndarray, half: int, key: int) -> np.ndarray:
    mask, shift = np.uint64((1 << half) - 1), np.uint64(half)
    left, right = v >> shift, v & mask
    for number in range(_ROUNDS):
        left, right = right, left ^ (_mixed(right, key + number * 0x632BE59BD9B4E019) & mask)
    return (left << shift) | right


def _mixed(v: np.ndarray, key: int) -> np.ndarray:
    """As SplitMix has it (Steele, Lea & Flood 2014)."""
    z = v * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class DrawnBatches(PlacedBatches):
    """As `Batches`, of examples that nobody lists; they are not sorted by length.

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
        key = int(np.random.SeedSequence((self.seed, self.epoch)).generate_state(1, np.uint64)[0])
        return permuted(np.arange(begin, min(begin + self.batch_size, count)), count, key)

    @override
    def _share(self, rows: np.ndarray) -> Batch:
        return share_of(self.examples, rows, self.examples.counts_of(rows), self._rank, self._world)

    @override
    def _sizes(self) -> dict[str, int | None]:
        return {"drawn": len(self.examples), "batch_size": self.batch_size, "order_seed": self.seed}
