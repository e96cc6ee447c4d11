"""Models for the tests of this room: with an embedding, several layers, dropout and a normalisation around the recurrence."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import ostinato

KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "rnn": (torch.nn.RNN, ostinato.RNN, {}),
    "rnn_relu": (torch.nn.RNN, ostinato.RNN, {"nonlinearity": "relu"}),
    "lstm": (torch.nn.LSTM, ostinato.LSTM, {}),
    "lstm_proj": (torch.nn.LSTM, ostinato.LSTM, {"proj_size": 2}),
    "gru": (torch.nn.GRU, ostinato.GRU, {}),
}


class Tagger(nn.Module):
    """Embedding, recurrence, normalisation with buffers, dropout, output; ids (T, B) to (T, B, V)."""

    def __init__(self, layer: Any, size: int, output: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, size)
        self.recurrent = layer
        self.norm = nn.BatchNorm1d(output)
        self.dropout = nn.Dropout(0.25)
        self.output = nn.Linear(output, 7)
        self.calls = 0

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        h = self.recurrent(self.embedding(ids))[0]
        h = self.norm(h.flatten(0, 1)).view(h.shape)
        return self.output(self.dropout(h))


def tagger_loss(model: Any, ids: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(model(ids)[:-1].flatten(0, 1), ids[1:].flatten())


def square_loss(model: Any, x: Any) -> torch.Tensor:
    return model(x)[0].square().sum()


class Loop(nn.Module):
    """A single-step cell in a loop of the user's own."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        outputs, state = [], None
        for v in x:
            state = self.cell(v, state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return (torch.stack(outputs),)
