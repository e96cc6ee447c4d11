"""What a forecaster says about the next value: a Gaussian, a Student-t, or some quantiles.

Each turns the numbers of an output layer into a distribution of the change from the last value, says how surprised it is by what
came, and draws by a function of uniform numbers: the same numbers for every row, so that a forecast does not depend on what else
is forecast beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, Protocol, TypeAlias

import torch
from torch.nn import functional as F

from ostinato.errors import ConfigError

HeadName: TypeAlias = Literal["student-t", "gaussian", "quantiles"]

LEVELS = (0.01, 0.025, 0.05, 0.1, 0.175, 0.25, 0.375, 0.5, 0.625, 0.75, 0.825, 0.9, 0.95, 0.975, 0.99)
LEAST_WIDTH = 1e-3  # in the scale of the window: rounded data repeat values exactly, and a density has no bound
START = math.log(math.expm1(0.3))  # softplus of it is 0.3: a step is a part of a window's spread


class Head(Protocol):
    """A distribution of the next value.

    Attributes:
        size: how many numbers of the output layer it needs, K.
    """

    size: int

    def loss(self, raw: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        """How surprised it is, at each place.

        Args:
            raw: (..., K), of the output layer.
            change: (...), what came less the last value, in the scale of the window.
        """
        ...

    def start(self, changes: torch.Tensor) -> torch.Tensor:
        """(K,): numbers with which it is distributed about as some changes, with their median.

        Args:
            changes: (N,), at least 1.
        """
        ...

    def sample(self, raw: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Draws changes.

        Args:
            raw: (N, K).
            uniform: (2, N), numbers above 0 and below 1.

        Returns:
            (N,).
        """
        ...


