"""Every built-in cell, every option, and which of them do not go together: what the contract tests run over."""

from __future__ import annotations

from typing import Any

import torch

from ostinato import (
    GRU,
    LSTM,
    RHN,
    RNN,
    GRUCell,
    LSTMCell,
    MinGRU,
    MinGRUCell,
    MinLSTM,
    MinLSTMCell,
    Recurrent,
    RHNCell,
    RNNCell,
    chrono,
    noisy,
)
from ostinato.nn import StepOptions

CELLS = (
    *("rnn_tanh", "rnn_relu", "rnn_sigmoid", "lstm", "gru", "gru_reset_before"),
    *("rhn_2", "min_gru", "min_lstm", "min_lstm_positive"),
)

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "zoneout": {"zoneout": 0.3},
    "recurrent_dropout": {"recurrent_dropout": 0.3},
    "variational_dropout": {"variational_dropout": (0.2, 0.3, 0.2)},
    "weight_dropout": {"weight_dropout": 0.3},
    "layer_norm": {"layer_norm": True},
    "peephole": {"peephole": True},
    "coupled_gates": {"coupled_gates": True},
    "residual": {"connection": "residual"},
    "highway": {"connection": "highway"},
    "forget_bias": {"forget_bias": 1.5},
    "xavier": {"init": "xavier"},
    "orthogonal": {"init": "orthogonal"},
    "chrono": {"init": chrono(20)},
    "learned": {"initial_state": "learned"},
    "noisy": {"initial_state": noisy(0.3)},
}

_NO_GATES = {"recurrent_dropout", "forget_bias", "chrono", "peephole", "coupled_gates"}
_NO_PRODUCT = {"variational_dropout", "weight_dropout"}
NOT_FOR: dict[str, set[str]] = {
    "rnn_tanh": _NO_GATES,
    "rnn_relu": _NO_GATES,
    "rnn_sigmoid": _NO_GATES,
    "lstm": set(),
    "gru": {"peephole", "coupled_gates"},
    "gru_reset_before": {"peephole", "coupled_gates"},
    "rhn_2": {"peephole", "coupled_gates"},
    "min_gru": {"peephole", "coupled_gates", *_NO_PRODUCT},
    "min_lstm": {"peephole", *_NO_PRODUCT},
    "min_lstm_positive": {"peephole", *_NO_PRODUCT},
}
PAIRS = [(name, option) for name in CELLS for option in OPTIONS if option not in NOT_FOR[name]]
REFUSED = [(name, option) for name in CELLS for option in OPTIONS if option in NOT_FOR[name]]


def layer(name: str, *args: Any, **options: Any) -> Recurrent:
    """A layer of this cell by its public class: `layer("rnn_tanh", input_size, hidden_size, num_layers, ...)`."""
    if name.startswith("rnn_"):
        return RNN(*args, nonlinearity=name.removeprefix("rnn_"), **options)
    if name.startswith("gru"):
        return GRU(*args, reset_after=name == "gru", **options)
    if name.startswith("rhn_"):
        return RHN(*args, depth=int(name.removeprefix("rhn_")), **options)
    if name.startswith("min_"):
        kind = MinGRU if name.startswith("min_gru") else MinLSTM
        return kind(*args, positive=name.endswith("_positive"), **options)
    return LSTM(*args, **options)


def step(name: str, *args: Any, **options: Any) -> torch.nn.RNNCellBase:
    """The same cell as a single step: `step("rnn_tanh", input_size, hidden_size, ...)`."""
    if name.startswith("rnn_"):
        return RNNCell(*args, nonlinearity=name.removeprefix("rnn_"), **options)
    if name.startswith("gru"):
        return GRUCell(*args, reset_after=name == "gru", **options)
    if name.startswith("rhn_"):
        return RHNCell(*args, depth=int(name.removeprefix("rhn_")), **options)
    if name.startswith("min_"):
        kind = MinGRUCell if name.startswith("min_gru") else MinLSTMCell
        return kind(*args, positive=name.endswith("_positive"), **options)
    return LSTMCell(*args, **options)


STEP_PAIRS = [(name, option) for name, option in PAIRS if OPTIONS[option].keys() <= StepOptions.__annotations__.keys()]
