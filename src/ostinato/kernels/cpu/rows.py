"""Which rows a time step has: the flat order in which sequences of several lengths are worked on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from ostinato.types import Tensor


@dataclass(frozen=True)
class Rows:
    """The flat rows of a batch.

    Attributes:
        steps: time steps that any row has.
        batch: `B`.
        total: flat rows, the sum of all lengths.
        offsets: first flat row of each step in the order of the recurrence, `(steps,)` int64.
        counts: rows of each step, `(steps,)` int64, never more than in the step before.
        gather: for each flat row its place in `(T, B)`, `(total,)`, or None where a flat row is at its own place.
        order: row of the batch at each place of a step, `(B,)`, or None where it is the same.
        last: flat row of each place's last step; -1 where it has none: `(B,)`.
        before: for each flat row, where its old state is: in `(B + total,)`, first states and then flat rows.
    """

    steps: int
    batch: int
    total: int
    offsets: Tensor
    counts: Tensor
    gather: Tensor | None
    order: Tensor | None
    last: Tensor
    before: Tensor

    def part(self, first: int, last: int) -> Rows:
        """Only the steps from `first` up to `last`; flat rows keep their numbers, so nothing but the loop may be asked of it."""
        return Rows(
            last - first,
            self.batch,
            self.total,
            self.offsets[first:last],
            self.counts[first:last],
            self.gather,
            self.order,
            self.last,
            self.before,
        )


@lru_cache(maxsize=32)
def full(steps: int, batch: int, reverse: bool) -> Rows:
    """All rows have all steps."""
    at = torch.arange(steps)
    offsets = (at.flip(0) if reverse else at) * batch
    counts = torch.full((steps,), batch)
    flat = torch.arange(steps * batch)
    # What was before is the step after where time runs backward; the first step finds its first states.
    before = (flat + 2 * batch if reverse else flat).clone()
    if reverse and steps:
        before[-batch:] = torch.arange(batch)
    last = offsets[-1] + torch.arange(batch) if steps else torch.full((batch,), -1)
    return Rows(steps, batch, steps * batch, offsets, counts, None, None, last, before)


def ragged(lengths: Tensor, reverse: bool) -> Rows:
    """`lengths`: `(B,)` int64 on CPU. Rows that have ended cost nothing: the longest come first, and a step has as many as still go on."""
    batch = lengths.numel()
    order = torch.argsort(lengths, descending=True, stable=True)
    ends = lengths[order]
    steps = int(ends[0]) if batch else 0
    at = torch.arange(steps)[:, None]
    goes_on = at < ends
    counts = goes_on.sum(1)
    offsets = counts.cumsum(0) - counts
    # Flat rows in order: step by step, and within a step the first `counts` places.
    place = torch.arange(batch).expand(steps, batch)[goes_on]
    step = at.expand(steps, batch)[goes_on]
    time = ends[place] - 1 - step if reverse else step
    gather = time * batch + order[place]
    total = int(gather.numel())
    starts = torch.cat([offsets, offsets.new_full((1,), total)])
    before = torch.where(step > 0, batch + starts[(step - 1).clamp(min=0)] + place, place)
    last = torch.where(ends > 0, starts[(ends - 1).clamp(min=0)] + torch.arange(batch), -1)
    return Rows(steps, batch, total, offsets, counts, gather, order, last, before)
