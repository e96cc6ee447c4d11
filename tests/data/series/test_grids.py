"""Grids beside the calendar of Python's datetime, hour by hour."""

import datetime
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.data.series.grids import (
    DAY,
    FIRST_WORKING_DAY,
    LAST_WORKING_DAY,
    OFF,
    SECOND,
    Every,
    Months,
    Slots,
    days_of_months,
    grid_from_dict,
)

HOUR = 3600 * SECOND


def at(*moments):
    return np.array(moments, dtype="datetime64[us]")


def slots(days, hours=(0,), base=DAY):
    return Slots(base, tuple(sorted(day * DAY + int(hour * HOUR) for day in days for hour in hours)))


def by_hand(last, count, is_there, step=datetime.timedelta(hours=1)):
    """The next times, found one after the other."""
    moment, found = last, []
    while len(found) < count:
        moment += step
        if is_there(moment):
            found.append(moment)
    return found


WEEKS = {
    "Monday to Friday": range(5),
    "Sunday to Thursday": (6, 0, 1, 2, 3),
    "Monday to Saturday": range(6),
    "Tuesday to Saturday": range(1, 6),
}


@pytest.mark.parametrize("days", WEEKS.values(), ids=list(WEEKS))
@pytest.mark.parametrize("hours", [(0,), range(9, 17), (9, 10, 11, 13, 14), (22, 23, 0, 1, 2, 3, 4, 5)])
@given(data=st.data())
def test_times_that_follow_are_those_of_the_calendar(days, hours, data):
    grid = slots(days, hours, DAY if hours == (0,) else HOUR)
    start = data.draw(st.datetimes(datetime.datetime(1960, 1, 1), datetime.datetime(2050, 1, 1)))
    (last,) = by_hand(
        start.replace(minute=0, second=0, microsecond=0), 1, lambda m: m.weekday() in days and m.hour in hours
    )
    expected = by_hand(last, 30, lambda m: m.weekday() in days and m.hour in hours)
    assert grid.after(np.datetime64(last), 30).tolist() == expected


@given(
    st.one_of(
        st.builds(Every, st.integers(1, 400).map(lambda n: n * HOUR), st.integers(0, DAY)),
        st.builds(
            slots, st.sets(st.integers(0, 6), min_size=1), st.sets(st.integers(0, 23), min_size=1), st.just(HOUR)
        ),
        st.builds(Months, st.sampled_from([1, 3, 12]), st.integers(-1, 31), st.integers(0, 23).map(HOUR.__mul__)),
        st.builds(
            lambda months: Months(1, of_year=tuple(sorted(months))),
            st.sets(st.integers(1, 12), min_size=1, max_size=11),
        ),
    ),
    st.integers(-2000, 2000),
)
def test_times_and_numbers_are_inverses_and_increase(grid, first):
    numbers = np.arange(first, first + 50)
    times = grid.times(numbers)
    assert (np.diff(times) > np.timedelta64(0, "us")).all()
    assert grid.numbers(times).tolist() == numbers.tolist()
    assert (grid.numbers(times + np.timedelta64(1, "us")) == OFF).all()
    assert grid_from_dict(json.loads(json.dumps(grid.to_dict()))) == grid
    assert grid.fitted(times).after(times[0], 49).tolist() == times[1:].tolist()


@pytest.mark.parametrize(
    ("times", "day", "after"),
    [
        (("2023-12-31", "2024-01-31"), 31, ("2024-02-29", "2024-03-31")),
        (("2024-01-30", "2024-02-29"), 30, ("2024-03-30", "2024-04-30")),
        (("2022-02-28", "2023-02-28"), 28, ("2024-02-28", "2025-02-28")),
        (("2023-06-30", "2023-09-30"), 31, ("2023-12-31", "2024-03-31")),
        (("2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"), 1, ("2024-05-01", "2024-06-01")),
        (("2024-05-01", "2024-06-03", "2024-07-01"), FIRST_WORKING_DAY, ("2024-08-01", "2024-09-02")),
        (("2024-05-31", "2024-06-28", "2024-07-31"), LAST_WORKING_DAY, ("2024-08-30", "2024-09-30")),
        (("2024-05-31", "2024-06-12"), None, ()),
    ],
)
def test_days_of_months(times, day, after):
    times = at(*times)
    assert days_of_months(times) == day
    if day is not None:
        months = int(np.diff(times.astype("datetime64[M]").astype(int))[0])
        assert Months(months).fitted(times).after(times[-1], 2).tolist() == at(*after).tolist()


def test_a_grid_begins_as_a_series_does():
    assert Every(HOUR).fitted(at("2024-01-01T00:30")).after(at("2024-01-01T00:30")[0], 1) == at("2024-01-01T01:30")
    evening = at("2024-01-05T18:00")  # a Friday
    assert slots(range(5)).fitted(evening).after(evening[0], 1) == at("2024-01-08T18:00")
    assert (slots(range(5), (9, 10), HOUR).fitted(evening).numbers(evening) == OFF).all()


@pytest.mark.parametrize(
    ("grid", "day", "week", "year"),
    [
        (Every(HOUR), 24, 168, 8766),
        (Every(DAY), 1, 7, 365),
        (slots(range(5)), 1, 5, 261),
        (slots(range(5), range(9, 17), HOUR), 8, 40, 2087),
        (slots(range(7), (22, 23, 0, 1), HOUR), 4, 28, 1461),
        (Months(1), 0, 0, 12),
        (Months(3), 0, 0, 4),
        (Months(1, of_year=(4, 5, 6)), 0, 0, 3),
        (Every(1, dated=False), None, None, None),
    ],
)
def test_how_many_steps_a_cycle_has(grid, day, week, year):
    assert [grid.steps_in(days * 86_400) for days in (1, 7, 365.25)] == [day, week, year]


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        (Every(90 * 60 * SECOND), "90 minutes"),
        (Every(7 * DAY), "7 days"),
        (Every(2, dated=False), "2"),
        (slots((6, 0, 1, 2, 3)), "1 day, Sunday to Thursday"),
        (slots((1, 4)), "1 day, Tuesday, Friday"),
        (slots(range(5), (9, 10, 11, 13, 14), HOUR), "1 hour, Monday to Friday, 09:00 to 11:00, 13:00 to 14:00"),
        (slots(range(5), range(24), HOUR), "1 hour, Monday to Friday, all day"),
        (Slots(HOUR, (9 * HOUR, 10 * HOUR), DAY), "1 hour, 09:00 to 10:00"),
        (Slots(DAY, (0, DAY), 8 * DAY), "1 day, 2 of every 8 days"),
        (Months(3), "3 months"),
        (Months(1, of_year=(1, 2)), "1 month, of each year 1, 2"),
    ],
)
def test_a_grid_in_words(grid, words):
    assert str(grid) == words


@pytest.mark.parametrize(
    "changes",
    [{"size": 0}, {"size": "1"}, {"kind": "Row"}, {"more": 1}, {"kind": "Slots"}, {"begin": [1.5]}, {"begin": None}],
)
def test_what_is_no_grid_is_refused(changes):
    with pytest.raises((KeyError, TypeError, ValueError)):
        grid_from_dict({**Every(HOUR).to_dict(), **changes})
