"""What a layer asks of the kernels: one direction of one layer over a whole sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch.nn import functional as F

from ostinato.cells.named import State
from ostinato.cells.spec import Cell
from ostinato.types import Tensor


@dataclass(frozen=True)
class Weights:
    """The parameters of one direction of one layer.

    Attributes:
        ih: `W_ih`, `(G H, I)`, with the rows of the cell's `input_gates` only.
        hh: `W_hh`, `(G H, P / N)`, or None for a cell without a recurrent product.
        bias_ih: `(G H,)`, with the rows of the cell's `input_gates` only, or None.
        bias_hh: `(G H,)` or None.
        own: the cell's own parameters by name.
    """

    ih: Tensor
    hh: Tensor | None
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None
    own: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One direction of one layer.

    Attributes:
        cell: the recurrence.
        input: `(T, B, I)`; the cell's extras follow in further columns, `(T, B, I + E)`, so that all that is done with time steps
            and rows is done with them too.
        weights: of this direction.
        first: the states before the first step, `(B, H)` each; a state of several dimensions is flattened.
        lengths: valid steps of each row, `(B,)` int64 on the input's device, or None when all are valid. Past its end a row may
            hold anything, NaN included.
        reverse: run from the last valid step of each row to its first.
        masks: the cell's noise by name, `(T, B, H)` or `(B, H)`.
        every_state: give the states of all time steps.
        segment: for the backward pass, keep states only every `segment` steps, and compute the others again; 0 keeps all.
        packed: the input holds the N valid steps alone, `(N, I)`: the rows of the first time step, then those of the second that go
            on, and so forth. `lengths` are at least 1 each and never grow from one row to the next. Masks and results that have
            `(T, B)` otherwise have `(N,)` too.
        known_lengths: `lengths` on the CPU, if they are known there as well; then nobody need wait for a device.
        idle: the parts of the input ("x", or the name of an extra) whose gradient will not be asked for, although that of other
            parts is; a backend may give zeros for them.
    """

    cell: Cell
    input: Tensor
    weights: Weights
    first: State
    lengths: Tensor | None = None
    reverse: bool = False
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    every_state: bool = False
    segment: int = 0
    packed: bool = False
    known_lengths: Tensor | None = None
    idle: frozenset[str] = frozenset()

    def projected_input(self) -> Tensor:
        """Compute `W_ih x + b_ih` for all time steps in one product: `(T, B, G H)`, for the cell's `input_gates` only."""
        weights = self.weights
        input = self.input[..., : weights.ih.shape[1]] if self.cell.extras else self.input
        if not self.cell.enter:
            return F.linear(input, weights.ih, weights.bias_ih)
        product = F.linear(input, weights.ih)
        for enter in self.cell.enter:
            product = enter(product, weights.own)
        return product if weights.bias_ih is None else product + weights.bias_ih


@dataclass(frozen=True)
class Result:
    """What a backend gives back.

    Attributes:
        output: the first state at every step, `(T, B, P)`; zero past a row's end.
        last: the states after each row's last valid step, `(B, H)` each.
        states: every state at every step, `(T, B, H)` each, zero past a row's end; None unless `Request.every_state`.
    """

    output: Tensor
    last: State
    states: State | None = None
