"""Intervals that hold what they promise: how much wider or narrower they must be, as validation says (conformal prediction).

For each forecast of validation and each step ahead, the score is how far what came lay from the median, in distances of the
interval's own bound on that side. The bounds of later forecasts are moved by the quantile of the scores that holds the promise
where forecasts of validation and later ones could change places.

Sources: Romano, Patterson & Candes 2019, Conformalized quantile regression, arXiv 1905.03222; a factor in place of a term, so that
series of any unit share it: Kivaranovic, Johnson & Leeb 2020, arXiv 1905.10634; one for each step ahead: Stankeviciute, Alaa & van
der Schaar 2021, Conformal time-series forecasting (without its correction for all steps at once).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from ostinato.recipes.forecast.metrics import edges, sample_quantile

Conformal: TypeAlias = Literal["steps", "all", "none"]

FEW = 50  # forecasts that do not overlap; with fewer, chance may move intervals further than they are wrong
LEVELS = (20, 50, 80, 90, 95, 98)  # percent, of intervals that are calibrated; others lie between
_LEAST_SCORES = 150  # for a step: with fewer, steps beside it count too
_MOST_FACTOR = 20.0
_JUDGED = (50, 80, 90)  # levels that tell whether intervals are surely wrong, where forecasts are few
_SURELY = 2.4  # standard errors of a share; of one of three levels, 5 % of right intervals are further off


@dataclass(frozen=True)
class Calibration:
    """Factors of the distances from the median.

    Attributes:
        steps: (L, H), of each interval of `LEVELS` at each step ahead.
        all: (L,), of each interval, the same at all steps.
        count: forecasts that they were learnt from.
    """

    steps: tuple[tuple[float, ...], ...]
    all: tuple[float, ...]
    count: int

    @classmethod
    def of(cls, scores: np.ndarray, apart: int | None = None) -> Calibration | None:
        """From scores of validation; None where there are none.

        Of few forecasts that do not overlap, intervals are moved only where they are surely too wide or too narrow, else by factors
        of 1; and an interval that so many cannot tell of is moved as the widest that they can.

        Args:
            scores: (L, N, H), see `scores_of`; NaN where nothing came.
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
        """Of what `dataclasses.asdict` makes of it."""
        if content is None:
            return None
        steps = tuple(tuple(map(float, each)) for each in content["steps"])
        return cls(steps, tuple(map(float, content["all"])), int(content["count"]))

    def to_dict(self) -> dict[str, Any]:
        """The inverse."""
        return dataclasses.asdict(self)

    def factors(self, how: Conformal, first: int, horizon: int) -> np.ndarray:
        """(L, horizon), from the step ahead `first`, 0 for the next; beyond those of training as at the last of them."""
        if how == "none":
            return np.ones((len(LEVELS), horizon))
        if how == "all":
            return np.repeat(np.array(self.all)[:, None], horizon, 1)
        found = np.array(self.steps)
        return found[:, (first + np.arange(horizon)).clip(max=found.shape[1] - 1)]

    def of_draws(self, how: Conformal, first: int, horizon: int, samples: int) -> np.ndarray:
        """(horizon, S): the factor of each of S draws in order, by the interval that ends at it."""
        ends = np.abs(2.0 * np.arange(1, samples + 1) / (samples + 1.0) - 1.0) * 100.0
        return np.stack([np.interp(ends, LEVELS, each) for each in self.factors(how, first, horizon).T])

    def applied(self, paths: np.ndarray, how: Conformal = "steps", first: int = 0) -> np.ndarray:
        """Paths whose quantiles are calibrated; what was the k-th largest at a step still is.

        Args:
            paths: (..., H, S).
            how: a factor for each step, one for all, or none.
            first: which step ahead the first of them is, from 0.
        """
        if how == "none":
            return paths
        H, S = paths.shape[-2:]
        order = np.argsort(paths, -1, kind="stable")
        ordered = np.take_along_axis(paths, order, -1)
        middle = np.median(ordered, -1, keepdims=True)
        moved = middle + self.of_draws(how, first, H, S) * (ordered - middle)
        # A factor that falls outwards must not have quantiles cross (Chernozhukov et al. 2010, Econometrica 78).
        moved = np.sort(moved, -1)
        found = np.empty_like(moved)
        np.put_along_axis(found, order, moved, -1)
        return found


def scores_of(paths: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(L, ...): how far what came lay from the median, in distances of each interval's bound on that side.

    Args:
        paths: (..., S).
        truth: (...), NaN where missing.
    """
    found: list[np.ndarray] = []
    middle = np.median(paths, -1)
    apart = truth - middle
    for level in LEVELS:
        low, high = sample_quantile(paths, edges(level))
        reach = np.where(apart < 0, middle - low, high - middle)
        inside = np.where(apart == 0, 0.0, np.inf)  # of an interval without a width
        with np.errstate(over="ignore"):
            found.append(np.where(reach > 0, np.abs(apart) / np.where(reach > 0, reach, 1.0), inside))
    return np.where(np.isnan(truth), np.nan, np.stack(found))


def _surely_wrong(scores: np.ndarray, apart: int) -> bool:
    """Whether what came lies within intervals more or less often than chance has it of so many forecasts."""
    for level in _JUDGED:
        its = scores[LEVELS.index(level)]
        share, promised = float((its[~np.isnan(its)] <= 1.0).mean()), level / 100.0
        if abs(share - promised) > _SURELY * np.sqrt(promised * (1.0 - promised) / apart):
            return True
    return False


def _each(scores: np.ndarray) -> Sequence[tuple[np.ndarray, int]]:
    """Those of the first levels, with these."""
    return list(zip(scores, LEVELS, strict=False))


def _around(scores: np.ndarray, step: int) -> np.ndarray:
    """Scores (N, H) of a step, and where those are few, of steps beside it."""
    for beside in range(scores.shape[1]):
        some = scores[:, max(step - beside, 0) : step + beside + 1]
        there = some[~np.isnan(some)]
        if len(there) >= _LEAST_SCORES:
            return there
    return scores[~np.isnan(scores)]


def _factor(scores: np.ndarray, percent: int) -> float:
    """The least factor with which another score is within the interval in so many percent: the k-th smallest of n, k / (n + 1)."""
    n = len(scores)
    if not n:
        return 1.0
    k = int(np.ceil((n + 1) * percent / 100.0))
    if k > n:  # no score of so few is large enough
        return max(1.0, min(float(scores.max()), _MOST_FACTOR))
    return min(float(np.sort(scores)[k - 1]), _MOST_FACTOR)
