"""MUT1, MUT2 and MUT3: the three best cells that an evolutionary search found."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh
from torch.nn import functional as F

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["mut1", "mut2", "mut3"]

_SOURCE = (
    "Jozefowicz, Zaremba & Sutskever 2015, An empirical exploration of recurrent network architectures, 4, unnumbered"
)


# z has no recurrent product, and the candidate has no input but tanh(W_h x). So both share one gate: its rows are W_z in
# `weight_ih` and U_h in `weight_hh`.
@cell(gates="z r", states="h", write="z", parameters={"weight_h": "H I"}, source=f"{_SOURCE}, MUT1")
def mut1(x: Tensor, s: State, U: Any, W: Any, weight_h: Tensor, candidate: Wrap = identity) -> State:
    """h' = (1 - z) h + z tanh(U_h (r h) + tanh(W_h x) + b_h), with z = sigmoid(W_z x + b_z), r of x and h."""
    w = W(x)
    z, r = sigmoid(w.z), sigmoid(w.r + U.only("r")(s.h).r)
    proposed = candidate(tanh(U.only("z")(r * s.h).z + tanh(F.linear(x, weight_h))))
    return State(h=(1 - z) * s.h + z * proposed)


@cell(gates="z r h", states="h", write="z", source=f"{_SOURCE}, MUT2")
def mut2(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
    """h' = (1 - z) h + z tanh(W_h x + U_h (r h) + b_h), with z and r of x and h: the GRU whose open z writes."""
    u = U.only("z r")(s.h)
    return _mixed(x, s, U, sigmoid(x.z + u.z), sigmoid(x.r + u.r), candidate)


@cell(gates="z r h", states="h", write="z", source=f"{_SOURCE}, MUT3")
def mut3(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
    """As `mut2`, with z = sigmoid(W_z x + U_z tanh(h) + b_z)."""
    z = sigmoid(x.z + U.only("z")(tanh(s.h)).z)
    return _mixed(x, s, U, z, sigmoid(x.r + U.only("r")(s.h).r), candidate)


def _mixed(x: Gates, s: State, U: Any, z: Tensor, r: Tensor, candidate: Wrap) -> State:
    proposed = candidate(tanh(x.h + U.only("h")(r * s.h).h))
    return State(h=(1 - z) * s.h + z * proposed)


@named("MUT1")
def named_mut1() -> Cell:
    """The first mutant: h' = (1 - z) h + z tanh(U_h (r h) + tanh(W_h x) + b_h), with z = sigmoid(W_z x + b_z), r of x and h.

    The paper has tanh(x), as its inputs have the width of the state; W_h allows any width. `layer_norm` leaves W_h x as it is.
    In the `state_dict` the rows of z are W_z in `weight_ih` and U_h in `weight_hh`.

    Source: Jozefowicz, Zaremba & Sutskever 2015, section 4, unnumbered.
    """
    return mut1


@named("MUT2")
def named_mut2() -> Cell:
    """The second mutant: h' = (1 - z) h + z tanh(W_h x + U_h (r h) + b_h), with z and r of x and h.

    The paper has r = sigmoid(x + U_r h + b_r), as its inputs have the width of the state; W_r allows any width, and makes this a
    GRU with the reset before the product. W_r is initialised as in a GRU; set it to the identity for the paper's form.

    Source: Jozefowicz, Zaremba & Sutskever 2015, section 4, unnumbered.
    """
    return mut2


@named("MUT3")
def named_mut3() -> Cell:
    """The third mutant: h' = (1 - z) h + z tanh(W_h x + U_h (r h) + b_h), z = sigmoid(W_z x + U_z tanh(h) + b_z), r of x and h.

    Source: Jozefowicz, Zaremba & Sutskever 2015, section 4, unnumbered.
    """
    return mut3
