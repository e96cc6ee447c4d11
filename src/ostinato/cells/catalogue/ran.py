"""The recurrent additive network: an LSTM whose memory is a weighted sum of its inputs."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh
from torch.nn import functional as F

from ostinato.cells.named import State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["ran", "ran_linear"]

_SOURCE = "Lee, Levy & Zettlemoyer 2017, arXiv 1705.07393, (1)"
_OWN = {"weight_c": "H I"}  # the content has no recurrent product and no bias, so it is not a gate


@cell(gates="i f", states="h c", keep="f", write="i", parameters=_OWN, source=_SOURCE)
def ran(
    x: Tensor, s: State, U: Any, W: Any, weight_c: Tensor, candidate: Wrap = identity, memory: Wrap = identity
) -> State:
    """c' = i W_c x + f c; h' = tanh(c'), with i = sigmoid(W_i x + U_i h + b_i) and f = sigmoid(W_f x + U_f h + b_f)."""
    c = _content(x, s, U, W, weight_c, candidate)
    return State(h=tanh(memory(c)), c=c)


@cell(gates="i f", states="h c", keep="f", write="i", parameters=_OWN, source=_SOURCE)
def ran_linear(
    x: Tensor, s: State, U: Any, W: Any, weight_c: Tensor, candidate: Wrap = identity, memory: Wrap = identity
) -> State:
    """c' as in `ran`; h' = c'."""
    c = _content(x, s, U, W, weight_c, candidate)
    return State(h=memory(c), c=c)


def _content(x: Tensor, s: State, U: Any, W: Any, weight_c: Tensor, candidate: Wrap) -> Tensor:
    w, u = W(x), U(s.h)
    return sigmoid(w.i + u.i) * candidate(F.linear(x, weight_c)) + sigmoid(w.f + u.f) * s.c


@named("RAN", variants=[{}, {"linear": True}])
def named_ran(*, linear: bool = False) -> Cell:
    """The recurrent additive network: c' = i W_c x + f c; h' = tanh(c'), with gates i and f of x and h.

    `layer_norm` leaves the content W_c x as it is.

    Source: Lee, Levy & Zettlemoyer 2017, arXiv 1705.07393, Recurrent additive networks, (1).

    Args:
        linear: h' = c', the paper's other choice of the output.
    """
    return ran_linear if linear else ran
