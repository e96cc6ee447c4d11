"""The order in which the directions of a layer work on the rows of a batch, and the way from and to what the caller has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch

from ostinato.kernels.cpu.run.rows import KEPT_ROWS, Rows, full, ragged
from ostinato.types import Tensor

Ways = tuple[Tensor, Tensor]  # where each row comes from, and where each goes to


@dataclass(frozen=True, eq=False)
class Finals:
    """Where the last state of each row of the batch lies, -1 for a row without steps: `(B,)` int64.

    Attributes:
        flat: in memory of all flat rows.
        ring: in memory of the last two steps, `(2 B,)`.
    """

    flat: Tensor
    ring: Tensor


@dataclass(frozen=True, eq=False)
class Order:
    """The *common* flat order of a layer's directions, that of the first one.

    Attributes:
        rows: of each direction, in its own flat order.
        finals: of each direction.
        turned: for each direction the way from the common order to its own, and back; None where they are one.
        outside: the way from what the caller has, `(T B, F)` or packed, to the common order, and back; None where they are one.
        sort: row of the batch at each place, and the place of each row; None where they are one.
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
        """Flat rows."""
        return self.rows[0].total

    @cached_property
    def batch(self) -> int:
        """`B`."""
        return self.rows[0].batch


def order_of(directions: tuple[bool, ...], input: Tensor, lengths: Tensor | None, packed: bool) -> Order:
    """That of a call.

    Args:
        directions: of each whether it runs from the last step to the first.
        input: `(T, B, I)`, or packed `(N, I)`.
        lengths: `(B,)` int64, or None; for packed rows, where each has a single step.
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
    """That of one direction on flat rows."""
    empty = torch.nonzero(rows.last < 0)[:, 0]
    return Order((rows,), (_finals(rows, None),), (None,), empty=empty if len(empty) else None)


def _ways(rows: Rows) -> Ways | None:
    return None if rows.gather is None or rows.scatter is None else (rows.gather, rows.scatter)


def _finals(rows: Rows, sort: Ways | None) -> Finals:
    places = torch.arange(rows.batch, device="cpu")
    ring = torch.where(rows.last >= 0, (rows.ends - 1) % 2 * rows.batch + places, -1)
    found = (rows.last, ring) if sort is None else (rows.last[sort[1]], ring[sort[1]])
    return Finals(*(v.contiguous() for v in found))
