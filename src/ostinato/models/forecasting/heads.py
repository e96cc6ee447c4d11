"""The distributions that a forecaster can predict: a Gaussian, a Student-t, quantiles, or one of `bounded_heads`.

Each turns the numbers of an output layer into a distribution of the change from a baseline, gives the loss of the true
change, and draws by a function of uniform numbers: the same numbers for every row, so that a forecast does not depend
on what else is forecast with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, Protocol, TypeAlias, get_args

import torch
from torch.nn import functional as F

from ostinato.errors import ConfigError
from ostinato.models.forecasting.bounded_heads import LogNormal, NegativeBinomial, Rectified, ZeroInflated
from ostinato.models.forecasting.gaussian import Gaussian
from ostinato.models.forecasting.low_rank import LowRank
from ostinato.models.forecasting.widths import LEAST_WIDTH, START, raw_width, width_of

HeadName: TypeAlias = Literal[
    "student-t", "gaussian", "quantiles", "negative-binomial", "zero-inflated", "log-normal", "rectified", "low-rank"
]
HEAD_NAMES: tuple[HeadName, ...] = get_args(HeadName)
COUNT_HEADS: tuple[HeadName, ...] = ("negative-binomial", "zero-inflated")
AMOUNT_HEADS: tuple[HeadName, ...] = ("log-normal", "rectified")

LEVELS = (0.01, 0.025, 0.05, 0.1, 0.175, 0.25, 0.375, 0.5, 0.625, 0.75, 0.825, 0.9, 0.95, 0.975, 0.99)


class Head(Protocol):
    """A distribution of the next value.

    Attributes:
        size: K, how many numbers of the output layer it needs.
        reads_frame: whether it must know where 0 is; other heads are given no frame.
        is_count: whether it draws whole numbers.
        middle_is: what `middle` is, "median" or "mean".
    """

    size: int
    reads_frame: bool
    is_count: bool
    middle_is: str

    def loss(self, raw: torch.Tensor, change: torch.Tensor, frame: Any) -> torch.Tensor:
        """The loss at each place.

        Args:
            raw: (..., K), numbers of the output layer.
            change: (...), the true value minus the baseline, in the scale of the window.
            frame: see `Frame`, for the same places.
        """
        ...

    def start(self, changes: torch.Tensor, frame: Any) -> torch.Tensor:
        """Numbers (K,) with which the distribution is about that of some changes, with the same median.

        Args:
            changes: (N,), at least 1.
            frame: the frame of these changes.
        """
        ...

    def sample(self, raw: torch.Tensor, uniform: torch.Tensor, frame: Any) -> torch.Tensor:
        """Draws changes.

        Args:
            raw: (N, K).
            uniform: (2, N), numbers above 0 and below 1.
            frame: the frame of the same N places.

        Returns:
            (N,).
        """
        ...

    def middle(self, raw: torch.Tensor, frame: Any) -> torch.Tensor:
        """The middle change, (N,), smooth in its arguments: the median, or the mean if the median moves in jumps.

        Args:
            raw: (N, K).
            frame: the frame of the same N places.
        """
        ...

    def surprise(self, raw: torch.Tensor, change: torch.Tensor, frame: Any) -> torch.Tensor:
        """How strange a change is beside the likeliest one, whatever the width; at least 0, in nats or similar units.

        Args:
            raw: (..., K), numbers of the output layer.
            change: (...), as for `loss`.
            frame: the frame of the same places.
        """
        ...


class StudentT:
    """Student's t with location m, scale s = softplus(.) and d = 2 + softplus(.) degrees of freedom; the loss is in nats.

    Values that a Gaussian does not expect neither ruin a training step nor widen all intervals. Draws use the polar
    form sqrt(d (u^(-2/d) - 1)) cos(2 pi v), which is exact for every d (Bailey 1994, Mathematics of Computation 62,
    779-781).
    """

    size, reads_frame, is_count, middle_is = 3, False, False, "median"

    def start(self, changes: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.start`; the scale is the likeliest by EM (Liu & Rubin 1995, Statistica Sinica 5, 19-39)."""
        median, raw = changes.median(), changes.new_zeros(())
        square, freedom = (changes - median).square(), _freedom(raw)
        variance = square.mean()
        for _ in range(50):
            variance = (square * (freedom + 1.0) / (freedom + square / variance.clamp_min(LEAST_WIDTH**2))).mean()
        return torch.stack([median, raw_width(variance.sqrt()), raw])

    def loss(self, raw: torch.Tensor, change: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.loss`."""
        width, freedom = width_of(raw[..., 1]), _freedom(raw[..., 2])
        square = ((change - raw[..., 0]) / width).square()
        normaliser = torch.lgamma(0.5 * freedom) - torch.lgamma(0.5 * (freedom + 1.0))
        shape = 0.5 * (freedom + 1.0) * torch.log1p(square / freedom)
        return normaliser + 0.5 * (freedom * math.pi).log() + width.log() + shape

    def sample(self, raw: torch.Tensor, uniform: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.sample`."""
        freedom = _freedom(raw[:, 2])
        radius = (freedom * torch.expm1(-2.0 / freedom * uniform[0].log())).sqrt()
        return raw[:, 0] + width_of(raw[:, 1]) * radius * torch.cos(2.0 * math.pi * uniform[1])

    def middle(self, raw: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.middle`."""
        return raw[:, 0]

    def surprise(self, raw: torch.Tensor, change: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.surprise`."""
        freedom = _freedom(raw[..., 2])
        square = ((change - raw[..., 0]) / width_of(raw[..., 1])).square()
        return 0.5 * (freedom + 1.0) * torch.log1p(square / freedom)


class Quantiles:
    """Quantiles that never cross: the median, and outwards from it steps of softplus.

    The loss is twice the pinball loss averaged over the levels, in the scale of the window (Koenker & Bassett 1978):
    about the CRPS, not nats. Between the levels draws are on straight lines; beyond the outermost level, on an
    exponential tail that begins with the density of the outermost line.

    Args:
        levels: K levels, increasing, above 0 and below 1, including 0.5.

    Raises:
        ConfigError: the levels are not so.
    """

    reads_frame, is_count, middle_is = False, False, "median"

    def __init__(self, levels: Sequence[float] = LEVELS):
        rising = all(a < b for a, b in pairwise(levels))
        if len(levels) < 3 or not rising or not 0 < levels[0] < 0.5 < levels[-1] < 1 or 0.5 not in levels:
            raise ConfigError(
                f"levels: expected at least 3 that increase between 0 and 1, with 0.5 inside, got {list(levels)}"
            )
        self.levels, self.size, self._middle = tuple(levels), len(levels), list(levels).index(0.5)

    def quantiles(self, raw: torch.Tensor) -> torch.Tensor:
        """The quantiles, (..., K), increasing."""
        middle = self._middle
        steps = F.softplus(raw + START - 2.0) + LEAST_WIDTH
        median = raw[..., middle : middle + 1]
        below = median - steps[..., :middle].flip(-1).cumsum(-1).flip(-1)
        return torch.cat([below, median, median + steps[..., middle + 1 :].cumsum(-1)], -1)

    def start(self, changes: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.start`."""
        levels = torch.tensor(self.levels, dtype=changes.dtype, device=changes.device)
        found = torch.quantile(changes, levels)
        steps = raw_width(found.diff()) + 2.0
        return torch.cat([steps[: self._middle], found[self._middle : self._middle + 1], steps[self._middle :]])

    def loss(self, raw: torch.Tensor, change: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.loss`."""
        error = change.unsqueeze(-1) - self.quantiles(raw)
        levels = torch.tensor(self.levels, dtype=error.dtype, device=error.device)
        return 2.0 * torch.maximum(levels * error, (levels - 1.0) * error).mean(-1)

    def sample(self, raw: torch.Tensor, uniform: torch.Tensor, frame: None = None) -> torch.Tensor:
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

    def middle(self, raw: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.middle`."""
        return raw[:, self._middle]

    def surprise(self, raw: torch.Tensor, change: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.surprise`: distance from the median, divided by that of the outermost quantile on the same side."""
        found, middle = self.quantiles(raw), self._middle
        apart = change - found[..., middle]
        below, above = found[..., middle] - found[..., 0], found[..., -1] - found[..., middle]
        return apart.abs() / torch.where(apart < 0, below, above)


def make_head(name: HeadName, levels: Sequence[float] = LEVELS) -> Head:
    """A head by its name.

    Raises:
        ConfigError: there is no such head, or the levels of quantiles are wrong.
    """
    if name == "student-t":
        return StudentT()
    if name == "gaussian":
        return Gaussian()
    if name == "quantiles":
        return Quantiles(levels)
    others = {
        "negative-binomial": NegativeBinomial,
        "zero-inflated": ZeroInflated,
        "log-normal": LogNormal,
        "rectified": Rectified,
        "low-rank": LowRank,
    }
    if name in others:
        return others[name]()
    raise ConfigError(f"head: expected one of {', '.join(HEAD_NAMES)}, got {name}")


def _freedom(raw: torch.Tensor) -> torch.Tensor:
    return 2.0 + F.softplus(raw + 3.0)


def least_size(head: Head) -> float:
    """What is added to the past's mean to give its size, see `Frame`: 1 for counts, as in DeepAR; else nearly 0."""
    return 1.0 if head.is_count else 1e-30


def distribution(head: Head, raw: torch.Tensor) -> torch.Tensor:
    """The numbers of a distribution: location and scale, for a Student-t also degrees of freedom; or quantiles.

    For `LowRank`, those of each series alone.

    Args:
        head: a head of this module; heads that read a frame have `numbers` instead.
        raw: (..., K), numbers of the output layer.

    Returns:
        (..., K).
    """
    if isinstance(head, Quantiles):
        return head.quantiles(raw)
    parts = [raw[..., 0], head.width(raw) if isinstance(head, Gaussian) else width_of(raw[..., 1])]
    return torch.stack([*parts, _freedom(raw[..., 2])] if isinstance(head, StudentT) else parts, -1)
