"""Bistable recurrent cells, which latch as neurons do: with gates that read the unit's own state only, or that of all units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import sigmoid, tanh
from torch.nn import functional as F
from torch.nn import init

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["brc", "nbrc"]

_SOURCE = "Vecoven, Ernst & Drion 2021, arXiv 2006.05252"


def _xavier_by_gate(count: int) -> Callable[[Tensor], None]:
    def fill(weight: Tensor) -> None:
        for block in weight.chunk(count):
            init.xavier_uniform_(block)

    return fill


@cell(
    gates="a c h",
    states="h",
    recurrent=False,
    keep="c",
    parameters={"memory_a": "H", "memory_c": "H"},
    starts={"weight_ih": _xavier_by_gate(3), "bias_ih": 0.0, "memory_a": 1.0, "memory_c": 1.0},
    source=_SOURCE,
)
def brc(x: Gates, s: State, U: None, memory_a: Tensor, memory_c: Tensor, candidate: Wrap = identity) -> State:
    """h' = c h + (1 - c) tanh(W_h x + a h), with a = 1 + tanh(W_a x + w_a h) and c = sigmoid(W_c x + w_c h)."""
    a = 1 + tanh(x.a + memory_a * s.h)
    c = sigmoid(x.c + memory_c * s.h)
    return State(h=c * s.h + (1 - c) * candidate(tanh(x.h + a * s.h)))


@cell(
    gates="a c",
    states="h",
    keep="c",
    parameters={"weight_h": "H I"},  # the candidate has no recurrent product and no bias, so it is not a gate
    starts={
        "weight_ih": _xavier_by_gate(2),
        "weight_hh": _xavier_by_gate(2),
        "weight_h": "xavier",
        "bias_ih": 0.0,
        "bias_hh": 0.0,
    },
    source=_SOURCE,
)
def nbrc(x: Tensor, s: State, U: Any, W: Any, weight_h: Tensor, candidate: Wrap = identity) -> State:
    """As `brc`, with a = 1 + tanh(W_a x + U_a h) and c = sigmoid(W_c x + U_c h)."""
    w, u = W(x), U(s.h)
    a, c = 1 + tanh(w.a + u.a), sigmoid(w.c + u.c)
    return State(h=c * s.h + (1 - c) * candidate(tanh(F.linear(x, weight_h) + a * s.h)))


@named("BRC")
def named_brc() -> Cell:
    """The bistable cell: h' = c h + (1 - c) tanh(W_h x + a h), a = 1 + tanh(W_a x + w_a h), c = sigmoid(W_c x + w_c h).

    Each unit reads its own state only: w_a and w_c are vectors, and there is no `weight_hh`. A unit with a above 1 is bistable.
    Weights start as in the authors' code: Xavier, w_a and w_c at 1. Their code adds biases to a and c, which the paper leaves out;
    here W_h x has a bias too, and all biases start at 0.

    Source: Vecoven, Ernst & Drion 2021 (2020), arXiv 2006.05252, A bio-inspired bistable recurrent cell allows for long-lasting
    memory.
    """
    return brc


@named("NBRC")
def named_nbrc() -> Cell:
    """The neuromodulated bistable cell: as `BRC`, with a = 1 + tanh(W_a x + U_a h) and c = sigmoid(W_c x + U_c h).

    Weights start as in the authors' code, Xavier and biases at 0. `layer_norm` leaves W_h x as it is.

    Source: Vecoven, Ernst & Drion 2021 (2020), arXiv 2006.05252.
    """
    return nbrc
