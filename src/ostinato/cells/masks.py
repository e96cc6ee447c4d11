"""Fast random masks of kept units: masks for all steps have as many numbers as the output, and torch draws them one by one."""

from __future__ import annotations

import math

import numpy as np
import torch

from ostinato.recorded import is_recorded
from ostinato.types import Tensor

_LEVELS = 1 << 16
_FEW = 1 << 10  # for fewer numbers torch, which draws one by one, is as fast
_MANY = 1 << 15  # from this count on a separate generator saves more time than its creation costs


def kept_units(shape: tuple[int, ...], probability: float, like: Tensor) -> Tensor:
    """A random mask: one with this probability, else zero.

    On CPU sixteen bits decide on a unit, so the probability is exact to 2^-17; if that is too coarse for the probability, torch
    draws. The bits come from torch's generator; if many are needed, from numpy's SFC64, seeded by torch's generator. So
    `torch.manual_seed` repeats them.

    Args:
        shape: the shape of the mask.
        probability: the probability that a unit is kept, in [0, 1].
        like: gives the dtype and the device.
    """
    if is_recorded() and not torch.compiler.is_compiling():
        # Not in place, so that torch.vmap can draw a mask for each example.
        return torch.full(shape, probability, dtype=like.dtype, device=like.device).bernoulli()
    if is_recorded() or like.device.type != "cpu":
        return torch.empty(shape, dtype=like.dtype, device=like.device).bernoulli_(probability)
    level, count = round(probability * _LEVELS), math.prod(shape)
    if count < _FEW or min(level, _LEVELS - level) < _LEVELS // 256:
        return torch.empty(shape, dtype=like.dtype, device=like.device).bernoulli_(probability)
    wanted = -(-count // 4)
    if count < _MANY:
        words = torch.empty(wanted, dtype=torch.int64, device="cpu").random_(-(1 << 63), None)
    else:
        seed = int(torch.randint(torch.iinfo(torch.int64).max, (), device="cpu"))
        words = torch.as_tensor(np.random.SFC64(seed).random_raw(wanted).view(np.int64), device="cpu")
    mask = torch.empty(count, dtype=like.dtype, device="cpu")
    return torch.lt(words.view(torch.int16)[:count], level - _LEVELS // 2, out=mask).view(shape)
