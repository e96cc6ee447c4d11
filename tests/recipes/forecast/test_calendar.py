import datetime

import numpy as np
import pytest

from ostinato.recipes.forecast.calendar import calendar, find_cycles, find_season, step_seconds


def wave(period, count=600, noise=0.15, seed=0):
    return np.sin(2 * np.pi * np.arange(count) / period) + noise * np.random.default_rng(seed).normal(size=count)


@pytest.mark.parametrize(
    ("period", "step", "season"),
    [
        (24, "1 hour", 24),
        (48, "30 minutes", 48),
        (7, "1 day", 7),
        (52, "7 days", 52),
        (12, "1 month", 12),
        (4, "3 months", 4),
        (37, "row", 37),
        (9, "1", 9),
    ],
)
def test_the_season_of_a_wave_is_found(period, step, season):
    values = wave(period, noise=0.15 if " " in step else 0.03)
    values[::17] = np.nan
    assert find_season([values], step) == season
    assert find_season([1e6 + 1e3 * values, wave(period, seed=1)], step) == season


@pytest.mark.parametrize("step", ["1 hour", "1 day", "row", "1 month", "12 months"])
def test_noise_and_random_walks_have_no_season(step):
    draw = np.random.default_rng(0).normal(size=800)
    assert find_season([draw], step) == 1
    assert find_season([draw.cumsum()], step) == 1


def test_a_constant_and_a_short_series_have_no_season():
    assert find_season([np.full(100, 3.0)], "1 hour") == 1
    assert find_season([wave(24, 30)], "1 hour") == 1
    assert find_season([], "1 hour") == 1


def test_a_season_may_be_longer_than_a_day():
    week = wave(168, 168 * 6)
    assert find_season([week], "1 hour") == 168


def test_how_long_a_step_is():
    assert step_seconds("15 minutes") == 900
    assert step_seconds("7 days") == 604_800
    assert step_seconds("row") is None
    assert step_seconds("3") is None


def hours(count):
    return np.datetime64("2023-12-30T00", "us") + np.arange(count) * np.timedelta64(1, "h")


def test_cycles_must_have_been_seen_three_times():
    assert find_cycles([hours(60)], "1 hour") == ()
    assert find_cycles([hours(80)], "1 hour") == ("day",)
    assert find_cycles([hours(80), hours(600)], "1 hour") == ("day", "week")
    assert find_cycles([hours(24 * 366 * 3 + 24)], "1 hour") == ("day", "week", "year")
    assert find_cycles([np.arange(500)], "1") == ()
    days = np.datetime64("2020-01-01", "us") + np.arange(2000) * np.timedelta64(1, "D")
    assert find_cycles([days], "1 day") == ("week", "year")
    assert find_cycles([days[np.is_busday(days.astype("datetime64[D]"))]], "row") == ("week", "year")


def test_places_on_the_circle_are_those_of_python_dates():
    times = hours(24 * 9)
    found = calendar(times, ("day", "week", "year"))
    assert found.shape == (len(times), 6)
    np.testing.assert_allclose((found.reshape(-1, 3, 2) ** 2).sum(-1), 1.0)
    for at, moment in enumerate(times.tolist()):
        year = datetime.datetime(moment.year, 1, 1)
        days = (datetime.datetime(moment.year + 1, 1, 1) - year).days
        shares = [moment.hour / 24, None, (moment - year).total_seconds() / 86400 / days]
        for cycle, share in enumerate(shares):
            if share is not None:
                angle = 2 * np.pi * share
                np.testing.assert_allclose(
                    found[at, 2 * cycle : 2 * cycle + 2], [np.sin(angle), np.cos(angle)], atol=1e-9
                )
    np.testing.assert_allclose(found[:48, 2:4], found[168 : 168 + 48, 2:4], atol=1e-9)
    assert calendar(times, ()).shape == (len(times), 0)
