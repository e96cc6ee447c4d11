"""Gradient clipping, against exploding gradients."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.nn import utils


def clip(parameters: Iterable[torch.Tensor], *, norm: float | None = None, value: float | None = None) -> torch.Tensor:
    """Clip the gradients of `parameters` in place and return their norm before clipping.

    By norm (Pascanu et al. 2013, arXiv 1211.5063, algorithm 1): if ||g|| > norm, g becomes g norm / ||g||, with ||g|| over all
    parameters together; the direction is kept. By value: each element is limited to [-value, value]; the direction may change.
    With both, the norm is clipped first.

    Args:
        parameters: tensors; those without a gradient are ignored.
        norm: the largest Euclidean norm allowed, above 0; None for any.
        value: the largest absolute value allowed, above 0; None for any.

    Returns:
        The Euclidean norm before clipping, a scalar tensor on the device of the gradients (reading it may wait for the device).
    """
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    before = utils.get_total_norm([p.grad for p in with_gradient if p.grad is not None])
    if norm is not None:
        utils.clip_grads_with_norm_(with_gradient, norm, before)
    if value is not None:
        utils.clip_grad_value_(with_gradient, value)
    return before
