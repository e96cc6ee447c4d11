"""The flat order of rows, in which sequences of several lengths are worked on: which rows each time step has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from ostinato.types import Tensor

_CPU = torch.device("cpu")  # named everywhere, as the default device may be another, such as "meta"
KEPT_ROWS = 1 << 18  # the order of a batch of up to so many flat rows is kept for the next call


@dataclass(frozen=True, eq=False)
class Rows:
    """The flat rows of a batch: one for each valid step of each row. In a step, the sequence with most steps has *place* 0.

    Attributes:
        steps: the number of time steps of the longest row.
        batch: `B`.
        total: the number of flat rows, the sum of all lengths.
        offsets: the first flat row of each step in the order of the recurrence, `(steps,)` int64.
        counts: the number of rows of each step, `(steps,)` int64, never more than in the step before.
        begin: the first flat row of the first step, and its number of rows.
        end: the same for the last step.
        last: the flat row of each place's last step, -1 for a place without steps: `(B,)`.
        before: for each flat row, the index of its old state in `(B + total,)`: first states, then flat rows.
        numbers: 0, 1, 2, ... for each flat row, `(total,)`.
        ends: the number of steps of each place, `(B,)` int64, never more than those of the place before.
        gather: for each flat row its index in `(T, B)` or among packed rows, `(total,)`; None if the orders are the same.
        scatter: the inverse: for each index in `(T, B)` its flat row, -1 past a row's end, `(T B,)`; or for each packed row its
            flat row, `(total,)`. None if the orders are the same.
        order: the row of the batch at each place, `(B,)`; None if the orders are the same.
    """

    steps: int
    batch: int
    total: int
    offsets: Tensor
    counts: Tensor
    begin: tuple[int, int]
    end: tuple[int, int]
    last: Tensor
    before: Tensor
    numbers: Tensor
    ends: Tensor
    gather: Tensor | None = None
    scatter: Tensor | None = None
    order: Tensor | None = None

    @property
    def is_full(self) -> bool:
        """Whether all rows have all steps."""
        return self.total == self.steps * self.batch

    @property
    def is_in_order(self) -> bool:
        """Whether each flat row is B rows behind the one of the step before."""
        return self.is_full and (self.steps == 1 or int(self.begin[0]) < int(self.end[0]))

    def shares(self, pieces: int) -> list[int]:
        """Divide the places into pieces of about equal work; gives where each piece begins, and where the last one ends."""
        if self.is_full:
            return [self.batch * n // pieces for n in range(pieces + 1)]
        done = self.ends.cumsum(0)
        goals = torch.arange(1, pieces, device=done.device) * self.total / pieces
        return [0, *torch.searchsorted(done, goals).tolist(), self.batch]

    def segments(self, length: int) -> list[tuple[Rows, slice]]:
        """Cut the steps into runs of `length`, in the order of the recurrence; each with its range of flat rows."""
        found = []
        for first in range(0, self.steps, length):
            offsets, counts = self.offsets[first : first + length], self.counts[first : first + length]
            start = int(offsets.min())
            # If all rows have all steps, segments of one length differ in their range only, and share one `Rows`.
            part = _rows(offsets - start, counts, self.batch) if not self.is_full else _like(offsets, self.batch)
            found.append((part, slice(start, start + part.total)))
        return found


def _like(offsets: Tensor, batch: int) -> Rows:
    return full(offsets.numel(), batch, bool(offsets[0] > offsets[-1]))


def _rows(
    offsets: Tensor,
    counts: Tensor,
    batch: int,
    gather: Tensor | None = None,
    order: Tensor | None = None,
    size: int = 0,
) -> Rows:
    steps = offsets.numel()
    total = int(counts.sum())
    places = torch.arange(batch, device=_CPU)
    here = places < counts[:, None]
    flat = (offsets[:, None] + places)[here]
    before = torch.empty(total, dtype=torch.int64, device=_CPU)
    old = torch.cat([offsets.new_full((1,), -batch), offsets])[:steps, None] + batch + places
    before[flat] = old[here]
    ends = here.sum(0)
    numbers = torch.arange(total, device=_CPU)
    last = (
        torch.where(ends > 0, offsets[(ends - 1).clamp(min=0)] + places, -1) if steps else places.new_full((batch,), -1)
    )
    scatter = None
    if gather is not None:
        scatter = places.new_full((size,), -1).index_copy_(0, gather, numbers)
    # Kept as Python numbers too: reading one from a tensor takes a microsecond.
    begin, end = ((int(offsets[at]), int(counts[at])) if steps else (0, 0) for at in (0, -1))
    return Rows(
        *(steps, batch, total, offsets.contiguous(), counts.contiguous(), begin, end),
        *(last, before, numbers, ends, gather, scatter, order),
    )


@lru_cache(maxsize=32)
def full(steps: int, batch: int, reverse: bool) -> Rows:
    """The flat rows of a batch in which all rows have all steps."""
    at = torch.arange(steps, device=_CPU)
    return _rows((at.flip(0) if reverse else at) * batch, at.new_full((steps,), batch), batch)


def ragged(lengths: Tensor, reverse: bool, padded: int | None) -> Rows:
    """The flat rows of a batch with lengths. A step has only the rows that still go on, so rows that have ended cost nothing.

    Args:
        lengths: `(B,)` int64 on CPU.
        reverse: whether the recurrence begins with each row's last step.
        padded: `T`, at least the longest length; None for packed rows, whose lengths never grow from one row to the next.
    """
    # Kept, as the layers of a stack and both directions have the same lengths, and so may the next batch.
    numbers = tuple(lengths.tolist())
    make = _ragged if sum(numbers) <= KEPT_ROWS else _ragged.__wrapped__
    return make(numbers, reverse, padded)


@lru_cache(maxsize=8)
def _ragged(lengths: tuple[int, ...], reverse: bool, padded: int | None) -> Rows:
    batch = len(lengths)
    ends, order = torch.sort(torch.tensor(lengths, dtype=torch.int64, device=_CPU), descending=True, stable=True)
    steps = int(ends[0]) if batch else 0
    step = torch.arange(steps, device=_CPU)[:, None]
    goes_on = step < ends
    counts = goes_on.sum(1)
    time = ends - 1 - step if reverse else step.expand(steps, batch)
    offsets = counts.cumsum(0) - counts
    if padded is not None:
        return _rows(offsets, counts, batch, (time * batch + order)[goes_on], order, padded * batch)
    if not reverse:
        return _rows(offsets, counts, batch)
    gather = (offsets[time.clamp(min=0)] + torch.arange(batch, device=_CPU))[goes_on]
    return _rows(offsets, counts, batch, gather, size=gather.numel())
