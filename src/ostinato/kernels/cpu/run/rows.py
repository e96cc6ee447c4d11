"""Which rows a time step has: the flat order in which sequences of several lengths are worked on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from ostinato.types import Tensor

_CPU = torch.device("cpu")  # whatever the default device is, as it may be torch's "meta"
KEPT_ROWS = 1 << 18  # up to which the order of a batch is kept for the next call


@dataclass(frozen=True, eq=False)
class Rows:
    """The flat rows of a batch. In a step, rows have *places*: the sequence with most steps has place 0.

    Attributes:
        steps: time steps that any row has.
        batch: `B`.
        total: flat rows, the sum of all lengths.
        offsets: first flat row of each step in the order of the recurrence, `(steps,)` int64.
        counts: rows of each step, `(steps,)` int64, never more than in the step before.
        begin: first flat row and rows of the first step.
        end: the same of the last step.
        last: flat row of each place's last step; -1 where it has none: `(B,)`.
        before: for each flat row, where its old state is: in `(B + total,)`, first states and then flat rows.
        numbers: 0, 1, 2, ... for each flat row, `(total,)`.
        ends: steps of each place, `(B,)` int64, never more than those of the place before.
        gather: for each flat row its place in `(T, B)`, or among packed rows, `(total,)`; None where it is the same.
        scatter: for each place in `(T, B)` its flat row, or -1 past a row's end, `(T B,)`, or for each packed row, `(total,)`; None
            where it is the same.
        order: row of the batch at each place, `(B,)`, or None where it is the same.
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
        """Whether each flat row follows, B rows behind it, on the one of the step before."""
        return self.is_full and (self.steps == 1 or int(self.begin[0]) < int(self.end[0]))

    def shares(self, pieces: int) -> list[int]:
        """Where the places of each piece begin, and the end of the last one's; as much work in each."""
        if self.is_full:
            return [self.batch * n // pieces for n in range(pieces + 1)]
        done = self.ends.cumsum(0)
        goals = torch.arange(1, pieces, device=done.device) * self.total / pieces
        return [0, *torch.searchsorted(done, goals).tolist(), self.batch]

    def segments(self, length: int) -> list[tuple[Rows, slice]]:
        """Runs of so many steps, each with its range of flat rows, in the order of the recurrence."""
        found = []
        for first in range(0, self.steps, length):
            offsets, counts = self.offsets[first : first + length], self.counts[first : first + length]
            start = int(offsets.min())
            # Where all rows have all steps, segments differ in their place only.
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
    # As numbers, too: to take one out of a tensor costs a microsecond.
    begin, end = ((int(offsets[at]), int(counts[at])) if steps else (0, 0) for at in (0, -1))
    return Rows(
        *(steps, batch, total, offsets.contiguous(), counts.contiguous(), begin, end),
        *(last, before, numbers, ends, gather, scatter, order),
    )


@lru_cache(maxsize=32)
def full(steps: int, batch: int, reverse: bool) -> Rows:
    """All rows have all steps."""
    at = torch.arange(steps, device=_CPU)
    return _rows((at.flip(0) if reverse else at) * batch, at.new_full((steps,), batch), batch)


def ragged(lengths: Tensor, reverse: bool, padded: int | None) -> Rows:
    """Rows that have ended cost nothing: a step has as many rows as still go on.

    Args:
        lengths: `(B,)` int64 on CPU.
        reverse: whether the recurrence begins with each row's last step.
        padded: `T`, at least the longest; None for packed rows, whose lengths never grow from one row to the next.
    """
    # The layers of a stack, and both directions, have the same lengths; so may the next batch of one row.
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
