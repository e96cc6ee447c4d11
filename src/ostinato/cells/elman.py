"""The simple recurrent network of Elman (1990), with three nonlinearities."""

from __future__ import annotations

from typing import Any

from torch import relu, sigmoid, tanh

from ostinato.cells.named import Gates, State
from ostinato.cells.spec import cell

SOURCE = "Elman 1990, Finding Structure in Time"


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


BY_NONLINEARITY = {"tanh": rnn_tanh, "relu": rnn_relu, "sigmoid": rnn_sigmoid}
