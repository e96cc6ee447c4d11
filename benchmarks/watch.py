"""What insight costs while a model trains: `python -m benchmarks.watch` says every how many updates it takes 5 % of the time.

The sizes are those of the demo, `ostinato train lm`; a measurement sees the whole batch, or some rows of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import nn

import ostinato
from ostinato.insight import Watch

SHARE = 0.05


class Reader(nn.Module):
    """Embedding, LSTM, output: ids (T, B) to the mean cross entropy of the next."""

    def __init__(self, vocabulary: int, embedding: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.recurrent = ostinato.LSTM(embedding, hidden, layers)
        self.output = nn.Linear(hidden, vocabulary)

    def loss(self, ids: torch.Tensor) -> torch.Tensor:
        """`ids`: (T + 1, B)."""
        logits = self.output(self.recurrent(self.embedding(ids[:-1]))[0])
        return nn.functional.cross_entropy(logits.flatten(0, 1), ids[1:].flatten())


def seconds(call: Callable[[], Any], rounds: int) -> float:
    """The median of so many calls, after two that do not count."""
    took = []
    for _ in range(rounds + 2):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return median(took[2:])


def table(
    *, V: int = 100, E: int = 128, H: int = 384, L: int = 1, T: int = 24, B: int = 48, rounds: int = 15
) -> list[str]:
    """The lines that are printed; the letters are those of `ostinato.types`, and E is the width of the embedding."""
    torch.manual_seed(0)
    model = Reader(V, E, H, L)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    ids = torch.randint(V, (T + 1, B))

    def update() -> None:
        optimizer.zero_grad()
        model.loss(ids).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    step_s = seconds(update, rounds)
    lines = [f"an update of E {E}, H {H}, L {L}, T {T}, B {B}: {1e3 * step_s:.1f} ms"]
    for rows in sorted({B, max(B // 3, 1), max(B // 6, 1)}, reverse=True):
        cost_s = seconds(Watch(model, ids[:, :rows]).measure, rounds)
        every = -(-cost_s * (1 - SHARE) // (SHARE * step_s))
        lines.append(
            f"  measured on {rows} rows: {1e3 * cost_s:.1f} ms, {SHARE:.0%} of the time every {every:.0f} updates"
        )
    return lines


if __name__ == "__main__":
    for size in ({}, {"T": 100}, {"L": 2, "T": 35, "B": 20, "H": 650, "E": 650, "V": 10_000, "rounds": 3}):
        print("\n".join(table(**size)), flush=True)
