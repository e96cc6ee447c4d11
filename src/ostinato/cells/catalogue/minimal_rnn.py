"""MinimalRNN: one gate mixes the old state with a map of the input."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity

__all__ = ["minimal_rnn"]


# The rows of z in `weight_ih` make z itself; its rows in `weight_hh` are U_z, with which the gate u reads z.
@cell(gates="u z", states="h", inputs="z", keep="u", source="Chen 2017, arXiv 1711.06788")
def minimal_rnn(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
    """h' = u h + (1 - u) z, with z = tanh(W x + b_z) and u = sigmoid(U_h h + U_z z + b_u)."""
    z = tanh(x.z)
    u = sigmoid(U.only("u")(s.h).u + U.only("z")(z).z)
    return State(h=u * s.h + (1 - u) * candidate(z))


@named("MinimalRNN")
def named_minimal_rnn() -> Cell:
    """MinimalRNN: h' = u h + (1 - u) z, with z = tanh(W x + b_z) and u = sigmoid(U_h h + U_z z + b_u).

    `weight_hh` has U_h in the rows of u and U_z in those of z. z is the paper's map of the input, in the form that the paper
    studies: one layer with tanh.

    Source: Chen 2017, arXiv 1711.06788, MinimalRNN: toward more interpretable and trainable recurrent neural networks.
    """
    return minimal_rnn
