"""What anybody can forecast without a model: the last value, the value a season ago, the mean of the season, a line.

Each has the textbook's Gaussian around it, so that its CRPS and its intervals can be compared with a model's: its
deviation is that of its own one-step errors over the history before the origin, and grows with the steps ahead (Hyndman
& Athanasopoulos, *Forecasting: Principles and Practice*, 3rd edition, table 5.2). If it has never been wrong, its
deviation is 0 and its CRPS the absolute error; if the history is too short for any error, the deviation is that of the
last value.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ostinato.recipes.forecast.data import ForecastPart, Track

BASELINES = ("last_value", "seasonal_naive", "season_mean", "drift")


def baseline(name: str, part: ForecastPart) -> tuple[np.ndarray, np.ndarray]:
    """The forecasts of a baseline.

    Args:
        name: one of `BASELINES`.
        part: the forecasts to make.

    Returns:
        Mean and standard deviation, (N, horizon) each.
    """
    one = {
        "last_value": _last_value,
        "seasonal_naive": partial(_seasonal_naive, season=part.season),
        "season_mean": partial(_season_mean, season=part.season, context=part.context),
        "drift": _drift,
    }[name]
    mean, deviation = (np.zeros((len(part), part.horizon)) for _ in range(2))
    ahead = np.arange(1, part.horizon + 1)
    for track, rows in part.by_track():
        mean[rows], deviation[rows] = one(track, part.origin[rows][:, None], ahead)
    return mean, deviation


def _last_value(track: Track, origin: np.ndarray, ahead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = np.repeat(track.filled[origin - 1], len(ahead), 1)
    return mean, np.nan_to_num(_error(_apart(track, 1))[origin]) * np.sqrt(ahead)


def _seasonal_naive(track: Track, origin: np.ndarray, ahead: np.ndarray, season: int) -> tuple[np.ndarray, np.ndarray]:
    seasons = (ahead - 1) // season + 1
    place = origin + ahead - 1 - season * seasons
    before = track.filled[place.clip(0)]
    is_there = (place >= 0) & ~np.isnan(before)
    last, its_error = _last_value(track, origin, ahead)
    error = _error(_apart(track, season))[origin] * np.sqrt(seasons)
    return np.where(is_there, before, last), np.where(is_there & ~np.isnan(error), error, its_error)


def _season_mean(
    track: Track, origin: np.ndarray, ahead: np.ndarray, season: int, context: int
) -> tuple[np.ndarray, np.ndarray]:
    """The mean at the same place of the season over `context` steps, as a model reads; its deviation does not grow."""
    mean = _mean_of_places(track, origin, (ahead - 1) % season, season, context)
    steps = np.arange(len(track))[:, None]
    error = _error(track.values - _mean_of_places(track, steps, np.array([0]), season, context)[:, 0])[origin]
    last, its_error = _last_value(track, origin, ahead)
    return np.where(np.isnan(mean), last, mean), np.where(np.isnan(mean) | np.isnan(error), its_error, error)


def _mean_of_places(track: Track, origin: np.ndarray, place: np.ndarray, season: int, context: int) -> np.ndarray:
    """The mean of values whole seasons before the steps `origin + place`, (N, places), within the past; NaN if none."""
    sums, counts = (np.zeros((len(origin), len(place))) for _ in range(2))
    for back in range(season, context + season, season):
        at = origin + place - back
        found = np.where((at >= 0) & (at >= origin - context), track.values[at.clip(0)], np.nan)
        sums, counts = sums + np.nan_to_num(found), counts + ~np.isnan(found)
    return np.where(counts > 0, sums / counts.clip(1), np.nan)


def _drift(track: Track, origin: np.ndarray, ahead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first = int(np.argmax(~np.isnan(track.values)))
    steps = (origin - 1 - first).clip(1)
    slope = (track.filled[origin - 1] - track.values[first]) / steps
    # The errors of the last value are measured around the slope.
    error = np.sqrt((np.square(np.nan_to_num(_error(_apart(track, 1))[origin])) - np.square(slope)).clip(0))
    return track.filled[origin - 1] + slope * ahead, error * np.sqrt(ahead * (1.0 + ahead / steps))


def _apart(track: Track, lag: int) -> np.ndarray:
    """Changes x_t - x_{t-lag}, (T,), with missing values of the past filled; NaN where there is none."""
    apart = np.full(len(track), np.nan)
    apart[lag:] = track.values[lag:] - track.filled[:-lag]
    return apart


def _error(apart: np.ndarray) -> np.ndarray:
    """The root mean square of errors over the steps before each step, (T + 1,); NaN if there are none."""
    there = ~np.isnan(apart)
    sums = np.concatenate([[0.0], np.cumsum(np.square(np.where(there, apart, 0.0)))])
    counts = np.concatenate([[0], np.cumsum(there)])
    return np.where(counts > 0, np.sqrt(sums / counts.clip(1)), np.nan)
