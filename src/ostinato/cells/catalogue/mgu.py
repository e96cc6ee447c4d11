"""The minimal gated unit, which has one gate, and three forms whose gate has fewer inputs."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh
from torch.nn import functional as F

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.errors import CellError
from ostinato.types import Tensor

__all__ = ["mgu", "mgu1", "mgu2", "mgu3"]

_FORMS = "Heck & Salem 2017, arXiv 1701.03452"


@cell(gates="f h", states="h", write="f", source="Zhou et al. 2016, arXiv 1603.09420")
def mgu(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
    """h' = (1 - f) h + f tanh(W_h x + U_h (f h) + b_h), with f = sigmoid(W_f x + U_f h + b_f)."""
    return _mixed(x, s, U, sigmoid(x.f + U.only("f")(s.h).f), candidate)


@cell(gates="f h", states="h", inputs="h", write="f", source=f"{_FORMS}, MGU1")
def mgu1(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
    """As `mgu`, with f = sigmoid(U_f h + b_f)."""
    return _mixed(x, s, U, sigmoid(U.only("f")(s.h).f), candidate)


@cell(gates="h", states="h", parameters={"weight_f": "H H"}, source=f"{_FORMS}, MGU2")
def mgu2(x: Gates, s: State, U: Any, weight_f: Tensor, candidate: Wrap = identity) -> State:
    """As `mgu`, with f = sigmoid(U_f h)."""
    return _mixed(x, s, U, sigmoid(F.linear(s.h, weight_f)), candidate)


@cell(gates="h", states="h", parameters={"bias_f": "H"}, source=f"{_FORMS}, MGU3")
def mgu3(x: Gates, s: State, U: Any, bias_f: Tensor, candidate: Wrap = identity) -> State:
    """As `mgu`, with f = sigmoid(b_f): a rate for each unit."""
    return _mixed(x, s, U, sigmoid(bias_f), candidate)


def _mixed(x: Gates, s: State, U: Any, f: Tensor, candidate: Wrap) -> State:
    proposed = candidate(tanh(x.h + U.only("h")(f * s.h).h))
    return State(h=(1 - f) * s.h + f * proposed)


@named("MGU", variants=[{}, {"variant": 1}, {"variant": 2}, {"variant": 3}])
def named_mgu(*, variant: int = 0) -> Cell:
    """The minimal gated unit: h' = (1 - f) h + f tanh(W_h x + U_h (f h) + b_h), f = sigmoid(W_f x + U_f h + b_f).

    An open f writes, though it is called the forget gate: that is the paper's sign; some libraries have the opposite (Flax).

    Sources: Zhou et al. 2016, arXiv 1603.09420; its forms MGU1 to MGU3: Heck & Salem 2017, arXiv 1701.03452.

    Args:
        variant: 0 for the unit itself; 1, 2 and 3 for f = sigmoid(U_f h + b_f), f = sigmoid(U_f h) and f = sigmoid(b_f). In the
            last two f is not a gate of the layer, so that `forget_bias` and chrono initialisation cannot act on it.
    """
    forms = (mgu, mgu1, mgu2, mgu3)
    if isinstance(variant, bool) or variant not in range(len(forms)):
        raise CellError(f"variant expected 0 for MGU, or 1, 2 or 3 for MGU1 to MGU3, got {variant!r}")
    return forms[variant]
