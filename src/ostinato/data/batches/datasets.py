"""Datasets of torch as examples: whatever `dataset[i]` gives, put together by a `collate_fn`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from ostinato.data.batches.batches import Batch
from ostinato.errors import DataError


class MapDataset(Protocol):
    """A map-style Dataset, such as those of `torch.utils.data`: it knows how many items it has, and gives each by its number."""

    def __len__(self) -> int:
        """N."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """The item with a number from 0 to N - 1."""
        ...


class DatasetExamples:
    """Items of a Dataset as examples: what `Batches` and `InOrder` take.

    The batches that come of them have in `input` what `collate_fn` gave, and no target. Items are read in the process that trains,
    one batch at a time, so that what they draw from torch's generators is the same after a run is resumed.

    Args:
        dataset: N items.
        collate_fn: puts a list of items into one batch; None for `torch.utils.data.default_collate`.
        lengths: (N,) integers, the steps of each item, so that those of like length come together; None where that is no matter.

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
        """The items `rows`, in this order."""
        return Batch(self._collate([self.dataset[int(row)] for row in rows]), None, None, torch.as_tensor(rows))
