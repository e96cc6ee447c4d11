import numpy as np
import pytest

from ostinato.recipes.forecast.baselines import BASELINES, baseline
from ostinato.recipes.forecast.data import ForecastPart, Track
from ostinato.recipes.forecast.metrics import crps_of_gaussian

CONTEXT = 8


def part_of(values, origins, horizon, season):
    nothing = np.zeros((len(values), 0))
    track = Track("", np.arange(len(values)), values, nothing, nothing)
    zeros = np.zeros(len(origins), dtype=np.int64)
    return ForecastPart("", (track,), "1", zeros, np.array(origins), horizon, CONTEXT, season, (len(values),), ((), ()))


def by_hand(name, past, horizon, season):
    """From the past alone, in loops."""
    there = [(t, v) for t, v in enumerate(past) if not np.isnan(v)]
    (first, begin), (_, last) = there[0], there[-1]
    n = len(past)

    def before(t):
        return next((past[s] for s in range(t, -1, -1) if not np.isnan(past[s])), np.nan)

    def error(lag):
        apart = [v - before(t - lag) for t, v in there if t >= lag and not np.isnan(before(t - lag))]
        return np.sqrt(np.mean(np.square(apart))) if apart else 0.0

    def mean_at(t, origin):
        """Of the last CONTEXT steps before the origin, a whole number of seasons before t."""
        at = [s for s in range(max(0, origin - CONTEXT), origin) if (t - s) % season == 0 and not np.isnan(past[s])]
        return np.mean([past[s] for s in at]) if at else np.nan

    found = []
    for h in range(1, horizon + 1):
        if name == "last_value":
            found.append((last, error(1) * np.sqrt(h)))
        elif name == "seasonal_naive":
            k = -(-h // season)
            at = n - 1 + h - season * k
            known = at >= 0 and not np.isnan(before(at))
            found.append((before(at), error(season) * np.sqrt(k)) if known else (last, error(1) * np.sqrt(h)))
        elif name == "season_mean":
            apart = [v - mean_at(t, t) for t, v in there if not np.isnan(mean_at(t, t))]
            mean, known = mean_at(n - 1 + h, n), bool(apart)
            deviation = np.sqrt(np.mean(np.square(apart))) if known else 0.0
            found.append((last, error(1) * np.sqrt(h)) if np.isnan(mean) else (mean, deviation))
        else:
            steps = n - 1 - first
            slope = (last - begin) / steps
            residual = np.sqrt(max(error(1) ** 2 - slope**2, 0.0))
            found.append((last + slope * h, residual * np.sqrt(h * (1 + h / steps))))
    return np.array(found).T


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("season", [1, 3])
def test_baselines_are_what_the_past_alone_says(name, season):
    values = np.random.default_rng(0).normal(size=30).cumsum()
    values[[0, 7, 8, 13, 20]] = np.nan
    origins = [6, 9, 14, 21, 25]
    mean, deviation = baseline(name, part_of(values, origins, 5, season))
    for row, origin in enumerate(origins):
        expected = by_hand(name, values[:origin], 5, season)
        np.testing.assert_allclose(mean[row], expected[0], rtol=1e-9)
        np.testing.assert_allclose(deviation[row], expected[1], rtol=1e-9)


def test_a_series_shorter_than_a_season_gets_its_last_value():
    values = np.array([1.0, 4.0, 2.0, 9.0, 9.0])
    mean, deviation = baseline("seasonal_naive", part_of(values, [3], 2, 12))
    last = baseline("last_value", part_of(values, [3], 2, 12))
    np.testing.assert_array_equal(mean, last[0])
    np.testing.assert_array_equal(deviation, last[1])


def test_a_line_is_continued_with_certainty():
    mean, deviation = baseline("drift", part_of(np.arange(20.0), [10], 4, 1))
    np.testing.assert_allclose(mean, [[10, 11, 12, 13]])
    np.testing.assert_allclose(deviation, 0.0)


@pytest.mark.parametrize("name", ["seasonal_naive", "season_mean"])
def test_what_has_never_been_wrong_is_certain(name):
    """Its CRPS is its absolute error: 0 where the season goes on, and 3 where it does not."""
    values = np.arange(40.0) % 7
    mean, deviation = baseline(name, part_of(values, [20, 30], 10, 7))
    truth = np.stack([values[20:30], values[30:40] + 3])
    np.testing.assert_array_equal(deviation, 0.0)
    np.testing.assert_allclose(crps_of_gaussian(mean, deviation, truth), [[0.0] * 10, [3.0] * 10], atol=1e-12)


def test_before_the_first_error_of_a_season_the_last_value_says_how_far_off():
    values = np.array([0.0, 5, 1, 4, 0, 5])
    _, deviation = baseline("seasonal_naive", part_of(values, [4], 2, 4))
    np.testing.assert_allclose(deviation, baseline("last_value", part_of(values, [4], 2, 4))[1])
    _, deviation = baseline("seasonal_naive", part_of(values, [5], 1, 4))
    assert deviation == 0.0
