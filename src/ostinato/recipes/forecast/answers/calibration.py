"""Intervals that contain values as often as they claim: their width is corrected by validation (conformal prediction).

The score of a validation forecast, at each step ahead, is the distance of the true value from the median, divided by
the distance of the interval's bound on that side. The bounds of later forecasts are moved by the quantile of the scores
with which the claim is true, if forecasts of validation and later ones are exchangeable.

Sources: Romano, Patterson & Candes 2019, Conformalized quantile regression, arXiv 1905.03222; a factor instead of a
term, so that series of any unit share it: Kivaranovic, Johnson & Leeb 2020, arXiv 1905.10634; one factor for each step
ahead: Stankeviciute, Alaa & van der Schaar 2021, Conformal time-series forecasting (without its correction for all
steps at once).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from ostinato.recipes.forecast.metrics import edges, sample_quantile

Conformal: TypeAlias = Literal["steps", "all", "none"]

FEW = 50  # forecasts without overlap; with fewer, chance may move intervals further than they are wrong
LEVELS = (20, 50, 80, 90, 95, 98)  # percent, of intervals that are calibrated; others are interpolated
_LEAST_SCORES = 150  # for a step; with fewer, the steps next to it count too
_MOST_FACTOR = 20.0
_JUDGED = (50, 80, 90)  # levels that decide whether intervals are surely wrong, if forecasts are few
_SURELY = 2.4  # standard errors of a share; right intervals exceed it at one of three levels in 5 % of cases


@dataclass(frozen=True)
class Calibration:
    """Factors by which the distances of an interval's bounds from the median are multiplied.

    Attributes:
        steps: (L, H), for each interval of `LEVELS` at each step ahead.
        all: (L,), for each interval, the same at all steps.
        count: the number of forecasts that they were learnt from.
    """

    steps: tuple[tuple[float, ...], ...]
    all: tuple[float, ...]
    count: int

    @classmethod
    def of(cls, scores: np.ndarray, apart: int | None = None) -> Calibration | None:
        """Learns the factors from scores of validation; None without scores.

        With fewer than `FEW` forecasts without overlap, intervals are moved only if they are surely too wide or too
        narrow; otherwise all factors are 1. An interval too wide for so few forecasts to calibrate gets the factors of
        the widest that they can.

        Args:
            scores: (L, N, H), see `scores_of`; NaN for missing values.
            apart: how many of the N forecasts do not overlap; None for all.
        """
        if not np.isfinite(scores).any():
            return None
        count = scores.shape[1] if apart is None else apart
        if count < FEW:
            told = [at for at, level in enumerate(LEVELS) if np.ceil((count + 1) * level / 100.0) <= count]
            if not told or not _surely_wrong(scores, count):
                ones = (1.0,) * len(LEVELS)
                return cls(tuple((one,) * scores.shape[2] for one in ones), ones, scores.shape[1])
            kept = cls._of_all(scores[told])
            places = [min(at, len(told) - 1) for at in range(len(LEVELS))]
            return cls(tuple(kept.steps[at] for at in places), tuple(kept.all[at] for at in places), kept.count)
        return cls._of_all(scores)

    @classmethod
    def _of_all(cls, scores: np.ndarray) -> Calibration:
        horizon = scores.shape[2]
        found = np.array(
            [[_factor(_around(each, step), level) for step in range(horizon)] for each, level in _each(scores)]
        )
        alike = [_factor(each[~np.isnan(each)], level) for each, level in _each(scores)]
        return cls(tuple(map(tuple, found.tolist())), tuple(alike), scores.shape[1])

    @classmethod
    def from_dict(cls, content: Mapping[str, Any] | None) -> Calibration | None:
        """Makes it from the dict of `to_dict`; None from None."""
        if content is None:
            return None
        steps = tuple(tuple(map(float, each)) for each in content["steps"])
        return cls(steps, tuple(map(float, content["all"])), int(content["count"]))

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return dataclasses.asdict(self)

    def factors(self, how: Conformal, first: int, horizon: int) -> np.ndarray:
        """The factors (L, horizon) from step ahead `first` on, 0 for the next; later steps have those of the last."""
        if how == "none":
            return np.ones((len(LEVELS), horizon))
        if how == "all":
            return np.repeat(np.array(self.all)[:, None], horizon, 1)
        found = np.array(self.steps)
        return found[:, (first + np.arange(horizon)).clip(max=found.shape[1] - 1)]

    def of_draws(self, how: Conformal, first: int, horizon: int, samples: int) -> np.ndarray:
        """The factor of each of S sorted draws, (horizon, S): that of the interval that ends at this draw."""
        ends = np.abs(2.0 * np.arange(1, samples + 1) / (samples + 1.0) - 1.0) * 100.0
        return np.stack([np.interp(ends, LEVELS, each) for each in self.factors(how, first, horizon).T])

    def applied(self, paths: np.ndarray, how: Conformal = "steps", first: int = 0) -> np.ndarray:
        """Moves paths so that their quantiles are calibrated; the k-th largest value at a step stays the k-th largest.

        Args:
            paths: (..., H, S).
            how: a factor for each step, one for all, or none.
            first: which step ahead the first of these steps is, from 0.
        """
        if how == "none":
            return paths
        H, S = paths.shape[-2:]
        order = np.argsort(paths, -1, kind="stable")
        ordered = np.take_along_axis(paths, order, -1)
        middle = np.median(ordered, -1, keepdims=True)
        moved = middle + self.of_draws(how, first, H, S) * (ordered - middle)
        # Factors that shrink outwards must not make quantiles cross (Chernozhukov et al. 2010, Econometrica 78).
        moved = np.sort(moved, -1)
        found = np.empty_like(moved)
        np.put_along_axis(found, order, moved, -1)
        return found


def scores_of(paths: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How far the truth is from the median, (L, ...), divided by the distance of each interval's bound on that side.

    Args:
        paths: (..., S).
        truth: (...), NaN for missing values.
    """
    found: list[np.ndarray] = []
    middle = np.median(paths, -1)
    apart = truth - middle
    for level in LEVELS:
        low, high = sample_quantile(paths, edges(level))
        reach = np.where(apart < 0, middle - low, high - middle)
        inside = np.where(apart == 0, 0.0, np.inf)  # for an interval of width 0
        with np.errstate(over="ignore"):
            found.append(np.where(reach > 0, np.abs(apart) / np.where(reach > 0, reach, 1.0), inside))
    return np.where(np.isnan(truth), np.nan, np.stack(found))


