"""Datasets of torch as examples: whatever `dataset[i]` gives, put together by a `collate_fn`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from ostinato.data.batches.batches import Batch
from ostinato.errors import DataError


class MapDataset(Protocol):
    """A map-style Dataset, such as those of `torch.utils.data`: it has a length, and gives each item by its number."""

    def __len__(self) -> int:
        """Return N, the number of items."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """Return the item with number `index`, from 0 to N - 1."""
        ...


class DatasetExamples:
    """Items of a Dataset as examples: what `Batches` and `InOrder` take.

    In the batches, `input` is what `collate_fn` returned, and there is no target. Items are read in the process that
    trains, one batch at a time, so that their draws from torch's generators are the same after a run is resumed.

    Args:
        dataset: N items.
        collate_fn: puts a list of items into one batch; None for `torch.utils.data.default_collate`.
        lengths: (N,) integers, the steps of each item, so that items of similar length come together; None if lengths
            do not matter.

    Raises:
        DataError: there is no item, or not as many lengths.
    """

    def __init__(
        self,
        dataset: MapDataset,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        *,
        lengths: Sequence[int] | np.ndarray | None = None,
    ):
        count = len(dataset)
        if not count:
            raise DataError("the Dataset: expected at least one item, got none")
        if lengths is not None and len(lengths) != count:
            raise DataError(f"lengths: expected one for each of {count:,} items, got {len(lengths):,}")
        self.dataset = dataset
        default: Any = torch.utils.data.default_collate  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        self._collate = default if collate_fn is None else collate_fn
        self.lengths = np.ones(count, np.int64) if lengths is None else np.asarray(lengths, np.int64)
        self.counts = np.ones(count, np.int64)

    def batch(self, rows: np.ndarray) -> Batch:
        """Put the items `rows` into one batch, in this order."""
        return Batch(self._collate([self.dataset[int(row)] for row in rows]), None, None, torch.as_tensor(rows))
