"""An encoder for steps that are numbers: a tagger of recordings has it in place of an embedding."""

from __future__ import annotations

import torch
from torch import nn

from ostinato.errors import ConfigError


class Numbers(nn.Module):
    """Returns its input, (T, B, I) or (B, I), unchanged.

    Args:
        size: I, the numbers of a step; at least 1.

    Raises:
        ConfigError: the size is smaller.
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
        """Returns the input."""
        return input
