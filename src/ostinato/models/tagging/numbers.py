"""Steps that are numbers already: what a tagger of recordings has in the place of an embedding."""

from __future__ import annotations

import torch
from torch import nn

from ostinato.errors import ConfigError


class Numbers(nn.Module):
    """Gives what it gets, (T, B, I) or (B, I).

    Args:
        size: I, numbers of a step; at least 1.

    Raises:
        ConfigError: it is smaller.
    """

    def __init__(self, size: int):
        super().__init__()
        if size < 1:
            raise ConfigError(f"size: expected at least 1, got {size}")
        self.embedding_dim = size

    def extra_repr(self) -> str:
        """The size."""
        return str(self.embedding_dim)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The same."""
        return input
