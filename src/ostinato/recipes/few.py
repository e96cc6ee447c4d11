"""A few examples to look at a model on."""

from __future__ import annotations

import numpy as np

from ostinato.data.batches.batches import Batch, Examples, InOrder
from ostinato.errors import DataError

_LONG = 512  # steps; every step of a pass is kept in memory, and the doctor makes many passes


class _Picked:
    """Some of the examples, numbered anew from 0."""

    def __init__(self, examples: Examples, rows: np.ndarray):
        self._examples, self._rows = examples, rows
        self.lengths, self.counts = np.asarray(examples.lengths)[rows], np.asarray(examples.counts)[rows]

    def batch(self, rows: np.ndarray) -> Batch:
        return self._examples.batch(self._rows[rows])


def mostly_short(examples: Examples) -> bool:
    """Whether at least half of the examples that have a loss are short enough for `few`; False if none has a loss."""
    lengths = np.asarray(examples.lengths)[np.asarray(examples.counts) > 0]
    return bool(2 * (lengths <= _LONG).sum() >= max(len(lengths), 1))


def few(examples: Examples, most: int, seed: int = 0) -> Batch:
    """Examples in a batch, drawn at random from those that have a loss and are not long; if all are long, the shortest.

    Args:
        examples: the examples to draw from.
        most: the number of rows at most, at least 1.
        seed: the seed of the draw.

    Raises:
        DataError: no example has a loss.
    """
    drawn = few_rows(examples, most, seed)
    return next(iter(InOrder(_Picked(examples, drawn), most)))


def few_rows(examples: Examples, most: int, seed: int = 0) -> np.ndarray:
    """The numbers of the examples that `few` takes, in the order in which they were drawn."""
    lengths = np.asarray(examples.lengths)
    rows = np.flatnonzero(np.asarray(examples.counts) > 0)
    if not len(rows):
        raise DataError("expected examples that have a loss, got none")
    short = rows[lengths[rows] <= _LONG]
    if not len(short):
        short = rows[[lengths[rows].argmin()]]
    return np.random.default_rng(seed).permutation(short)[:most]
