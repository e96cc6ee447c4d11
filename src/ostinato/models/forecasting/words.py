"""Vectors for words among the inputs of a forecaster."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ostinato.errors import ConfigError


class WordVectors(nn.Module):
    """Replaces columns of 0 and 1, one for each word of a kind, by a vector for the word that is present.

    If there is no word, because it is missing or training never had it, the vector is 0; training hides words now and
    then, so that the model knows what to do without one.

    Args:
        spans: for each kind of words, its first column and the one after its last.
        size: the size of the vectors, at least 1; smaller for a kind with fewer words.
        hidden_rate: how often training hides a kind of words in a row, from 0 to below 1.

    Raises:
        ConfigError: the spans are not in order, one after the other.
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
        """How many more columns the output has than the input; negative if fewer."""
        return sum(each.shape[1] - each.shape[0] for each in self.vectors)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Turns (..., I) with columns of words into (..., I + grown) with their vectors."""
        parts: list[torch.Tensor] = []
        at = 0
        for (first, end), vectors in zip(self.spans, self.vectors, strict=True):
            parts += [x[..., at:first], self._there(x[..., first:end]) @ vectors]
            at = end
        return torch.cat([*parts, x[..., at:]], -1)

    def _there(self, words: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.hidden_rate:
            return words
        hidden = torch.rand(words.shape[-2], device=words.device) < self.hidden_rate  # in a row, at all of its steps
        return words.masked_fill(hidden.unsqueeze(-1), 0.0)
