"""`python -m benchmarks.language`: what heads, elapsed time and masks cost, beside the same cell without them, and beside LSTM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import ostinato
from benchmarks.timing import Subject, measure
from ostinato import catalogue, cells

T, B, H, INPUTS = 100, 32, 256, 64
PAIRS = (
    ("sLSTM, 4 heads", "sLSTM"),
    ("sLSTM, 4 heads", "LSTM"),
    ("LSTM, 4 heads", "LSTM"),
    # The equations of GRU-D have a GRU that resets before its product, and torch's GRU resets behind it.
    ("GRU-D", "GRU, reset before"),
    ("GRU-D", "GRU"),
)
OF_EXTRAS = (
    "decay_hidden",
    "weight_mask",
)  # matrices by which no gradient is multiplied, as none of the extras is wanted


@dataclass(frozen=True)
class Measured:
    """A layer and its training step.

    Attributes:
        step: what is timed.
        multiplied: numbers that are multiplied for a row and step: those of all matrices forward and for their own gradients, and
            once more for that of what they were multiplied with, where anybody wants it.
    """

    step: Callable[[], None]
    multiplied: int


def training_step(layer: Any, **extras: torch.Tensor) -> Measured:
    """Forward and backward over a batch, the input's gradient included."""
    x = torch.randn(T, B, layer.input_size, requires_grad=True)
    grad = torch.randn(T, B, layer.hidden_size)

    def step() -> None:
        layer.zero_grad(set_to_none=True)
        x.grad = None
        layer(x, **extras)[0].backward(grad)

    matrices = {name: p.numel() for name, p in layer.named_parameters() if p.dim() == 2}
    return Measured(step, sum((2 if name.startswith(OF_EXTRAS) else 3) * n for name, n in matrices.items()))


def subjects() -> dict[str, Measured]:
    """A training step of each by name: I = H, but for the GRUs, whose input is that of some sensors."""
    mask, dt = torch.rand(T, B, INPUTS).round(), torch.rand(T, B, INPUTS)
    return {
        "sLSTM, 4 heads": training_step(catalogue.make("slstm", H, H, num_heads=4)),
        "sLSTM": training_step(catalogue.make("slstm", H, H)),
        "LSTM, 4 heads": training_step(ostinato.LSTM(H, H, num_heads=4)),
        "LSTM": training_step(ostinato.LSTM(H, H)),
        "GRU-D": training_step(catalogue.make("grud", INPUTS, H), mask=mask, dt=dt),
        "GRU, reset before": training_step(ostinato.Recurrent(cells.gru_reset_before, INPUTS, H)),
        "GRU": training_step(ostinato.GRU(INPUTS, H)),
    }


def main(budget_s: float = 60.0) -> None:
    """Measure in turns and print."""
    every = subjects()
    for each in every.values():
        each.step()
    found = measure([Subject(n, each.step, 0) for n, each in every.items()], dict.fromkeys(every, 0.0), budget_s)
    headings = ("", "ms", "beside", "ms", "ratio", "of what is multiplied")
    table = Table(*headings, title=f"a training step, T={T} B={B} H={H}: medians")
    for name, other in PAIRS:
        a, b = found[name].median_s, found[other].median_s
        floor = every[name].multiplied / every[other].multiplied
        table.add_row(name, f"{a * 1e3:.1f}", other, f"{b * 1e3:.1f}", f"{a / b:.2f}", f"{floor:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
