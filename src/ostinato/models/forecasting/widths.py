"""Turning numbers of an output layer into widths of distributions, and back."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

LEAST_WIDTH = 1e-3  # in the scale of the window: rounded data repeat exactly, and the density needs a bound
START = math.log(math.expm1(0.3))  # its softplus is 0.3: a step is a part of a window's spread


def width_of(raw: torch.Tensor) -> torch.Tensor:
    """The width, above 0."""
    return F.softplus(raw + START) + LEAST_WIDTH


def raw_width(width: torch.Tensor) -> torch.Tensor:
    """The inverse of `width_of`; for a width near 0, a number that training can still move."""
    return unsoftened((width - LEAST_WIDTH).clamp_min(LEAST_WIDTH)) - START


def unsoftened(v: torch.Tensor) -> torch.Tensor:
    """The inverse of softplus, for numbers above 0; written with expm1(-v), as expm1(v) would overflow."""
    return v + (-torch.expm1(-v)).log()
