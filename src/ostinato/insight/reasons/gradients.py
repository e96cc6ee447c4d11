"""Integrated gradients: the mean gradient on the straight line from a baseline to the input, times the difference of the two.

    contribution_i = (x_i - x0_i) * integral over a from 0 to 1 of  d f(x0 + a (x - x0)) / d x_i

The sum over all i is f(x) - f(x0), whatever the network is (the gradient theorem), up to the error of the quadrature.

Source: Sundararajan, Taly & Yan 2017, arXiv 1703.01365, (1) and proposition 1. The integral is taken by Gauss and Legendre's rule,
which for a smooth network needs far fewer points than the sum of their (3).
"""

from __future__ import annotations

import numpy as np
import torch

from ostinato.insight.layers import InsightError
from ostinato.insight.reasons.question import Question, Reasons

POINTS, MOST_POINTS = 16, 256
TOLERANCE = 1e-3  # share of the difference between answer and baseline


def integrated_gradients(
    question: Question, *, tolerance: float = TOLERANCE, most_points: int = MOST_POINTS
) -> Reasons:
    """The contribution of each step and channel to an answer, by integrated gradients.

    The layers run as always, on any kernels. The number of points of the integral is doubled until the contributions sum to the
    difference of the answer and the baseline; the remaining error is `Reasons.remainder`.

    Args:
        question: the answer to explain.
        tolerance: the error of the sum that is allowed, as a share of the difference, above 0.
        most_points: the greatest number of points of the integral, at least 1.

    Raises:
        InsightError: the answer does not depend on the input, or is not a finite number.
    """
    x, base = question.input, question.baseline
    base_value, value = (float(v) for v in question.values(torch.cat([base, x], 1)))
    check_finite(question, value, base_value)
    points = min(POINTS, most_points)
    while True:
        contributions = _mean_gradient(question, points) * (x - base)[:, 0].double()
        off = abs(float(contributions.sum()) - (value - base_value))
        if off <= tolerance * abs(value - base_value) + 1e-6 or points >= most_points:
            break
        points = min(2 * points, most_points)
    return Reasons.of(question, "gradients", value, base_value, question.folded(contributions))


def _mean_gradient(question: Question, points: int) -> torch.Tensor:
    """The mean gradient on the straight line from the baseline to the input, `(T, F)`, float64."""
    x, base = question.input, question.baseline
    at, weights = quadrature(points)
    total = torch.zeros(x.shape[0], x.shape[2], dtype=torch.float64, device=x.device)
    rows = max(1, 2**22 // max(1, x.numel()))
    for start in range(0, points, rows):
        a, w = (torch.from_numpy(v[start : start + rows]).to(x) for v in (at, weights))
        with torch.enable_grad():
            way = (base + a[:, None] * (x - base)).requires_grad_()  # (T, K, F)
            values = question.answer(question.model, way)
            if not values.requires_grad:
                raise InsightError(
                    f"{question.about}: expected an answer that depends on what was read, got a constant"
                )
            (gradient,) = torch.autograd.grad((values * w).sum(), way)
        total += gradient.double().sum(1)
    return total


def quadrature(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Places in [0, 1] and their weights, `(points,)` each: Gauss and Legendre's rule, exact up to degree 2 points - 1."""
    at, weights = np.polynomial.legendre.leggauss(points)
    return (at + 1.0) / 2.0, weights / 2.0


def check_finite(question: Question, *values: float) -> None:
    """Raise `InsightError` unless all numbers are finite."""
    if not np.isfinite(values).all():
        raise InsightError(f"{question.about}: expected an answer that is a finite number, got {values[0]}")
