"""Vectors for words among the inputs of a forecaster."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ostinato.errors import ConfigError


class WordVectors(nn.Module):
    """Columns of 0 and 1, one for each word of a kind, replaced by a vector for the word that is there.

    No word, as where it is missing or training never had it, is the vector 0; training hides words now and then, so that the model
    knows what to do without one.

    Args:
        spans: of each kind of words, its first column and the one behind its last.
        size: of the vectors, at least 1; smaller where there are fewer words.
        hidden_rate: how often training hides a kind of a row, from 0 to below 1.

    Raises:
        ConfigError: the spans are not one behind the other.
    """

    def __init__(self, spans: Sequence[tuple[int, int]], size: int, hidden_rate: float) -> None:
        super().__init__()
        ends = [0, *(at for span in spans for at in span)]
        if sorted(ends) != ends or any(first == end for first, end in spans):
            raise ConfigError(f"words: expected spans of columns, one behind the other, got {list(map(list, spans))}")
        self.spans, self.hidden_rate = tuple(spans), hidden_rate
        self.vectors = nn.ParameterList(
            [nn.Parameter(torch.randn(end - first, min(size, end - first))) for first, end in spans]
        )

    @property
    def grown(self) -> int:
        """How many columns more there are behind it; negative where fewer."""
        return sum(each.shape[1] - each.shape[0] for each in self.vectors)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., I) with the columns of words; (..., I + grown) with their vectors."""
        parts: list[torch.Tensor] = []
        at = 0
        for (first, end), vectors in zip(self.spans, self.vectors, strict=True):
            parts += [x[..., at:first], self._there(x[..., first:end]) @ vectors]
            at = end
        return torch.cat([*parts, x[..., at:]], -1)

    def _there(self, words: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.hidden_rate:
            return words
        hidden = torch.rand(words.shape[-2], device=words.device) < self.hidden_rate  # a row, at all of its steps
        return words.masked_fill(hidden.unsqueeze(-1), 0.0)