class Gaussian:
    """N(m, s), s = softplus(.); the loss is its negative log density in nats."""

    size = 2

    def start(self, changes: torch.Tensor) -> torch.Tensor:
        """See `Head.start`; the deviation is that from the median."""
        median = changes.median()
        return torch.stack([median, _raw_width((changes - median).square().mean().sqrt())])

    def loss(self, raw: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        """See `Head.loss`."""
        width = _width(raw[..., 1])
        return 0.5 * ((change - raw[..., 0]) / width).square() + width.log() + 0.5 * math.log(2.0 * math.pi)

    def sample(self, raw: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """See `Head.sample`."""
        return raw[:, 0] + _width(raw[:, 1]) * torch.special.ndtri(uniform[0])


class StudentT:
    """Student's t with location m, scale s = softplus(.) and d = 2 + softplus(.) degrees of freedom; the loss is in nats.

    Values that no Gaussian expects neither ruin a training step nor widen all intervals. It draws by the polar form
    sqrt(d (u^(-2/d) - 1)) cos(2 pi v), which is exact for every d (Bailey 1994, Mathematics of Computation 62, 779-781).
    """

    size = 3

    def start(self, changes: torch.Tensor) -> torch.Tensor:
        """See `Head.start`; the scale is the likeliest around the median (by EM; Liu & Rubin 1995, Statistica Sinica 5, 19-39)."""
        median, raw = changes.median(), changes.new_zeros(())
        square, freedom = (changes - median).square(), _freedom(raw)
        variance = square.mean()
        for _ in range(50):
            variance = (square * (freedom + 1.0) / (freedom + square / variance.clamp_min(LEAST_WIDTH**2))).mean()
        return torch.stack([median, _raw_width(variance.sqrt()), raw])

    def loss(self, raw: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        """See `Head.loss`."""
        width, freedom = _width(raw[..., 1]), _freedom(raw[..., 2])
        square = ((change - raw[..., 0]) / width).square()
        normaliser = torch.lgamma(0.5 * freedom) - torch.lgamma(0.5 * (freedom + 1.0))
        shape = 0.5 * (freedom + 1.0) * torch.log1p(square / freedom)
        return normaliser + 0.5 * (freedom * math.pi).log() + width.log() + shape

    def sample(self, raw: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """See `Head.sample`."""
        freedom = _freedom(raw[:, 2])
        radius = (freedom * torch.expm1(-2.0 / freedom * uniform[0].log())).sqrt()
        return raw[:, 0] + _width(raw[:, 1]) * radius * torch.cos(2.0 * math.pi * uniform[1])


class Quantiles:
    """Quantiles that never cross: the median, and from it softplus steps outwards.

    The loss is twice the pinball loss averaged over the levels, in the scale of the window (Koenker & Bassett 1978): about the
    CRPS, and not nats. Between the levels it draws along straight lines; beyond the outermost, along an exponential tail that
    begins with the density of the outermost line.

    Args:
        levels: K of them, increasing, above 0 and below 1, 0.5 among them.

    Raises:
        ConfigError: they are not that.
    """

    def __init__(self, levels: Sequence[float] = LEVELS):
        rising = all(a < b for a, b in pairwise(levels))
        if len(levels) < 3 or not rising or not 0 < levels[0] < 0.5 < levels[-1] < 1 or 0.5 not in levels:
            raise ConfigError(
                f"levels: expected at least 3 that increase between 0 and 1, with 0.5 inside, got {list(levels)}"
            )
        self.levels, self.size, self._middle = tuple(levels), len(levels), list(levels).index(0.5)

    def quantiles(self, raw: torch.Tensor) -> torch.Tensor:
        """(..., K), increasing."""
        middle = self._middle
        steps = F.softplus(raw + START - 2.0) + LEAST_WIDTH
        median = raw[..., middle : middle + 1]
        below = median - steps[..., :middle].flip(-1).cumsum(-1).flip(-1)
        return torch.cat([below, median, median + steps[..., middle + 1 :].cumsum(-1)], -1)

    def start(self, changes: torch.Tensor) -> torch.Tensor:
        """See `Head.start`."""
        levels = torch.tensor(self.levels, dtype=changes.dtype, device=changes.device)
        found = torch.quantile(changes, levels)
        steps = _raw_width(found.diff()) + 2.0
        return torch.cat([steps[: self._middle], found[self._middle : self._middle + 1], steps[self._middle :]])

    def loss(self, raw: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        """See `Head.loss`."""
        error = change.unsqueeze(-1) - self.quantiles(raw)
        levels = torch.tensor(self.levels, dtype=error.dtype, device=error.device)
        return 2.0 * torch.maximum(levels * error, (levels - 1.0) * error).mean(-1)

    def sample(self, raw: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """See `Head.sample`."""
        found, u = self.quantiles(raw), uniform[0]
        levels = torch.tensor(self.levels, dtype=u.dtype, device=u.device)
        above = torch.searchsorted(levels, u).clamp(1, self.size - 1)
        low, high = (found.gather(1, at.unsqueeze(1)).squeeze(1) for at in (above - 1, above))
        slope = (high - low) / (levels[above] - levels[above - 1])
        straight = low + (u - levels[above - 1]) * slope
        first, last = levels[0], levels[-1]
        tail_below = found[:, 0] + first * slope * (u.clamp(max=first) / first).log()
        tail_above = found[:, -1] - (1.0 - last) * slope * ((1.0 - u.clamp(min=last)) / (1.0 - last)).log()
        return torch.where(u < first, tail_below, torch.where(u > last, tail_above, straight))


def make_head(name: HeadName, levels: Sequence[float] = LEVELS) -> Head:
    """A head by its name.

    Raises:
        ConfigError: there is none, or the levels of quantiles are wrong.
    """
    if name == "student-t":
        return StudentT()
    if name == "gaussian":
        return Gaussian()
    if name == "quantiles":
        return Quantiles(levels)
    raise ConfigError(f"head: expected one of student-t, gaussian, quantiles, got {name}")


def _width(raw: torch.Tensor) -> torch.Tensor:
    return F.softplus(raw + START) + LEAST_WIDTH


def _raw_width(width: torch.Tensor) -> torch.Tensor:
    """The inverse of `_width`; of nearly none, a number that training can still move."""
    above = (width - LEAST_WIDTH).clamp_min(LEAST_WIDTH)
    return above + (-torch.expm1(-above)).log() - START  # of a softplus; expm1(above) alone would overflow


def _freedom(raw: torch.Tensor) -> torch.Tensor:
    return 2.0 + F.softplus(raw + 3.0)


def distribution(head: Head, raw: torch.Tensor) -> torch.Tensor:
    """What a head says in numbers that mean something: location and scale, of a Student-t degrees of freedom too; or quantiles.

    Args:
        head: of this file.
        raw: (..., K), of the output layer.

    Returns:
        (..., K).
    """
    if isinstance(head, Quantiles):
        return head.quantiles(raw)
    parts = [raw[..., 0], _width(raw[..., 1])]
    return torch.stack([*parts, _freedom(raw[..., 2])] if isinstance(head, StudentT) else parts, -1)
