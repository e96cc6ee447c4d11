"""Distributions of values that are never negative: counts, and amounts.

They are distributions of the value itself, not of its change, so they need to know where zero is (`Frame`). Their first
number moves them relative to the baseline: if the output layer gives zeros, their mean or median is the baseline.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from ostinato.models.forecasting.draws import gamma_quantile, poisson_quantile
from ostinato.models.forecasting.frame import Frame, precise
from ostinato.models.forecasting.widths import unsoftened, width_of

_LEAST_SHARE = 0.05  # of the size of the past, that replaces a baseline of 0, as softplus has an inverse above 0 only
_LEAST_DISPERSION = 1e-4
_LEAST_AMOUNT = 1e-3  # of the size: a log-normal replaces 0 by it


class NegativeBinomial:
    """Counts with mean m and variance m + a m^2.

    m = v softplus(.), a = softplus(.) / sqrt(v), with v the size of the past. The loss is in nats. It is drawn as a
    Poisson whose mean is drawn from a gamma distribution.

    Source: Salinas et al. 2020 (DeepAR), arXiv 1704.04110, sections 3.1 and 3.3. Different here: if the output layer
    gives zeros, m is the baseline.
    """

    size = 2
    reads_frame = True
    is_count = True
    middle_is = "mean"

    def numbers(self, raw: torch.Tensor, frame: Frame) -> torch.Tensor:
        """Mean and dispersion, (..., K) float64."""
        mean, dispersion = self._parts(raw, frame)
        return torch.stack([mean, dispersion], -1)

    def _parts(self, raw: torch.Tensor, frame: Frame) -> tuple[torch.Tensor, torch.Tensor]:
        size = precise(frame.size)
        share = (frame.baseline() / size).clamp_min(_LEAST_SHARE)
        mean = size * F.softplus(precise(raw[..., 0]) + unsoftened(share))
        return mean.clamp_min(1e-6), F.softplus(precise(raw[..., 1])) / size.sqrt() + _LEAST_DISPERSION

    def loss(self, raw: torch.Tensor, change: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.loss`."""
        return -_log_probability(_counts(frame, change), *self._parts(raw, frame)).to(raw.dtype)

    def start(self, changes: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.start`; the mean stays the baseline."""
        return _fitted(self, changes, frame, [[0.0], _GRID])

    def sample(self, raw: torch.Tensor, uniform: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.sample`."""
        return frame.changes(self.drawn(self.numbers(raw, frame), precise(uniform)))

    def drawn(self, numbers: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Values of N places, (N,) float64, from their `numbers` (N, K) and uniform numbers (2, N)."""
        return _drawn(numbers[:, 0], numbers[:, 1], uniform)

    def middle(self, raw: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.middle`; it is the mean."""
        return frame.changes(self.numbers(raw, frame)[:, 0])

    def surprise(self, raw: torch.Tensor, change: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.surprise`."""
        mean, dispersion = self._parts(raw, frame)
        mode = (mean * (1.0 - dispersion)).floor().clamp_min(0.0)
        best = _log_probability(mode, mean, dispersion)
        return best - _log_probability(_counts(frame, change), mean, dispersion)


class ZeroInflated:
    """Counts that are 0 with probability p = sigmoid(.), else from a `NegativeBinomial`, which may be 0 too.

    Source: Greene 1994, Accounting for excess zeros and sample selection in Poisson and negative binomial regression models.
    """

    size = 3
    reads_frame = True
    is_count = True
    middle_is = "mean"

    def numbers(self, raw: torch.Tensor, frame: Frame) -> torch.Tensor:
        """Mean and dispersion of the counts, and the probability of an additional zero, (..., K) float64."""
        return torch.stack([*self._parts(raw, frame)], -1)

    def _parts(self, raw: torch.Tensor, frame: Frame) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, dispersion = NegativeBinomial()._parts(raw, frame)
        return mean, dispersion, precise(raw[..., 2]).sigmoid().clamp(1e-6, 1.0 - 1e-6)

    def _log(self, counts: torch.Tensor, parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
        mean, dispersion, zero = parts
        found = (-zero).log1p() + _log_probability(counts, mean, dispersion)
        return torch.where(counts == 0, torch.logaddexp(zero.log(), found), found)

    def loss(self, raw: torch.Tensor, change: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.loss`."""
        return -self._log(_counts(frame, change), self._parts(raw, frame)).to(raw.dtype)

    def start(self, changes: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.start`; with zeros added, the mean of the others rises, so that the baseline stays the mean."""
        return _fitted(self, changes, frame, [[0.0, 0.5, 1.0, 2.0], _GRID, [-6.0, -4.0, -2.0, -1.0, 0.0, 1.0, 2.0]])

    def sample(self, raw: torch.Tensor, uniform: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.sample`."""
        return frame.changes(self.drawn(self.numbers(raw, frame), precise(uniform)))

    def drawn(self, numbers: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """See `NegativeBinomial.drawn`."""
        (mean, dispersion, zero), u = numbers.unbind(-1), uniform
        others = ((u[0] - zero) / (1.0 - zero)).clamp(1e-9, 1.0 - 1e-9)
        drawn = _drawn(mean, dispersion, torch.stack([others, u[1]]))
        return torch.where(u[0] < zero, 0.0, drawn)

    def middle(self, raw: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.middle`; it is the mean, including zeros."""
        mean, _, zero = self._parts(raw, frame)
        return frame.changes((1.0 - zero) * mean)

    def surprise(self, raw: torch.Tensor, change: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.surprise`."""
        parts = self._parts(raw, frame)
        mode = (parts[0] * (1.0 - parts[1])).floor().clamp_min(0.0)
        best = torch.maximum(self._log(mode, parts), self._log(torch.zeros_like(mode), parts))
        return best - self._log(_counts(frame, change), parts)


class LogNormal:
    """Amounts above 0 whose logarithm is N(m, s): e^m is the baseline times e^(.), s = softplus(.). Loss in nats."""

    size = 2
    reads_frame = True
    is_count = False
    middle_is = "median"

    def numbers(self, raw: torch.Tensor, frame: Frame) -> torch.Tensor:
        """Mean and deviation of the logarithm, (..., K) float64."""
        return torch.stack([*self._parts(raw, frame)], -1)

    def _parts(self, raw: torch.Tensor, frame: Frame) -> tuple[torch.Tensor, torch.Tensor]:
        size = precise(frame.size)
        median = torch.maximum(frame.baseline(), _LEAST_SHARE * size)
        return median.log() + precise(raw[..., 0]), width_of(precise(raw[..., 1]))

    def _logs(self, change: torch.Tensor, frame: Frame) -> torch.Tensor:
        return torch.maximum(frame.values(change), _LEAST_AMOUNT * precise(frame.size)).log()

    def loss(self, raw: torch.Tensor, change: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.loss`; the density is that of the value as a share of the size of the past."""
        mean, width = self._parts(raw, frame)
        log = self._logs(change, frame)
        nats = 0.5 * ((log - mean) / width).square() + width.log() + 0.5 * math.log(2.0 * math.pi)
        return (nats + log - precise(frame.size).log()).to(raw.dtype)

    def start(self, changes: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.start`."""
        return _fitted(self, changes, frame, [[0.0], _GRID])

    def sample(self, raw: torch.Tensor, uniform: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.sample`."""
        return frame.changes(self.drawn(self.numbers(raw, frame), precise(uniform)))

    def drawn(self, numbers: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """See `NegativeBinomial.drawn`."""
        return (numbers[:, 0] + numbers[:, 1] * torch.special.ndtri(uniform[0])).exp()

    def middle(self, raw: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.middle`; it is the median."""
        return frame.changes(self._parts(raw, frame)[0].exp())

    def surprise(self, raw: torch.Tensor, change: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.surprise`; computed for the logarithm."""
        mean, width = self._parts(raw, frame)
        return 0.5 * ((self._logs(change, frame) - mean) / width).square()


class Rectified:
    """Amounts that may be 0: a Gaussian whose values below 0 become 0 (Tobin 1958, Econometrica 26, 24-36).

    The loss is the negative log density above 0, and the negative log probability of 0, in nats.
    """

    size = 2
    reads_frame = True
    is_count = False
    middle_is = "mean"

    def numbers(self, raw: torch.Tensor, frame: Frame) -> torch.Tensor:
        """Mean and deviation of the Gaussian, in the unit of the series, (..., K) float64."""
        mean, width = self._parts(raw)
        return torch.stack([frame.values(mean), width * precise(frame.width)], -1)

    def _parts(self, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return precise(raw[..., 0]), width_of(precise(raw[..., 1]))

    def loss(self, raw: torch.Tensor, change: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.loss`."""
        mean, width = self._parts(raw)
        above = 0.5 * ((precise(change) - mean) / width).square() + width.log() + 0.5 * math.log(2.0 * math.pi)
        at_zero = -torch.special.log_ndtr((precise(frame.zero) - mean) / width)
        return torch.where(_is_zero(change, frame), at_zero, above).to(raw.dtype)

    def start(self, changes: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.start`."""
        return _fitted(self, changes, frame, [[0.0], _GRID])

    def sample(self, raw: torch.Tensor, uniform: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.sample`."""
        mean, width = self._parts(raw)
        drawn = mean + width * torch.special.ndtri(precise(uniform[0]))
        return torch.maximum(drawn, precise(frame.zero)).to(frame.zero.dtype)

    def drawn(self, numbers: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """See `NegativeBinomial.drawn`."""
        return (numbers[:, 0] + numbers[:, 1] * torch.special.ndtri(uniform[0])).clamp_min(0.0)

    def middle(self, raw: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.middle`; it is the mean, as the median may stay at 0."""
        mean, width = self._parts(raw)
        zero = precise(frame.zero)
        apart = (mean - zero) / width
        above = apart * torch.special.ndtr(apart) + (-0.5 * apart.square()).exp() / math.sqrt(2.0 * math.pi)
        return (zero + width * above).to(frame.zero.dtype)

    def surprise(self, raw: torch.Tensor, change: torch.Tensor, frame: Frame) -> torch.Tensor:
        """See `Head.surprise`; 0 if both the Gaussian's mean is below 0 and the value is 0."""
        mean, width = self._parts(raw)
        middle = torch.maximum(mean, precise(frame.zero))
        return 0.5 * ((precise(change) - middle) / width).square()


_GRID = [0.5 * at for at in range(-12, 9)]


def _counts(frame: Frame, change: torch.Tensor) -> torch.Tensor:
    return frame.values(change).round().clamp_min(0.0)


def _is_zero(change: torch.Tensor, frame: Frame) -> torch.Tensor:
    # A zero with rounding errors, as values are measured relative to another value.
    return frame.values(change) <= 1e-5 * precise(frame.size)


def _log_probability(counts: torch.Tensor, mean: torch.Tensor, dispersion: torch.Tensor) -> torch.Tensor:
    r, share = 1.0 / dispersion, mean * dispersion
    ways = torch.lgamma(counts + r) - torch.lgamma(r) - torch.lgamma(counts + 1.0)
    return ways + counts * share.log() - (counts + r) * share.log1p()


def _drawn(mean: torch.Tensor, dispersion: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    r = 1.0 / dispersion
    return poisson_quantile(gamma_quantile(r, uniform[0]) / r * mean, uniform[1])


@torch.no_grad()
def _fitted(head: object, changes: torch.Tensor, frame: Frame, grid: Sequence[Sequence[float]]) -> torch.Tensor:
    """The head's numbers, from a grid, under which the changes are likeliest."""
    choices = torch.cartesian_prod(*(torch.tensor(each, dtype=changes.dtype, device=changes.device) for each in grid))
    losses = [float(head.loss(each.expand(len(changes), -1), changes, frame).mean()) for each in choices]  # pyright: ignore[reportAttributeAccessIssue]
    return choices[min(range(len(losses)), key=losses.__getitem__)]