def _surely_wrong(scores: np.ndarray, apart: int) -> bool:
    """Whether intervals contain the truth more or less often than chance explains with so many forecasts."""
    for level in _JUDGED:
        its = scores[LEVELS.index(level)]
        share, promised = float((its[~np.isnan(its)] <= 1.0).mean()), level / 100.0
        if abs(share - promised) > _SURELY * np.sqrt(promised * (1.0 - promised) / apart):
            return True
    return False


def _each(scores: np.ndarray) -> Sequence[tuple[np.ndarray, int]]:
    """The scores of each level, with the level; scores may be of the first levels only."""
    return list(zip(scores, LEVELS, strict=False))


def _around(scores: np.ndarray, step: int) -> np.ndarray:
    """Scores (N, H) of a step; if these are few, those of the steps next to it too."""
    for beside in range(scores.shape[1]):
        some = scores[:, max(step - beside, 0) : step + beside + 1]
        there = some[~np.isnan(some)]
        if len(there) >= _LEAST_SCORES:
            return there
    return scores[~np.isnan(scores)]


def _factor(scores: np.ndarray, percent: int) -> float:
    """The least factor with which another score is inside in so many percent: the k-th smallest of n, k / (n + 1)."""
    n = len(scores)
    if not n:
        return 1.0
    k = int(np.ceil((n + 1) * percent / 100.0))
    if k > n:  # no score is large enough, as there are too few
        return max(1.0, min(float(scores.max()), _MOST_FACTOR))
    return min(float(np.sort(scores)[k - 1]), _MOST_FACTOR)
