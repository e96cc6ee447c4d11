"""The simple recurrent network of Elman (1990), with three nonlinearities."""

from __future__ import annotations

from typing import Any

from torch import relu, sigmoid, tanh

from ostinato.cells.named import Gates, State
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell
from ostinato.errors import CellError

__all__ = ["rnn_relu", "rnn_sigmoid", "rnn_tanh"]

SOURCE = "Elman 1990, Finding Structure in Time, figure 2, unnumbered"


@cell(gates="h", states="h", source=SOURCE, vendor="RNN_TANH")
def rnn_tanh(x: Gates, s: State, U: Any) -> State:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh)."""
    return State(h=tanh(x.h + U(s.h).h))


@cell(gates="h", states="h", source=SOURCE, vendor="RNN_RELU")
def rnn_relu(x: Gates, s: State, U: Any) -> State:
    """h' = relu(W_ih x + b_ih + W_hh h + b_hh)."""
    return State(h=relu(x.h + U(s.h).h))


@cell(gates="h", states="h", source=SOURCE)
def rnn_sigmoid(x: Gates, s: State, U: Any) -> State:
    """h' = sigmoid(W_ih x + b_ih + W_hh h + b_hh); for comparison, its gradient is at most a quarter of tanh's."""
    return State(h=sigmoid(x.h + U(s.h).h))


_BY_NONLINEARITY = {"tanh": rnn_tanh, "relu": rnn_relu, "sigmoid": rnn_sigmoid}


@named("RNN", order=3, variants=[{"nonlinearity": name} for name in _BY_NONLINEARITY])
def named_rnn(nonlinearity: str = "tanh") -> Cell:
    """Elman's network: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Source: Elman 1990, Finding Structure in Time, which draws the network in figure 2 and describes it in words, without equations.
    There a unit's value is between 0 and 1 and the first state is 0.5 ("sigmoid" is nearest to it); tanh and a first state of zero
    are as in `torch.nn.RNN`.

    Args:
        nonlinearity: "tanh", "relu", or "sigmoid", which torch.nn does not have.
    """
    if nonlinearity not in _BY_NONLINEARITY:
        raise CellError(f"nonlinearity expected one of {', '.join(_BY_NONLINEARITY)}, got {nonlinearity!r}")
    return _BY_NONLINEARITY[nonlinearity]
