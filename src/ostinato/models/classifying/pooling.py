"""Pooling: one vector from the outputs of a recurrent layer at all steps, the many-to-one of a classifier.

| pooling | vector of a row with n steps h_1 .. h_n |
| --- | --- |
| last | h_n; of two directions, each one's own last: the forward half of h_n and the backward half of h_1 |
| mean | (h_1 + ... + h_n) / n |
| max | the largest of each unit over the steps |
| attention | sum of a_t h_t with a = softmax over t of v . tanh(W h_t + b): one vector v asks all steps the same question |

Steps past a row's end do not count. A row without steps gets zeros.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.nn.lengths import moved, takes_lists
from ostinato.types import Lengths

PoolingName: TypeAlias = Literal["last", "mean", "max", "attention"]
POOLINGS: tuple[PoolingName, ...] = ("last", "mean", "max", "attention")


class Pooling(nn.Module):
    """Gives one vector a sequence; see the table of the module.

    Source: attention is that of Yang et al. 2016, "Hierarchical attention networks", equations 5 to 7, over words.

    Args:
        name: the kind of pooling.
        size: F, the units of each step, in all directions together.
        directions: 1, or 2 if the second half of the units has run backwards.

    Raises:
        ConfigError: an unknown name.
    """

    def __init__(self, name: PoolingName, size: int, directions: int = 1):
        super().__init__()
        if name not in POOLINGS:
            raise ConfigError(f"pooling: expected one of {', '.join(POOLINGS)}, got {name}")
        self.name, self.size, self.directions = name, size, directions
        if name == "attention":
            self.key = nn.Linear(size, size)
            self.query = nn.Linear(size, 1, bias=False)

    def extra_repr(self) -> str:
        """The name."""
        return self.name

    @takes_lists
    def forward(self, h: torch.Tensor, lengths: Lengths | None = None) -> torch.Tensor:
        """Pools (T, B, F) to (B, F).

        Args:
            h: the outputs at every step.
            lengths: (B,) int64 from 0 to T, the steps that count; None for all.
        """
        lengths = (
            h.new_full(h.shape[1:2], h.shape[0], dtype=torch.int64) if lengths is None else moved(lengths, h.device)
        )
        if self.name == "last":
            return self._last(h, lengths)
        past = _past_the_end(h, lengths)[..., None]  # (T, B, 1)
        if self.name == "max":
            return h.masked_fill(past, -torch.inf).amax(0).masked_fill((lengths == 0)[:, None], 0.0)
        h = h.masked_fill(past, 0.0)  # no product, as padding may be NaN, and 0 times NaN is NaN
        if self.name == "mean":
            return h.sum(0) / lengths.clamp_min(1)[:, None]
        return (self.weights(h, lengths)[..., None] * h).sum(0)

    @takes_lists
    def weights(self, h: torch.Tensor, lengths: Lengths | None = None) -> torch.Tensor:
        """The attention weight of each step: (T, B), with a sum of 1 over a row's steps; zeros for a row without steps.

        Raises:
            ConfigError: the pooling is another one.
        """
        if self.name != "attention":
            raise ConfigError(f"expected pooling attention, whose steps have weights, got {self.name}")
        scores = self.query(torch.tanh(self.key(h))).squeeze(-1)
        if lengths is None:
            return scores.softmax(0)
        past = _past_the_end(h, moved(lengths, h.device))
        # The lowest number instead of minus infinity, with which a row without steps would be 0 / 0.
        weights = scores.masked_fill(past, torch.finfo(scores.dtype).min).softmax(0)
        return weights.masked_fill(past, 0.0)

    # step by step

    def begin(self, rows: int, like: torch.Tensor) -> dict[str, torch.Tensor]:
        """The memory of so many rows before their first step, `(rows, ...)` by name, for `go_on`."""
        zeros, none = like.new_zeros(rows, self.size), like.new_zeros(rows, 1)
        lowest = -torch.inf
        return {
            "last": {},
            "mean": {"sum": zeros, "steps": none},
            "max": {"largest": zeros + lowest},
            "attention": {"weighted": zeros, "weights": none, "largest": none + lowest},
        }[self.name]

    def go_on(self, before: dict[str, torch.Tensor], h: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Takes one more step of a direction, `(n, F)`; returns the new memory, and the steps so far pooled, `(n, F)`.

        Attention is summed up beside its largest score so far, so that nothing overflows (Milakov & Gimelshein 2018, arXiv
        1805.02867, algorithm 3).
        """
        if self.name == "mean":
            after = {"sum": before["sum"] + h, "steps": before["steps"] + 1}
            return after, after["sum"] / after["steps"]
        if self.name == "max":
            largest = torch.maximum(before["largest"], h)
            return {"largest": largest}, largest
        if self.name == "attention":
            score = self.query(torch.tanh(self.key(h)))
            largest = torch.maximum(before["largest"], score)
            old, new = (before["largest"] - largest).exp(), (score - largest).exp()
            weighted, weights = old * before["weighted"] + new * h, old * before["weights"] + new
            return {"weighted": weighted, "weights": weights, "largest": largest}, weighted / weights
        return {}, h

    def _last(self, h: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        forward = self.size // self.directions
        last = h[(lengths - 1).clamp_min(0), torch.arange(h.shape[1], device=h.device)]
        if self.directions > 1:
            last = torch.cat((last[:, :forward], h[0, :, forward:]), -1)
        return last.masked_fill((lengths == 0)[:, None], 0.0)


def _past_the_end(h: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Which steps are past a row's end, (T, B) bool."""
    return torch.arange(h.shape[0], device=h.device)[:, None] >= lengths
