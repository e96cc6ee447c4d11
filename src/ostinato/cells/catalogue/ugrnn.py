"""The update gate RNN: Elman's network with a gate that keeps."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity

__all__ = ["ugrnn"]


@cell(
    gates="g c",
    states="h",
    keep="g",
    forget_bias=1.0,
    source="Collins, Sohl-Dickstein & Sussillo 2017, arXiv 1611.09913, (2) to (4)",
)
def ugrnn(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
    """h' = g h + (1 - g) tanh(W_c x + U_c h + b_c), with g = sigmoid(W_g x + U_g h + b_g)."""
    u = U(s.h)
    g = sigmoid(x.g + u.g)
    return State(h=g * s.h + (1 - g) * candidate(tanh(x.c + u.c)))


@named("UGRNN")
def named_ugrnn() -> Cell:
    """The update gate RNN: h' = g h + (1 - g) tanh(W_c x + U_c h + b_c), g = sigmoid(W_g x + U_g h + b_g).

    `forget_bias` is 1.0 by default. The paper adds a constant to b_g and finds it by a search; it is 1 in the authors' code in
    TensorFlow (`tf.contrib.rnn.UGRNNCell`). Here b_g starts at that constant. The paper also chooses the nonlinearity, tanh or
    ReLU, by a search; this is tanh. The paper learns the first state, as `initial_state="learned"` does.

    Source: Collins, Sohl-Dickstein & Sussillo 2017, arXiv 1611.09913, Capacity and trainability in recurrent neural networks,
    (2) to (4).
    """
    return ugrnn
