"""The cell that neural architecture search found on Penn Treebank."""

from __future__ import annotations

from typing import Any

from torch import relu, sigmoid, tanh

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity

__all__ = ["nas"]


@cell(
    gates="n0 n1 n2 n3 n4 n5 n6 n7",
    states="h c",
    source="Zoph & Le 2017, arXiv 1611.01578, figure 8, unnumbered; as in TensorFlow's NASCell",
)
def nas(x: Gates, s: State, U: Any, candidate: Wrap = identity, memory: Wrap = identity) -> State:
    """Combine eight nodes, each made from the input and the state, as a tree; see `named_nas`."""
    u = U(s.h)
    a = sigmoid(x.n0 + u.n0) * relu(x.n1 + u.n1)
    b = sigmoid(x.n2 + u.n2) + relu(x.n3 * u.n3)
    d = tanh(x.n4 + u.n4) * sigmoid(x.n5 + u.n5)
    e = tanh(x.n6 + u.n6) + sigmoid(x.n7 + u.n7)
    c = tanh(candidate(tanh(a)) + s.c) * tanh(b)
    return State(h=tanh(memory(c) * tanh(tanh(d) + sigmoid(e))), c=c)


@named("NAS")
def named_nas() -> Cell:
    """The cell that neural architecture search has found: c' = tanh(tanh(a) + c) tanh(b); h' = tanh(c' tanh(tanh(d) + sigmoid(e))).

    With n_k = W_k x + U_k h + b_k, but for n_3 = (W_3 x + b_3) (U_3 h + b'_3): a = sigmoid(n_0) relu(n_1),
    b = sigmoid(n_2) + relu(n_3), d = tanh(n_4) sigmoid(n_5), e = tanh(n_6) + sigmoid(n_7).

    The paper draws the cell in figure 8, without equations; these are the equations of TensorFlow's `NASCell`
    (`tf.contrib.rnn.NASCell`). There biases are off by default (`bias=False` here), and are added to U h only.

    Source: Zoph & Le 2017, arXiv 1611.01578, Neural architecture search with reinforcement learning.
    """
    return nas
