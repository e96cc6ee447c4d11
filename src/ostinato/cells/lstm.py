"""Long short-term memory."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity

__all__ = ["lstm"]


@cell(
    gates="i f g o",
    states="h c",
    keep="f",
    write="i",
    vendor="LSTM",
    source="Hochreiter & Schmidhuber 1997, A.1, (7) to (9); forget gate: Gers, Schmidhuber & Cummins 2000",
)
def lstm(x: Gates, s: State, U: Any, candidate: Wrap = identity, memory: Wrap = identity) -> State:
    """c' = f c + i tanh(g); h' = o tanh(c'), with sigmoid gates i, f, o."""
    u = U(s.h)
    write = sigmoid(x.i + u.i) * candidate(tanh(x.g + u.g))
    c = sigmoid(x.f + u.f) * s.c + write
    return State(h=sigmoid(x.o + u.o) * tanh(memory(c)), c=c)


@named("LSTM", order=1)
def named_lstm() -> Cell:
    """Long short-term memory: c' = f c + i g; h' = o tanh(c').

    The gates i, f and o are sigmoid(W x + b_ih + U h + b_hh), each with rows of its own; g is tanh of such a sum. The rows of
    `weight_ih` (W) and `weight_hh` (U) are in the order i, f, g, o.

    Source: Hochreiter & Schmidhuber 1997, appendix A.1, (7) to (9) in the numbering of the authors' preprint. There c' = c + i g,
    without a forget gate, g is 2 tanh(x / 2), and h' = o tanh(c' / 2). The forget gate: Gers, Schmidhuber & Cummins 2000.
    """
    return lstm
