"""The Python loop that a user would write: a cell of torch.nn, called once for every time step."""

from __future__ import annotations

import torch


class Loop(torch.nn.Module):
    """One layer of torch.nn, step by step.

    Args:
        layer: a `torch.nn.RNN`, `LSTM` or `GRU` of one layer, whose parameters are copied.
    """

    def __init__(self, layer: torch.nn.RNNBase) -> None:
        super().__init__()
        self.cell = getattr(torch.nn, f"{type(layer).__name__}Cell")(layer.input_size, layer.hidden_size)
        self.cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(T, B, I)` to `(T, B, H)`."""
        state, outputs = None, []
        for x_t in x.unbind(0):
            state = self.cell(x_t, state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outputs)
