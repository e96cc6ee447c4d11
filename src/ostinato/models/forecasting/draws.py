"""Drawing counts by functions of uniform numbers: quantiles of the gamma and the Poisson distribution."""

from __future__ import annotations

import functools

import torch

_LEAST_SHAPE, _MOST_SHAPE = 1e-3, 8.0  # shapes of the table; above it, the cube of a Gaussian is close to the gamma
_SHAPES, _SCORES, _FARTHEST = 121, 241, 6.0
_FEW = 24.0  # a Poisson mean up to which its terms are summed


def gamma_quantile(shape: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """The quantile of Gamma(shape, 1).

    It comes from a table over shape and normal score, with an error of about a thousandth; above a shape of 8 from
    Wilson & Hilferty 1931, Proceedings of the National Academy of Sciences 17, 684-688.

    Args:
        shape: (N,), above 0.
        u: (N,), above 0 and below 1.
    """
    z = torch.special.ndtri(u).clamp(-_FARTHEST, _FARTHEST)
    part = 1.0 / (9.0 * shape.clamp_min(1.0))
    large = shape * (1.0 - part + z * part.sqrt()).clamp_min(0.0) ** 3
    table = _table().to(device=u.device, dtype=u.dtype)
    ends = torch.tensor([_LEAST_SHAPE, _MOST_SHAPE], dtype=u.dtype, device=u.device).log()
    row = (shape.log().clamp(ends[0], ends[1]) - ends[0]) / (ends[1] - ends[0]) * (_SHAPES - 1)
    column = (z + _FARTHEST) / (2.0 * _FARTHEST) * (_SCORES - 1)
    at_row, at_column = row.floor().clamp(0, _SHAPES - 2).long(), column.floor().clamp(0, _SCORES - 2).long()
    down, right = row - at_row, column - at_column
    upper = torch.lerp(table[at_row, at_column], table[at_row, at_column + 1], right)
    lower = torch.lerp(table[at_row + 1, at_column], table[at_row + 1, at_column + 1], right)
    small = torch.lerp(upper, lower, down).exp()
    return torch.where(shape > _MOST_SHAPE, large, small)


@functools.cache
def _table() -> torch.Tensor:
    """Logarithms of quantiles, (shapes, scores) float64, by bisection."""
    options = {"dtype": torch.float64, "device": "cpu"}
    edges = torch.tensor([_LEAST_SHAPE, _MOST_SHAPE], **options).log()
    shape = torch.linspace(float(edges[0]), float(edges[1]), _SHAPES, **options).exp()[:, None]
    score = torch.linspace(-_FARTHEST, _FARTHEST, _SCORES, **options)[None]
    u = torch.special.ndtr(score).expand(_SHAPES, -1)
    # Far below, where bisection runs out of digits, the distribution function is a power.
    power = (torch.special.log_ndtr(score) + torch.lgamma(shape + 1.0)) / shape
    low, high = torch.full_like(power, -20.0), torch.full_like(power, 5.0)
    shapes = shape.expand_as(power).contiguous()
    for _ in range(40):
        middle = 0.5 * (low + high)
        is_below = torch.special.gammainc(shapes, middle.exp()) < u
        low, high = torch.where(is_below, middle, low), torch.where(is_below, high, middle)
    return torch.where(power < -12.0, power.clamp_min(-600.0), 0.5 * (low + high))


def poisson_quantile(mean: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """The quantile of a Poisson distribution: the least count that is not exceeded with probability at least u.

    For a mean up to 24 its terms are summed; above, the expansion of Cornish and Fisher is used, which is off by one
    for few u.

    Args:
        mean: (N,), at least 0.
        u: (N,), above 0 and below 1.
    """
    z = torch.special.ndtri(u)
    root = mean.clamp_min(1.0).sqrt()
    expanded = mean + root * z + (z.square() - 1.0) / 6.0 + (z - z**3) / (72.0 * root)
    found = (expanded + 0.5).floor().clamp_min(0.0)
    few = (mean <= _FEW).nonzero()[:, 0]
    if len(few):
        m, part = mean[few], u[few]
        term = (-m).exp()
        total, count = term.clone(), torch.zeros_like(m)
        step = 0
        while bool((left := total < part).any()) and step < 200:
            step += 1
            term = term * m / step
            count, total = torch.where(left, count + 1.0, count), total + term
        found[few] = count
    return found
