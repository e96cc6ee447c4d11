"""How numbers of an output layer become widths of distributions, and back."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

LEAST_WIDTH = 1e-3  # in the scale of the window: rounded data repeat values exactly, and a density has no bound
START = math.log(math.expm1(0.3))  # softplus of it is 0.3: a step is a part of a window's spread


def width_of(raw: torch.Tensor) -> torch.Tensor:
    """Above 0."""
    return F.softplus(raw + START) + LEAST_WIDTH


def raw_width(width: torch.Tensor) -> torch.Tensor:
    """The inverse of `width_of`; of nearly none, a number that training can still move."""
    return unsoftened((width - LEAST_WIDTH).clamp_min(LEAST_WIDTH)) - START


def unsoftened(v: torch.Tensor) -> torch.Tensor:
    """The inverse of softplus, of numbers above 0; expm1(v) alone would overflow."""
    return v + (-torch.expm1(-v)).log()
