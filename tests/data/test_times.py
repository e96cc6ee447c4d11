import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.times import parse_times, times_after
from ostinato.errors import DataError


def at(*moments):
    return np.array(moments, dtype="datetime64[us]").tolist()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["2024-05-31"], ["2024-05-31"]),
        (["20240531"], ["2024-05-31"]),
        (["2024/5/31"], ["2024-05-31"]),
        (["2024-5-1 9:05"], ["2024-05-01T09:05"]),
        ([" 2024-05-31 23:00 "], ["2024-05-31T23:00"]),
        (["2024-05-31T23:00:01.5"], ["2024-05-31T23:00:01.5"]),
        (["2024-05-31T23:00:00Z", "2024-06-01T00:00:00+02:00"], ["2024-05-31T23:00", "2024-05-31T22:00"]),
        (["2024-05", "2024-06"], ["2024-05-01", "2024-06-01"]),
        (["31.05.2024", "1.6.2024 9:30"], ["2024-05-31", "2024-06-01T09:30"]),
        (["01.02.2024"], ["2024-02-01"]),
        (["1/2/2024", "1/13/2024 10:00"], ["2024-01-02", "2024-01-13T10:00"]),
        (["1/2/2024", "13/2/2024"], ["2024-02-01", "2024-02-13"]),
        ([], []),
    ],
)
def test_forms(written, expected):
    assert parse_times(written).tolist() == at(*expected)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.datetimes(datetime.datetime(1000, 1, 1)), min_size=1, max_size=5),
    st.sampled_from(["%Y-%m-%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S.%f"]),
)
def test_what_python_writes_is_read(moments, form):
    assert parse_times([moment.strftime(form) for moment in moments]).tolist() == moments


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (["2024-05-31", "yesterday"], "row 2 after the header: expected a time such as .* got 'yesterday'"),
        (["2024-05-31", None], "row 2 after the header: expected a time"),
        (["2024-02-30"], "row 1 after the header: expected a time"),
        (["1/2/2024", "3/4/2024"], "row 1 .*'1/2/2024' does not tell the day from the month"),
        (["1/13/2024", "13/1/2024"], "row 1 after the header: expected a time"),
        (["2024-05-31T00:00Z", "2024-05-31T01:00"], "row 2 after the header: expected a zone in all times or in none"),
    ],
)
def test_what_is_no_time_is_told(written, message):
    with pytest.raises(DataError, match=message):
        parse_times(written)


@pytest.mark.parametrize(
    ("times", "step", "after"),
    [
        (["2024-02-28T22:00", "2024-02-28T23:00"], "1 hour", ["2024-02-29T00:00", "2024-02-29T01:00"]),
        (["2024-02-27", "2024-02-28"], "1 day", ["2024-02-29", "2024-03-01"]),
        (["2024-02-22", "2024-02-29"], "7 days", ["2024-03-07", "2024-03-14"]),
        (["2023-12-01", "2024-01-01"], "1 month", ["2024-02-01", "2024-03-01"]),
        (["2023-12-31", "2024-01-31"], "1 month", ["2024-02-29", "2024-03-31"]),
        (["2023-06-30", "2023-09-30"], "3 months", ["2023-12-31", "2024-03-31"]),
        (["2022-02-28", "2023-02-28"], "12 months", ["2024-02-28", "2025-02-28"]),
        (["2024-01-15T12:00", "2024-02-15T12:00"], "1 month", ["2024-03-15T12:00", "2024-04-15T12:00"]),
        (["2024-01-01T00:00:01", "2024-01-01T00:00:06"], "5 seconds", ["2024-01-01T00:00:11", "2024-01-01T00:00:16"]),
        (["2024-05-02", "2024-05-03"], "row", ["2024-05-06", "2024-05-07"]),  # Thursday, Friday; Monday, Tuesday
        (["2024-05-04", "2024-05-06", "2024-05-08"], "row", ["2024-05-10", "2024-05-12"]),
        (["2024-05-02T10:00", "2024-05-03T10:00"], "row", ["2024-05-04T10:00", "2024-05-05T10:00"]),
    ],
)
def test_the_times_that_follow(times, step, after):
    found = times_after(np.array(times, dtype="datetime64[us]"), step, 2)
    assert found.tolist() == np.array(after, dtype="datetime64[us]").tolist()
    assert found.dtype == np.dtype("datetime64[us]")


def test_the_numbers_that_follow():
    assert times_after(np.array([3, 5]), "2", 3).tolist() == [7, 9, 11]
    assert times_after(np.array([3, 4, 9]), "row", 2).tolist() == [12, 15]  # the middle of gaps of 1 and 5
    assert times_after(np.array([7]), "row", 2).tolist() == [8, 9]
    assert times_after(np.array([7]), "row", 0).tolist() == []
