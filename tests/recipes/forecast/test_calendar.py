import datetime

import numpy as np
import pytest

from ostinato.data.series.grids import DAY, SECOND, Every, Months, Slots
from ostinato.recipes.forecast.calendar import calendar, find_cycles, find_season, season_of

HOUR = 3600 * SECOND
WORKING_DAYS = Slots(DAY, tuple(day * DAY for day in range(5)))
OPEN = Slots(HOUR, tuple(day * DAY + hour * HOUR for day in range(5) for hour in range(9, 17)))


def wave(period, count=600, noise=0.15, seed=0):
    return np.sin(2 * np.pi * np.arange(count) / period) + noise * np.random.default_rng(seed).normal(size=count)


@pytest.mark.parametrize(
    ("period", "grid", "season"),
    [
        (24, Every(HOUR), 24),
        (48, Every(HOUR // 2), 48),
        (7, Every(DAY), 7),
        (52, Every(7 * DAY), 52),
        (12, Months(1), 12),
        (4, Months(3), 4),
        (37, None, 37),
        (9, Every(1, dated=False), 9),
        (5, WORKING_DAYS, 5),
        (8, OPEN, 8),
        (40, OPEN, 40),
        (7, Months(1, of_year=tuple(range(4, 11))), 7),
    ],
)
def test_the_season_of_a_wave_is_found(period, grid, season):
    is_dated = grid is not None and grid.step_seconds is not None
    values = wave(period, noise=0.15 if is_dated else 0.03)
    values[::17] = np.nan
    assert find_season([values], grid) == season
    assert find_season([1e6 + 1e3 * values, wave(period, seed=1)], grid) == season


@pytest.mark.parametrize("grid", [Every(HOUR), Every(DAY), None, Months(1), Months(12), OPEN])
def test_noise_and_random_walks_have_no_season(grid):
    draw = np.random.default_rng(0).normal(size=800)
    assert find_season([draw], grid) == 1
    assert find_season([draw.cumsum()], grid) == 1


@pytest.mark.parametrize("count", [72, 100, 150])
@pytest.mark.parametrize("grid", [Every(HOUR), None])
def test_short_noise_has_hardly_ever_a_season_with_gaps_or_without(count, grid):
    seasons = []
    for seed in range(20):
        draw = np.random.default_rng(seed)
        noise = draw.normal(size=count)
        with_gaps = np.where(draw.random(count) < 0.3, np.nan, noise)
        seasons += [find_season([each], grid) != 1 for each in (noise, noise.cumsum(), with_gaps)]
    assert sum(seasons) <= 5  # of 60


@pytest.mark.parametrize("period", [12, 24, 37])
def test_a_season_of_any_number_of_steps_is_not_taken_for_several_of_it(period):
    # Of one step to the next most of the change is noise, which the longer lags do not look at.
    found = [find_season([wave(period, noise=0.33, seed=seed)], None) for seed in range(5)]
    assert all(abs(each - period) <= 1 for each in found)


def sold(shops, days, mean, times, seed):
    """Counts of shops that sell so many times as much at weekends."""
    draw = np.random.default_rng(seed)
    means = mean * np.where(np.arange(days) % 7 >= 5, times, 1.0)
    return [draw.negative_binomial(4, 4 / (4 + means)).astype(float) for _ in range(shops)]


@pytest.mark.parametrize("grid", [Every(DAY), None])
@pytest.mark.parametrize(("shops", "days", "mean", "times"), [(4, 140, 7, 2), (1, 700, 3, 2), (50, 300, 1, 1.5)])
def test_a_week_that_noise_hides_is_found_by_all_series_together(shops, days, mean, times, grid):
    found = [find_season(sold(shops, days, mean, times, seed), grid) for seed in range(4)]
    assert found.count(7) >= 3
    assert set(found) <= {1, 7}


def test_what_is_alike_after_several_weeks_has_weeks():
    # So faint that one week after the other is not sure, and which number of weeks is alike most is chance.
    found = [season_of(sold(50, 1600, 1.2, 1.25, seed), Every(DAY)) for seed in range(1, 4)]
    assert set(found) <= {1, 7}
    assert found.count(7) >= 2


@pytest.mark.parametrize("grid", [Every(HOUR), Every(DAY), None])
def test_many_series_of_noise_have_no_season(grid):
    for seed in range(3):
        draw = np.random.default_rng(seed)
        noise = draw.poisson(2, size=(20, 400)).astype(float)
        smooth = [np.convolve(each, np.full(20, 0.05), "valid") for each in draw.normal(size=(10, 600))]
        for series in (list(noise), list(draw.normal(size=(20, 400)).cumsum(1)), smooth):
            assert find_season(series, grid) == 1


def test_a_constant_and_a_short_series_have_no_season():
    assert find_season([np.full(100, 3.0)], Every(HOUR)) == 1
    assert find_season([wave(24, 30)], Every(HOUR)) == 1
    assert find_season([], Every(HOUR)) == 1


def test_a_season_may_be_longer_than_a_day():
    week = wave(168, 168 * 6)
    assert find_season([week], Every(HOUR)) == 168


def hours(count):
    return np.datetime64("2023-12-30T00", "us") + np.arange(count) * np.timedelta64(1, "h")


def test_cycles_must_have_been_seen_three_times():
    assert find_cycles([hours(60)], Every(HOUR)) == ()
    assert find_cycles([hours(80)], Every(HOUR)) == ("day",)
    assert find_cycles([hours(80), hours(600)], Every(HOUR)) == ("day", "week")
    assert find_cycles([hours(24 * 366 * 3 + 24)], Every(HOUR)) == ("day", "week", "year")
    assert find_cycles([np.arange(500)], Every(1, dated=False)) == ()
    days = np.datetime64("2020-01-01", "us") + np.arange(2000) * np.timedelta64(1, "D")
    assert find_cycles([days], Every(DAY)) == ("week", "year")
    assert find_cycles([days[np.is_busday(days.astype("datetime64[D]"))]], WORKING_DAYS) == ("week", "year")


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
