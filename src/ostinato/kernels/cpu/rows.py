"""Which rows a time step has: the flat order in which sequences of several lengths are worked on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from ostinato.types import Tensor


@dataclass(frozen=True)
class Rows:
    """The flat rows of a batch. In a step, rows have *places*: the sequence with most steps has place 0.

    Attributes:
        steps: time steps that any row has.
        batch: `B`.
        total: flat rows, the sum of all lengths.
        offsets: first flat row of each step in the order of the recurrence, `(steps,)` int64.
        counts: rows of each step, `(steps,)` int64, never more than in the step before.
        last: flat row of each place's last step; -1 where it has none: `(B,)`.
        before: for each flat row, where its old state is: in `(B + total,)`, first states and then flat rows.
        gather: for each flat row its place in `(T, B)`, `(total,)`, or None where it is the same.
        order: row of the batch at each place, `(B,)`, or None where it is the same.
    """

    steps: int
    batch: int
    total: int
    offsets: Tensor
    counts: Tensor
    last: Tensor
    before: Tensor
    gather: Tensor | None = None
    order: Tensor | None = None

    def segments(self, length: int) -> list[tuple[Rows, slice]]:
        """Runs of so many steps, each with its range of flat rows, in the order of the recurrence."""
        found = []
        for first in range(0, self.steps, length):
            offsets, counts = self.offsets[first : first + length], self.counts[first : first + length]
            start = int(offsets.min())
            # Where all rows have all steps, segments differ in their place only.
            part = _rows(offsets - start, counts, self.batch) if self.gather is not None else _like(offsets, self.batch)
            found.append((part, slice(start, start + part.total)))
        return found


def _like(offsets: Tensor, batch: int) -> Rows:
    return full(offsets.numel(), batch, bool(offsets[0] > offsets[-1]))


def _rows(
    offsets: Tensor, counts: Tensor, batch: int, gather: Tensor | None = None, order: Tensor | None = None
) -> Rows:
    steps = offsets.numel()
    total = int(counts.sum())
    places = torch.arange(batch)
    here = places < counts[:, None]
    flat = (offsets[:, None] + places)[here]
    before = torch.empty(total, dtype=torch.int64)
    old = torch.cat([offsets.new_full((1,), -batch), offsets])[:steps, None] + batch + places
    before[flat] = old[here]
    ends = here.sum(0)
    last = torch.where(ends > 0, offsets[(ends - 1).clamp(min=0)] + places, -1) if steps else torch.full((batch,), -1)
    return Rows(steps, batch, total, offsets.contiguous(), counts.contiguous(), last, before, gather, order)


@lru_cache(maxsize=32)
def full(steps: int, batch: int, reverse: bool) -> Rows:
    """All rows have all steps."""
    at = torch.arange(steps)
    return _rows((at.flip(0) if reverse else at) * batch, torch.full((steps,), batch), batch)


def ragged(lengths: Tensor, reverse: bool) -> Rows:
    """`lengths`: `(B,)` int64 on CPU. Rows that have ended cost nothing: a step has as many rows as still go on."""
    batch = lengths.numel()
    order = torch.argsort(lengths, descending=True, stable=True)
    ends = lengths[order]
    steps = int(ends[0]) if batch else 0
    step = torch.arange(steps)[:, None]
    goes_on = step < ends
    counts = goes_on.sum(1)
    time = ends - 1 - step if reverse else step.expand(steps, batch)
    return _rows(counts.cumsum(0) - counts, counts, batch, (time * batch + order)[goes_on], order)
