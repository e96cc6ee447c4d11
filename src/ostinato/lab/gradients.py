"""Gradients at every state of a recurrence, which is run step by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ostinato.types import Tensor

FLOOR = 1e-3  # below this share of its size at distance 1 a gradient counts as gone


def state_gradients(step: Callable[[Tensor, Any], Any], x: Tensor, first: Any) -> list[list[float]]:
    """The size of the gradient at each earlier state, for a random direction of the last state.

    L = v . h_T with a random unit vector v for each row, so ||dL/ds_t|| is ||v^T dh_T/ds_t||: the size of a vector
    after a product of T - t Jacobians.

    Args:
        step: (x_t (B, I), state) -> state; a state is (B, H) or a tuple of such, h first.
        x: (T, B, I).
        first: the state before the first step.

    Returns:
        For each part of the state, and last for the whole state, ||dL/ds_t|| by distance T - t = 0 ... T, as a root
        mean square over the rows.
    """
    state = _with_gradient(first)
    states = [state]
    for x_t in x:
        state = step(x_t, state)
        states.append(state)
    last = states[-1][0] if isinstance(state, tuple) else state
    v = torch.randn_like(last)
    loss = (v / v.norm(dim=-1, keepdim=True) * last).sum()
    parts = [list(s) if isinstance(s, tuple) else [s] for s in states]
    flat = [part for each in parts for part in each]
    found = torch.autograd.grad(loss, flat, allow_unused=True)
    squares = [0.0 if g is None else float(g.square().sum(-1).mean()) for g in found]
    count = len(parts[0])
    by_part = [[math.sqrt(s) for s in squares[n::count]][::-1] for n in range(count)]
    whole = [math.sqrt(sum(squares[n * count : (n + 1) * count])) for n in range(len(parts))][::-1]
    return [*by_part, whole]


def _with_gradient(state: Any) -> Any:
    if isinstance(state, tuple):
        return tuple(part.detach().requires_grad_() for part in state)
    return state.detach().requires_grad_()


def reach(norms: Sequence[float], floor: float = FLOOR) -> int:
    """The first distance at which the gradient is below `floor` times that at distance 1; if none is, the last."""
    return next((d for d, norm in enumerate(norms) if d > 1 and norm < floor * norms[1]), len(norms) - 1)


def slope(norms: Sequence[float], start: int = 0) -> float:
    """The change in powers of ten a step: the least-squares slope of log10(norm) from distance `start` on.

    Distances with a gradient of zero are left out.
    """
    points = [(d, math.log10(norm)) for d, norm in enumerate(norms) if d >= start and norm > 0]
    if len(points) < 2:
        return -math.inf
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
