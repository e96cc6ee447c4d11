"""A Gaussian distribution of the next value."""

from __future__ import annotations

import math

import torch

from ostinato.models.forecasting.widths import raw_width, width_of


class Gaussian:
    """N(m, s), s = softplus(.); the loss is its negative log density in nats."""

    size, reads_frame, is_count, middle_is = 2, False, False, "median"

    def width(self, raw: torch.Tensor) -> torch.Tensor:
        """The deviation (...), from the head's numbers (..., K)."""
        return width_of(raw[..., 1])

    def start(self, changes: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.start`; the deviation is measured from the median."""
        median = changes.median()
        return torch.stack([median, raw_width((changes - median).square().mean().sqrt())])

    def loss(self, raw: torch.Tensor, change: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.loss`."""
        width = self.width(raw)
        return 0.5 * ((change - raw[..., 0]) / width).square() + width.log() + 0.5 * math.log(2.0 * math.pi)

    def sample(self, raw: torch.Tensor, uniform: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.sample`."""
        return raw[:, 0] + self.width(raw) * torch.special.ndtri(uniform[0])

    def middle(self, raw: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.middle`."""
        return raw[:, 0]

    def surprise(self, raw: torch.Tensor, change: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.surprise`."""
        return 0.5 * ((change - raw[..., 0]) / self.width(raw)).square()
