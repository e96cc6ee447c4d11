import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.series.laying import following
from ostinato.data.series.layout import Layout
from ostinato.data.series.series import read_series
from ostinato.errors import DataError

START = datetime.datetime(2024, 1, 1)
DAYS = [START + datetime.timedelta(days=n) for n in range(140)]
HOURS = [START + datetime.timedelta(hours=n) for n in range(24 * 70)]
CALENDARS = {
    "hours": HOURS,
    "days": DAYS,
    "working days": [day for day in DAYS if day.weekday() < 5],
    "Sunday to Thursday": [day for day in DAYS if day.weekday() not in (4, 5)],
    "Monday to Saturday": [day for day in DAYS if day.weekday() != 6],
    "opening hours": [hour for hour in HOURS if hour.weekday() < 5 and 9 <= hour.hour <= 16],
    "nights": [hour for hour in HOURS if hour.hour >= 22 or hour.hour < 6],
    "months": [datetime.datetime(2000 + n // 12, n % 12 + 1, 15) for n in range(100)],
    "numbers": list(range(7, 500, 3)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("laying")


def table(folder, times, values=None):
    path = folder / "a.csv"
    values = range(len(times)) if values is None else values
    path.write_text("time,v\n" + "".join(f"{time},{value}\n" for time, value in zip(times, values, strict=True)))
    return path


@pytest.fixture(scope="module", params=CALENDARS)
def learnt(request, folder):
    """All times of a calendar, and the layout of a table of its first."""
    calendar = CALENDARS[request.param]
    of_training = read_series(table(folder, calendar[: len(calendar) * 3 // 4]))
    return calendar, Layout.from_dict(of_training.layout.to_dict())


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_rows_lie_on_the_grid_of_training(folder, learnt, data):
    """However few they are and whatever is left out: what is left out is missing, and times go on as in training."""
    calendar, layout = learnt
    later = calendar[len(calendar) // 2 :][:50]
    there = sorted(data.draw(st.sets(st.integers(0, len(later) - 7), min_size=1)))
    steps = np.diff(there)
    if len(steps) and np.gcd.reduce(steps) > 1 and (len(steps) > 5 or there[-1] - there[0] >= 5 * len(there)):
        return  # rows of a step of their own, which are refused
    (series,) = read_series(table(folder, [later[n] for n in there], there), like=layout).series
    assert series.times.tolist() == later[there[0] : there[-1] + 1]
    expected = np.full(there[-1] + 1 - there[0], np.nan)
    expected[np.array(there) - there[0]] = there
    np.testing.assert_array_equal(series.values[:, 0], expected)
    assert following(series.times, series.grid, 6).tolist() == later[there[-1] + 1 : there[-1] + 7]


@pytest.mark.parametrize(
    ("training", "rows", "message"),
    [
        (HOURS, DAYS[:29], "expected steps of 1 hour, as in training, got 1 day; give a row for each step"),
        (HOURS, [hour + datetime.timedelta(minutes=30 * n) for n, hour in enumerate(HOURS[:1] * 20)], "got 30 minutes"),
        (
            CALENDARS["working days"],
            DAYS[:20],
            r"2024-01-06, a Saturday, is no time of .*, 1 day, Monday to Friday; leave",
        ),
        (
            CALENDARS["opening hours"],
            [*CALENDARS["opening hours"][:3], START.replace(hour=17)],
            "T17:00:00, a Monday, is no",
        ),
        (
            CALENDARS["working days"],
            HOURS[9:17],
            "expected steps of 1 day, Monday to Friday, as in training, got 1 hour",
        ),
        (DAYS, [1, 2, 3], "expected steps of 1 day, as in training, got whole numbers"),
        (CALENDARS["numbers"], DAYS[:3], "expected steps of 3, as in training, got dates"),
    ],
)
def test_other_times_are_told(folder, training, rows, message):
    layout = read_series(table(folder, training)).layout
    with pytest.raises(DataError, match=message):
        read_series(table(folder, rows), like=layout)


def test_a_rare_row_beside_the_pattern_is_left_out_and_told(folder):
    rows = sorted([*CALENDARS["working days"], DAYS[5]])
    found = read_series(table(folder, rows))
    assert found.series[0].times.tolist() == CALENDARS["working days"]
    assert found.notes[0].endswith(
        "2024-01-06, a Saturday, is no time of the steps, 1 day, Monday to Friday: left out 1 such of 101 rows"
    )


def test_many_missing_steps_and_times_without_a_rule_are_told(folder):
    drawn = np.random.default_rng(0).choice(np.arange(1, 999), 498, replace=False)
    half = [HOURS[n] for n in sorted([0, *drawn, 999])]
    assert read_series(table(folder, half)).notes == ("50% of the steps (1 hour) have no row: they are missing values",)
    strange = [START + datetime.timedelta(seconds=int(n) ** 3) for n in range(1, 60)]
    assert read_series(table(folder, strange)).notes[0].startswith("the times follow no rule")


def test_the_hour_of_autumn_is_told_as_that(folder):
    local = [hour + datetime.timedelta(days=298) for hour in HOURS[:48]]
    twice = sorted([*local, datetime.datetime(2024, 10, 26, 2)])
    with pytest.raises(DataError, match=r"is there twice, as where clocks are put back; write times with their offset"):
        read_series(table(folder, twice))
    with pytest.raises(DataError, match=r"is there twice; name the column that tells series apart"):
        read_series(table(folder, sorted([*local, *local])))
    with pytest.raises(DataError, match=r"is there twice; name the column that tells series apart"):
        read_series(table(folder, sorted([*DAYS[:48], DAYS[30]])))
