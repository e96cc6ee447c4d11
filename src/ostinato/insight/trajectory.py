"""What one direction of a recurrent layer did in one pass: every step's input and states, so that the step can be taken again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Product
from ostinato.cells.spec import Cell
from ostinato.types import Tensor


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The steps of one direction of one layer, in the order of time, `t = 0 ... T - 1`, whichever way they were taken.

    Attributes:
        name: the module's name in the model and the suffix of its parameters: "recurrent.l0", "recurrent.l0_reverse"; for a
            single-step cell the module's name alone.
        layer: from 0.
        is_reverse: the steps were taken from the last to the first.
        cell: the recurrence, with the options that acted.
        inputs: `W_ih x_t + b_ih`, a `(B, H)` tensor a gate, for each step.
        before: the states that each step began with, `(B, H)` each.
        after: the states that it ended with; nodes of the graph of the pass, where that was kept.
        products: `U` of each step, None for a cell without one.
        named: what else each step was given: parameters of its own, and masks.
        valid: `(T, B)` bool, False where a row has no data.
    """

    name: str
    layer: int
    is_reverse: bool
    cell: Cell
    inputs: tuple[Gates, ...]
    before: tuple[State, ...]
    after: tuple[State, ...]
    products: tuple[Product | None, ...]
    named: tuple[Mapping[str, Tensor], ...]
    valid: Tensor

    @property
    def steps(self) -> int:
        """`T`."""
        return len(self.after)

    @property
    def rows(self) -> int:
        """`B`."""
        return self.valid.shape[1]

    def states(self, name: str) -> Tensor:
        """One state after every step, `(T, B, H)`, without a graph; what is past a row's end means nothing, see `valid`."""
        return torch.stack([getattr(state, name).detach() for state in self.after])
