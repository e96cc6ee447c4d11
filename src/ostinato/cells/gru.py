"""The gated recurrent unit, in its two forms. They differ in where the reset gate acts, and in what an open z means."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity

__all__ = ["gru", "gru_reset_before"]


@cell(
    gates="r z n",
    states="h",
    keep="z",
    vendor="GRU",
    source="Cho et al. 2014, arXiv 1406.1078v3, (5) to (8), but reset after the product: v1, cuDNN and torch.nn.GRU",
)
def gru(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
    """n = tanh(x_n + r (U_n h + b_n)); h' = (1 - z) n + z h. Reset after the matrix product; an open z keeps."""
    u = U(s.h)
    r, z = sigmoid(x.r + u.r), sigmoid(x.z + u.z)
    n = candidate(tanh(x.n + r * u.n))
    return State(h=(1 - z) * n + z * s.h)


@cell(
    gates="r z n",
    states="h",
    write="z",
    source="Chung et al. 2014, arXiv 1412.3555, 3.2, (5); Cho et al. 2014, arXiv 1406.1078v3, (5) to (8)",
)
def gru_reset_before(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
    """n = tanh(x_n + U_n (r h) + b_n); h' = (1 - z) h + z n. Reset before the matrix product; an open z writes."""
    u = U.only("r z")(s.h)
    r, z = sigmoid(x.r + u.r), sigmoid(x.z + u.z)
    n = candidate(tanh(x.n + U.only("n")(r * s.h).n))
    return State(h=(1 - z) * s.h + z * n)


@named("GRU", order=2, variants=[{}, {"reset_after": False}])
def named_gru(*, reset_after: bool = True) -> Cell:
    """Gated recurrent unit: h' = (1 - z) n + z h, with a reset gate in n; it has two forms.

    Source: Cho et al. 2014, arXiv 1406.1078. In its first version the reset acts after the matrix product, as in cuDNN and torch;
    in its third, (5) to (8), before it. In both z = 1 keeps the state. In Chung et al. 2014, arXiv 1412.3555, 3.2, (5) and the
    unnumbered lines after it, the reset acts before the product, and z = 1 replaces the state: the form of `reset_after=False`.

    Args:
        reset_after: True for torch's form, n = tanh(x_n + r (U_n h + b_n)) and h' = (1 - z) n + z h; False for
            n = tanh(x_n + U_n (r h) + b_n) and h' = (1 - z) h + z n. Weights of one form do not fit the other:
            `ostinato.nn.negate_update_gate` reverses the meaning of z in a `state_dict`, but nothing can move the reset.
    """
    return gru if reset_after else gru_reset_before
