"""Dropout: plain, with one mask for all steps, and of whole words."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ostinato.cells.masks import kept_units
from ostinato.errors import ConfigError
from ostinato.recorded import is_recorded


def check_rate(name: str, rate: float) -> None:
    """Raises a ConfigError unless `rate` is from 0 to below 1."""
    if not 0.0 <= rate < 1.0:
        raise ConfigError(f"{name}: expected a rate from 0 to below 1, got {rate}")


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` with a mask that is drawn faster on CPUs, where torch's takes longer than a small layer.

    `torch.manual_seed` repeats the masks; they are not those of torch.

    Args:
        rate: share of numbers dropped in training, from 0 to below 1.

    Raises:
        ConfigError: the rate is out of its range.
    """

    def __init__(self, rate: float):
        check_rate("rate", rate)
        super().__init__(rate)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Takes any shape."""
        if not self.training or self.p == 0.0 or input.device.type != "cpu" or is_recorded():
            return super().forward(input)
        kept = 1.0 - self.p
        return input * kept_units(tuple(input.shape), kept, input).div_(kept)


class LockedDropout(nn.Module):
    """Dropout whose mask is drawn once for a sequence: every step of a row drops the same units.

        y_t = m * x_t / (1 - rate),   m ~ Bernoulli(1 - rate), one (B, F) for all t

    Source: Gal & Ghahramani 2016, arXiv 1512.05287, section 4 ("variational"); Merity et al. 2017, arXiv 1708.02182, 4.2.

    Args:
        rate: share of units dropped in training, from 0 to below 1.

    Raises:
        ConfigError: the rate is out of its range.
    """

    def __init__(self, rate: float):
        super().__init__()
        check_rate("rate", rate)
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(T, B, F) to (T, B, F)."""
        if not self.training or self.rate == 0.0:
            return x
        return x * F.dropout(torch.ones_like(x[0]), self.rate)


class WordDropout(nn.Module):
    """Embedding dropout: a word is dropped wherever it occurs, and the words that stay are scaled by 1 / (1 - rate).

    The mask is over the vocabulary, so that a word is dropped or kept in all places and rows of a call.

    Source: Gal & Ghahramani 2016, section 4.2, who draw a mask for each row; Merity et al. 2017, section 4.3, who draw
    one for all rows, as here.

    Args:
        rate: share of the vocabulary dropped in training, from 0 to below 1.

    Raises:
        ConfigError: the rate is out of its range.
    """

    def __init__(self, rate: float):
        super().__init__()
        check_rate("rate", rate)
        self.rate = rate

    def forward(self, x: torch.Tensor, ids: torch.Tensor, vocabulary_size: int) -> torch.Tensor:
        """Zeroes the vectors of dropped words, and scales the others.

        Args:
            x: (T, B, E), the embeddings of `ids`.
            ids: (T, B) int64.
            vocabulary_size: V.
        """
        if not self.training or self.rate == 0.0:
            return x
        mask = F.dropout(x.new_ones(vocabulary_size), self.rate)  # (V,)
        return x * mask[ids].unsqueeze(-1)
