"""The order in which the directions of a layer work on the rows of a batch, and the ways from the caller's order and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch

from ostinato.kernels.cpu.run.rows import KEPT_ROWS, Rows, full, ragged
from ostinato.types import Tensor

Ways = tuple[Tensor, Tensor]  # indices for a change of order: where each row comes from, and where each goes to


@dataclass(frozen=True, eq=False)
class Finals:
    """The index of the last state of each row of the batch, -1 for a row without steps: `(B,)` int64.

    Attributes:
        flat: the index in memory of all flat rows.
        ring: the index in memory of the last two steps, `(2 B,)`.
    """

    flat: Tensor
    ring: Tensor


@dataclass(frozen=True, eq=False)
class Order:
    """The *common* flat order of a layer's directions, which is the order of the first one.

    Attributes:
        rows: the rows of each direction, in its own flat order.
        finals: for each direction, where its last states are.
        turned: for each direction, the ways from the common order to its own and back; None if they are the same.
        outside: the ways from the caller's order, `(T B, F)` or packed, to the common order and back; None if they are the same.
        sort: for each place its row of the batch, and for each row its place; None if they are the same.
        empty: the rows without steps, or None.
    """

    rows: tuple[Rows, ...]
    finals: tuple[Finals, ...]
    turned: tuple[Ways | None, ...]
    outside: Ways | None = None
    sort: Ways | None = None
    empty: Tensor | None = None

    @cached_property
    def total(self) -> int:
        """The number of flat rows."""
        return self.rows[0].total

    @cached_property
    def batch(self) -> int:
        """`B`."""
        return self.rows[0].batch


def order_of(directions: tuple[bool, ...], input: Tensor, lengths: Tensor | None, packed: bool) -> Order:
    """The order of the rows of a call.

    Args:
        directions: for each direction, whether it runs from the last step to the first.
        input: `(T, B, I)`, or packed `(N, I)`.
        lengths: `(B,)` int64; None if all rows have all steps (if packed, a single step).
        packed: as in `Request`.
    """
    if lengths is None:
        steps, batch = (1, input.shape[0]) if packed else input.shape[:2]
        return _whole(steps, batch, directions)
    numbers, steps = tuple(lengths.tolist()), None if packed else input.shape[0]
    make = _of_lengths if sum(numbers) <= KEPT_ROWS else _of_lengths.__wrapped__
    return make(numbers, steps, directions)


@lru_cache(maxsize=8)
def _of_lengths(numbers: tuple[int, ...], steps: int | None, directions: tuple[bool, ...]) -> Order:
    lengths = torch.tensor(numbers, dtype=torch.int64, device="cpu")
    first = ragged(lengths, directions[0], steps)
    sort = None if first.order is None else (first.order, torch.argsort(first.order))
    ends = lengths if sort is None else lengths[sort[0]]
    rows = (first, *(ragged(ends, reverse, None) for reverse in directions[1:]))
    empty = torch.nonzero(lengths == 0)[:, 0]
    return Order(
        rows,
        tuple(_finals(each, sort) for each in rows),
        (None, *(_ways(each) for each in rows[1:])),
        _ways(first),
        sort,
        empty if len(empty) else None,
    )


@lru_cache(maxsize=32)
def _whole(steps: int, batch: int, directions: tuple[bool, ...]) -> Order:
    rows = tuple(full(steps, batch, reverse) for reverse in directions)
    return Order(rows, tuple(_finals(each, None) for each in rows), (None,) * len(rows))


@lru_cache(maxsize=8)
def order_of_rows(rows: Rows) -> Order:
    """The order of a single direction whose tensors are in flat rows already."""
    empty = torch.nonzero(rows.last < 0)[:, 0]
    return Order((rows,), (_finals(rows, None),), (None,), empty=empty if len(empty) else None)


def _ways(rows: Rows) -> Ways | None:
    return None if rows.gather is None or rows.scatter is None else (rows.gather, rows.scatter)


def _finals(rows: Rows, sort: Ways | None) -> Finals:
    places = torch.arange(rows.batch, device="cpu")
    ring = torch.where(rows.last >= 0, (rows.ends - 1) % 2 * rows.batch + places, -1)
    found = (rows.last, ring) if sort is None else (rows.last[sort[1]], ring[sort[1]])
    return Finals(*(v.contiguous() for v in found))
