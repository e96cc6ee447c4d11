"""Small models, well and ill, of torch.nn's layers and of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import ostinato

# Each fault is shown on both.
KINDS: dict[str, Any] = {"torch": torch.nn, "ours": ostinato}
T, B, I, H, V = 24, 10, 4, 16, 8  # noqa: E741 - the glossary's letters


class Classifier(nn.Module):
    """A class for each row, from the output at the last step, or from its mean over all steps."""

    def __init__(self, layer: nn.Module, classes: int = 3, width: int = H, *, mean: bool = False):
        super().__init__()
        self.layer, self.output, self.mean = layer, nn.Linear(width, classes), mean

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.layer(x)[0]
        return self.output(h.mean(0) if self.mean else h[-1])


class Reader(nn.Module):
    """The next token at every step; the state is given back."""

    def __init__(self, layer: nn.Module, tokens: int = V):
        super().__init__()
        self.embedding, self.layer, self.output = nn.Embedding(tokens, I), layer, nn.Linear(H, tokens)

    def loss(self, batch: tuple[torch.Tensor, torch.Tensor], state: Any = None) -> tuple[torch.Tensor, Any]:
        h, state = self.layer(self.embedding(batch[0]), state)
        return F.cross_entropy(self.output(h).flatten(0, 1), batch[1].flatten()), state


def rows(seed: int = 0, features: int = I, steps: int = T) -> tuple[torch.Tensor, torch.Tensor]:
    """Normal numbers, (T, B, I), and a class that the first steps tell."""
    x = torch.randn(steps, B, features, generator=torch.Generator().manual_seed(seed))
    return x, (x[-3:, :, 0].sum(0) > 0).long()


def row_loss(model: Any, batch: Any) -> torch.Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


def chunk(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens that count up modulo V, from a place of its own in each row, and those that follow; (T, B) both."""
    steps = torch.arange(number * T, (number + 1) * T + 1)[:, None] + torch.arange(B) * 3
    ids = (steps + steps // V) % V  # every round begins one later
    return ids[:-1], ids[1:]


@dataclass
class Trained:
    model: nn.Module
    optimizer: torch.optim.Optimizer
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def told(self) -> dict[str, Any]:
        """All that the doctor can be told."""
        return {
            "next_batch": chunk(1),
            "optimizer": self.optimizer,
            "history": self.history,
            "clip_norm": 1.0,
            "batch_first": False,
            "lengths": [T] * B,
            "figures": {"nats_per_token": 0.1},
            "baselines": {"Markov, order 1": {"nats_per_token": 0.2}},
        }


def trained(layer: nn.Module, *, updates: int = 220, lr: float = 5e-3, tokens: int = V) -> Trained:
    torch.manual_seed(1)
    model = Reader(layer, tokens)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    one = Trained(model, optimizer)
    state: Any = None
    for step in range(1, updates + 1):
        loss, state = model.loss(chunk(step - 1), state)
        state = tuple(each.detach() for each in state) if isinstance(state, tuple) else state.detach()
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 10 == 0:
            one.history.append({"step": step, "loss": float(loss.detach()), "gradient_norm": float(norm)})
        if step % 55 == 0:
            one.history.append({"step": step, "validation_loss": float(loss.detach())})
    return one


def lines(**columns: Sequence[float]) -> list[dict[str, float]]:
    """A history of these columns."""
    return [
        dict(zip(("step", *columns), (10 * at, *values), strict=True))
        for at, values in enumerate(zip(*columns.values(), strict=True))
    ]
