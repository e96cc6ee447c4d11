"""Changing sequences each time they are trained on: with few of them, training must show what may differ."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ostinato.errors import ConfigError
from ostinato.nn.lengths import as_tensor, takes_lists
from ostinato.types import Lengths

_POINTS = 6  # points of a row at which its speed is drawn
_SPEED, _CUT, _SCALE = 0.3, 0.1, 0.1
_FADES, _FADED = 0.6, 0.9  # shares of training: changes shrink from the first on, and end at the second


class Augmentation(nn.Module):
    """In training, reads each row of a batch at a changing speed, in part, and at another scale; else unchanged.

        y_t = a x(tau(t)),   tau' ~ exp(0.3 s g(t)),   a = 1 + 0.1 s n

    Everything is drawn anew for each row: g from N(0, 1) at six points along the row, linear between them, and n from
    N(0, 1). tau covers a stretch of the row, whose length is drawn from 1 - 0.1 s of the row to all of it, and the
    result has the row's length. Between two steps x is linear. `torch.manual_seed` repeats it.

    `fit` tells how far training is. From 0.6 of it on s shrinks, and after 0.9 rows stay unchanged: a pace or a height,
    which the changes blur, may be what tells classes apart.

    Source: Um et al. 2017, arXiv 1706.00527 (time-warping, scaling); Le Guennec, Malinowski & Tavenard 2016, "Data augmentation for
    time series classification using convolutional neural networks" (window slicing, window warping).

    Args:
        strength: s, at least 0; 0 changes nothing.

    Raises:
        ConfigError: the strength is not from 0 to 5.
    """

    def __init__(self, strength: float):
        super().__init__()
        if not 0.0 <= strength <= 5.0:
            raise ConfigError(f"augmentation: expected a number from 0 to 5, got {strength}")
        self.strength = float(strength)
        # A tensor, so that torch.compile does not make the value a constant of the program.
        self.register_buffer("left", torch.ones(()), persistent=False)

    left: torch.Tensor

    def follow_training(self, progress: float) -> None:
        """Called by `fit` before each update, with the share of training that is done, from 0 to 1."""
        self.left.fill_(min(max((_FADED - progress) / (_FADED - _FADES), 0.0), 1.0))

    @takes_lists
    def forward(self, input: torch.Tensor, lengths: Lengths | None = None) -> torch.Tensor:
        """Changes the rows, and keeps their lengths.

        Args:
            input: (T, B, I).
            lengths: (B,) integers from 0 to T; None for T each. Values past a row's end stay unchanged.
        """
        if not self.training or not self.strength or not len(input):
            return input
        T, B, _ = input.shape
        like, strength = {"dtype": torch.float32, "device": input.device}, self.strength * self.left
        n = torch.full((B,), T, device=input.device) if lengths is None else as_tensor(lengths).to(input.device)
        last = (n - 1).clamp_min(0)
        speed = F.interpolate(torch.randn(B, 1, _POINTS, **like), T, mode="linear", align_corners=True)[:, 0]
        time = (_SPEED * strength * speed).exp().cumsum(-1).t()  # (T, B), from the first step on
        time = (time - time[0]) / (time.gather(0, last[None]) - time[0]).clamp_min(1e-9)
        part = 1.0 - _CUT * strength * torch.rand(B, **like)
        place = (((1.0 - part) * torch.rand(B, **like) + part * time) * last).clamp_min(0.0)
        place = torch.minimum(place, last)
        before = place.floor().long()
        share = (place - before)[..., None].to(input.dtype)
        rows = torch.arange(B, device=input.device)
        read = torch.lerp(input[before, rows], input[torch.minimum(before + 1, last), rows], share)
        scale = 1.0 + _SCALE * strength * torch.randn(B, 1, **like)
        within = torch.arange(T, device=input.device)[:, None] < n
        return torch.where(within[..., None], read * scale.to(input.dtype), input)

    def extra_repr(self) -> str:
        """The strength, for `print`."""
        return f"strength={self.strength:g}"
