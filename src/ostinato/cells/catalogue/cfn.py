"""The chaos free network: without input, each of its units goes to zero and nowhere else."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh
from torch.nn import functional as F

from ostinato.cells.named import State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["cfn"]

_SMALL = "uniform(-0.07, 0.07)"


def _open_and_closed(bias: Tensor) -> None:
    theta, eta = bias.chunk(2)
    theta.fill_(1.0)
    eta.fill_(-1.0)


@cell(
    gates="theta eta",
    states="h",
    keep="theta",
    write="eta",
    parameters={"weight_c": "H I"},  # the candidate has no recurrent product and no bias, so it is not a gate
    starts={
        "weight_ih": _SMALL,
        "weight_hh": _SMALL,
        "weight_c": _SMALL,
        "bias_ih": _open_and_closed,
        "bias_hh": 0.0,
    },
    source="Laurent & von Brecht 2017, arXiv 1612.06212, (1) and (2)",
)
def cfn(x: Tensor, s: State, U: Any, W: Any, weight_c: Tensor, candidate: Wrap = identity) -> State:
    """h' = theta tanh(h) + eta tanh(W_c x), with sigmoid gates theta and eta of x and h."""
    w, u = W(x), U(s.h)
    theta, eta = sigmoid(w.theta + u.theta), sigmoid(w.eta + u.eta)
    return State(h=theta * tanh(s.h) + eta * candidate(tanh(F.linear(x, weight_c))))


@named("CFN")
def named_cfn() -> Cell:
    """The chaos free network: h' = theta tanh(h) + eta tanh(W_c x), with sigmoid gates theta and eta of x and h.

    As in the paper, weights start uniform in +-0.07, the biases of theta at 1 and those of eta at -1. `layer_norm` leaves W_c x as
    it is.

    Source: Laurent & von Brecht 2017 (2016), arXiv 1612.06212, A recurrent neural network without chaos, (1) and (2).
    """
    return cfn
