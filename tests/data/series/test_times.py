import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.series.times import Times, parse_numbers, parse_times
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
        (["2024Q4", "2025-Q1"], ["2024-10-01", "2025-01-01"]),
        (["2024-W52", "2025-W01"], ["2024-12-23", "2024-12-30"]),
        (["2024-W52-7"], ["2024-12-29"]),
        (["5/31/2024 12:05 AM", "5/31/2024 11:00 PM"], ["2024-05-31T00:05", "2024-05-31T23:00"]),
        (["1-2-2024", "31-5-2024"], ["2024-02-01", "2024-05-31"]),
        ([], []),
    ],
)
def test_forms(written, expected):
    assert parse_times(written).moments.tolist() == at(*expected)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.datetimes(datetime.datetime(1000, 1, 1)), min_size=1, max_size=5),
    st.sampled_from(["%Y-%m-%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S.%f"]),
)
def test_what_python_writes_is_read(moments, form):
    assert parse_times([moment.strftime(form) for moment in moments]).moments.tolist() == moments


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
    "written",
    [
        ["2024-05-31", "2024-06-01"],
        ["20240531", "20240601"],
        ["2024/5/31", "2024/6/1"],
        ["31.5.2024", "1.6.2024"],
        ["12/31/2024 23:00", "01/01/2025 00:00"],
        ["5/31/2024 11:00 PM", "6/1/2024 1:00 AM"],
        ["2024-05-31 23:00:00", "2024-06-01 00:00:00"],
        ["2024-05-31T23:00", "2024-06-01T00:00"],
        ["2024-05-31T23:00:00Z", "2024-06-01T00:00:00Z"],
        ["2024-10-27T02:00:00+02:00", "2024-10-27T03:00:00+01:00"],
        ["2024-05-31 23:00:00.250000-0330", "2024-06-01 00:00:00.500000-0330"],
        ["2024-11", "2024-12"],
        ["202411", "202412"],
        ["2024Q4", "2025Q1"],
        ["2024-W52", "2025-W01"],
    ],
)
def test_times_are_written_as_they_came(written):
    times = parse_times(written)
    assert times.written(times.moments) == written
    assert times.written(times.local, local=True) == written


def test_times_to_come_have_the_offset_that_was_last():
    times = parse_times(["2024-10-27T01:00+02:00", "2024-10-27T03:00+01:00"])
    later = np.array(["2024-10-28T00:00"], dtype="datetime64[us]")
    assert times.written(later) == ["2024-10-28T01:00+01:00"]
    assert times.written(later, local=True) == ["2024-10-28T00:00+01:00"]


def test_a_zone_with_a_name_has_the_offset_of_its_rules():
    summer = np.array(["2024-03-30T23:00", "2024-03-31T22:00"], dtype="datetime64[us]")
    form = parse_times(["2024-01-01T00:00:00+01:00"]).form
    times = Times(summer[:1], form, np.array([3_600_000_000]), "Europe/Berlin")
    assert times.written(summer) == ["2024-03-31T00:00:00+01:00", "2024-04-01T00:00:00+02:00"]


@pytest.mark.parametrize(
    ("numbers", "moments"),
    [
        ([202311, 202312], ["2023-11-01", "2023-12-01"]),
        ([20231130, 20231201], ["2023-11-30", "2023-12-01"]),
        ([202311, 202313], None),
        ([1999, 2000], None),
        ([150011, 150012], None),
        ([1_700_000_000, 1_700_003_600], None),
    ],
)
def test_whole_numbers_may_be_days_or_months(numbers, moments):
    times = parse_numbers(np.array(numbers))
    assert times.moments.tolist() == (numbers if moments is None else at(*moments))
    assert times.written(times.moments) == numbers


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%d.%m.%Y"]
)
def test_long_columns_are_read_as_short_ones_are(form):
    days = [datetime.datetime(2023, 12, 1, 7, 30, 9, 250_000) + datetime.timedelta(days=n) for n in range(150)]
    written = [day.strftime(form) for day in days]
    long, short = parse_times(written), [parse_times([cell]) for cell in written]
    assert long.moments.tolist() == [each.moments[0].tolist() for each in short]
    assert long.form == short[-1].form
    with pytest.raises(DataError, match="row 100 after the header: expected a time"):
        parse_times([*written[:99], "2024-13-01".ljust(len(written[0])), *written[100:]])


def test_hours_are_written_where_days_had_none():
    times = parse_times(["2024-05-31"])
    assert times.written(times.moments + np.timedelta64(90, "m")) == ["2024-05-31T01:30:00"]
