"""What anybody can forecast without a model: the last value, the value a season ago, the line through first and last value.

Each has the textbook's Gaussian around it, so that its CRPS and its intervals can be compared with a model's: the deviation of its
own one-step errors over the history before the origin, growing with the steps ahead (Hyndman & Athanasopoulos, *Forecasting:
Principles and Practice*, 3rd edition, table 5.2).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ostinato.recipes.forecast.data import Part, Track

BASELINES = ("last_value", "seasonal_naive", "drift")


def baseline(name: str, part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Its forecasts.

    Args:
        name: of `BASELINES`.
        part: what is forecast.

    Returns:
        Mean and standard deviation, (N, horizon) each.
    """
    one = {
        "last_value": _last_value,
        "seasonal_naive": partial(_seasonal_naive, season=part.season),
        "drift": _drift,
    }[name]
    mean, deviation = (np.zeros((len(part), part.horizon)) for _ in range(2))
    ahead = np.arange(1, part.horizon + 1)
    for track, rows in part.by_track():
        mean[rows], deviation[rows] = one(track, part.origin[rows][:, None], ahead)
    return mean, deviation


def _last_value(track: Track, origin: np.ndarray, ahead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = np.repeat(track.filled[origin - 1], len(ahead), 1)
    return mean, _error(track, 1)[origin] * np.sqrt(ahead)


def _seasonal_naive(track: Track, origin: np.ndarray, ahead: np.ndarray, season: int) -> tuple[np.ndarray, np.ndarray]:
    seasons = (ahead - 1) // season + 1
    place = origin + ahead - 1 - season * seasons
    before = track.filled[place.clip(0)]
    is_there = (place >= 0) & ~np.isnan(before)
    last, its_error = _last_value(track, origin, ahead)
    error = _error(track, season)[origin] * np.sqrt(seasons)
    return np.where(is_there, before, last), np.where(is_there & (error > 0), error, its_error)


def _drift(track: Track, origin: np.ndarray, ahead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first = int(np.argmax(~np.isnan(track.values)))
    steps = (origin - 1 - first).clip(1)
    slope = (track.filled[origin - 1] - track.values[first]) / steps
    # The slope is what the error of the last value is measured around.
    error = np.sqrt((np.square(_error(track, 1)[origin]) - np.square(slope)).clip(0))
    return track.filled[origin - 1] + slope * ahead, error * np.sqrt(ahead * (1.0 + ahead / steps))


def _error(track: Track, lag: int) -> np.ndarray:
    """(T + 1,): root mean square of x_t - x_{t-lag} over the steps before each; 0 where there are none."""
    apart = np.full(len(track), np.nan)
    apart[lag:] = track.values[lag:] - track.filled[:-lag]
    there = ~np.isnan(apart)
    sums = np.concatenate([[0.0], np.cumsum(np.square(np.where(there, apart, 0.0)))])
    return np.sqrt(sums / np.concatenate([[1], np.cumsum(there).clip(1)]))
