"""The addition-subtraction twin-gated network: two products, and gates that are their sum and their difference."""

from __future__ import annotations

from typing import Any

from torch import sigmoid

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity

__all__ = ["atr"]


@cell(gates="p", states="h", source="Zhang et al. 2018, arXiv 1810.12546")
def atr(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
    """h' = sigmoid(p + q) p + sigmoid(p - q) h, with p = W x and q = U h."""
    p, q = x.p, U(s.h).p
    return State(h=sigmoid(p + q) * candidate(p) + sigmoid(p - q) * s.h)


@named("ATR")
def named_atr() -> Cell:
    """The addition-subtraction twin-gated network: h' = sigmoid(p + q) p + sigmoid(p - q) h, with p = W x + b and q = U h + b'.

    The paper has p = W x and q = U h (`bias=False` here); the authors' code adds a bias to q only. The second gate is that of the
    code (bzhangGo/ATR), where the authors say that the paper misprints it; with the paper's gate the state explodes. Their
    translation system also offers 1 - sigmoid(p - q) as the first gate, which they found more stable.

    Source: Zhang et al. 2018, arXiv 1810.12546, Simplifying neural machine translation with addition-subtraction twin-gated
    recurrent networks.
    """
    return atr
