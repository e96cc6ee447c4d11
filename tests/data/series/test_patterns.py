import numpy as np
import pytest

from ostinato.data.series.grids import OFF, day_in
from ostinato.data.series.patterns import find_grid, find_grids


def hours(days, start="2024-01-01"):
    return np.datetime64(start, "us") + np.arange(24 * days) * np.timedelta64(1, "h")


def weekday(times):
    return (times.astype("datetime64[D]").astype(int) + 3) % 7


def hour(times):
    return (times - times.astype("datetime64[D]")) // np.timedelta64(1, "h")


WORKING = {
    "Monday to Friday": (0, 1, 2, 3, 4),
    "Sunday to Thursday": (6, 0, 1, 2, 3),
    "Monday to Saturday": (0, 1, 2, 3, 4, 5),
    "Tuesday to Saturday": (1, 2, 3, 4, 5),
}
OPEN = {
    "1 hour, Monday to Friday, 09:00 to 16:00": lambda d, h: (d < 5) & (h >= 9) & (h < 17),
    "1 hour, Monday to Friday, 09:00 to 11:00, 13:00 to 16:00": lambda d, h: (d < 5) & (h >= 9) & (h < 17) & (h != 12),
    "1 hour, 00:00 to 05:00, 22:00 to 23:00": lambda d, h: (h >= 22) | (h < 6),
    "1 hour, Monday to Friday, all day": lambda d, h: d < 5,
    "1 hour, Monday to Saturday, 09:00 to 19:00": lambda d, h: (d < 6) & (h >= 9) & (h < 20),
}


@pytest.mark.parametrize("words", WORKING)
@pytest.mark.parametrize("missing", [0.0, 0.1, 0.3])
def test_working_days_are_found(words, missing):
    days = hours(200)[::24]
    there = days[np.isin(weekday(days), WORKING[words])]
    there = there[np.random.default_rng(0).random(len(there)) >= missing]
    grid = find_grid([there])
    assert str(grid) == f"1 day, {words}"
    assert (
        grid.after(there[-1], 400).tolist()
        == [
            day
            for day in (there[-1] + np.arange(1, 700) * np.timedelta64(1, "D")).tolist()
            if day.weekday() in WORKING[words]
        ][:400]
    )


@pytest.mark.parametrize(
    ("words", "weeks"), [("Monday to Friday", 2), ("Sunday to Thursday", 2), ("Monday to Saturday", 3)]
)
def test_a_few_weeks_tell_working_days(words, weeks):
    days = hours(7 * weeks)[::24]
    assert str(find_grid([days[np.isin(weekday(days), WORKING[words])]])) == f"1 day, {words}"
    times = hours(7 * weeks)
    there = times[np.isin(weekday(times), WORKING[words]) & (hour(times) > 8) & (hour(times) < 17)]
    assert str(find_grid([there])) == f"1 hour, {words}, 09:00 to 16:00"


@pytest.mark.parametrize("words", OPEN)
@pytest.mark.parametrize("missing", [0.0, 0.1, 0.3, 0.5])
def test_opening_hours_are_found(words, missing):
    all_hours = hours(70)
    there = all_hours[OPEN[words](weekday(all_hours), hour(all_hours))]
    there = there[np.random.default_rng(1).random(len(there)) >= missing]
    assert str(find_grid([there])) == words


def test_half_days_and_nights_are_found():
    times = hours(70)
    d, h = weekday(times), hour(times)
    saturdays = times[((d < 5) & (h >= 9) & (h < 17)) | ((d == 5) & (h >= 9) & (h < 13))]
    assert str(find_grid([saturdays])) == "1 hour, Monday to Friday, 09:00 to 16:00; Saturday, 09:00 to 12:00"
    nights = times[((d < 5) & (h >= 22)) | ((d > 0) & (d < 6) & (h < 6))]  # into Saturday morning
    assert str(find_grid([nights])).endswith("Saturday, 00:00 to 05:00")
    monday = np.datetime64("2024-03-11T22:00", "us")
    assert nights[-1] == np.datetime64("2024-03-09T05:00", "us")
    assert find_grid([nights]).after(nights[-1], 1).tolist() == [monday.tolist()]


@pytest.mark.parametrize("missing", [0.0, 0.1, 0.32, 0.6])
@pytest.mark.parametrize("seed", range(5))
def test_gaps_at_random_are_no_pattern(missing, seed):
    for times, words in ((hours(50), "1 hour"), (hours(400)[::24], "1 day")):
        draw = np.random.default_rng(seed).random(len(times))
        assert str(find_grid([times[draw >= missing]])) == words


def test_an_outage_is_no_pattern():
    times = hours(21)
    assert str(find_grid([times[(times < times[100]) | (times > times[160])]])) == "1 hour"
    assert str(find_grid([np.delete(times[::24], [5, 6])])) == "1 day"  # one weekend


def test_a_rare_sunday_belongs_to_no_pattern():
    days = hours(365)[::24]
    there = days[(weekday(days) < 5) | np.isin(days, days[[340, 354]])]
    grid = find_grid([there])
    assert str(grid) == "1 day, Monday to Friday"
    assert (grid.numbers(there) == OFF).sum() == (weekday(days[[340, 354]]) > 4).sum()


def test_other_cycles_are_found():
    days = hours(200)[::24]
    assert str(find_grid([days[np.arange(200) % 8 < 4]])) == "1 day, 4 of every 8 days"
    every_other = days[(weekday(days) < 5) | ((weekday(days) == 5) & (np.arange(200) // 7 % 2 == 0))]
    assert str(find_grid([every_other])) == "1 day, 11 of every 14 days"


@pytest.mark.parametrize(
    ("months", "words"),
    [
        (range(60), "1 month"),
        (range(0, 60, 3), "3 months"),
        (range(0, 120, 12), "12 months"),
        ([m for m in range(120) if 3 <= m % 12 <= 9], "1 month, of each year 4, 5, 6, 7, 8, 9, 10"),
        ([m for m in range(60) if m not in (5, 17, 31, 32)], "1 month"),
    ],
)
@pytest.mark.parametrize("day", [1, 15, 30, 31, 0, -1])
def test_months_are_found(months, words, day):
    assert str(find_grid([day_in(np.array(months) + 480, day)])) == words


def test_where_no_rule_holds_there_is_no_grid():
    draw = np.random.default_rng(0)
    seconds = np.unique(draw.integers(0, 10**7, 300))
    assert find_grid([np.datetime64("2024-01-01", "us") + seconds * np.timedelta64(1, "s")]) is None
    cubes = np.arange(1, 60) ** 3  # three days, in which no second of the day is there twice
    assert find_grid([np.datetime64("2024-01-01", "us") + cubes * np.timedelta64(1, "s")]) is None
    tens = np.sort(np.concatenate([day_in(np.arange(480, 540), day) for day in (10, 20, 31)]))
    assert find_grid([tens]) is None
    assert find_grid([np.array([1, 2, 40, 47])]) is None
    assert find_grid([]) is None
    assert find_grid([hours(1)[:1]]) is None


def test_series_may_have_patterns_of_their_own():
    days = hours(100)[::24]
    here, there = days[weekday(days) < 5], days[np.isin(weekday(days), WORKING["Sunday to Thursday"])]
    _, own = find_grids({"here": here, "there": there})
    assert {name: str(grid) for name, grid in own.items()} == {
        "here": "1 day, Monday to Friday",
        "there": "1 day, Sunday to Thursday",
    }
    common, own = find_grids({"a": here, "b": here[:30]})
    assert (str(common), own) == ("1 day, Monday to Friday", {})
