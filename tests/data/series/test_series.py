import datetime
import itertools

import numpy as np
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.series.series import read_series
from ostinato.errors import ConfigError, DataError


def write(path, text):
    path.write_text(text)
    return path


def days(*moments):
    return np.array(moments, dtype="datetime64[us]").tolist()


def test_gaps_of_a_grid_are_missing(tmp_path):
    path = write(
        tmp_path / "a.csv", "date,x,y\n" + "".join(f"2024-01-{d:02d},{d},-{d}\n" for d in range(1, 29) if d != 5)
    )
    table = read_series(path)
    (series,) = table.series
    assert (table.values, table.step, table.name) == (("x", "y"), "1 day", "a.csv")
    assert series.times.tolist() == days(*(f"2024-01-{d:02d}" for d in range(1, 29)))
    expected = np.array([[d, -d] if d != 5 else [np.nan, np.nan] for d in range(1, 29)], float)
    np.testing.assert_array_equal(series.values, expected)
    assert series.missing_share == pytest.approx(1 / 28)


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.integers(0, 59), min_size=48, max_size=60),
    st.sampled_from([1, 5, 60, 1440, 10080]),
    st.randoms(use_true_random=False),
)
def test_any_grid_is_found_from_rows_in_any_order(tmp_path_factory, positions, minutes, random):
    rows = sorted(positions)
    if not any(b - a == 1 for a, b in itertools.pairwise(rows)):
        return
    start = datetime.datetime(2023, 12, 31, 22, 30)
    moment = {p: start + datetime.timedelta(minutes=minutes * p) for p in rows}
    random.shuffle(rows)
    path = tmp_path_factory.mktemp("series") / "a.csv"
    path.write_text("time,v\n" + "".join(f"{moment[p]},{p}\n" for p in rows))
    (series,) = read_series(path).series
    first = min(rows)
    assert len(series) == max(rows) - first + 1
    for step, (when, value) in enumerate(zip(series.times, series.values[:, 0], strict=True)):
        assert when == np.datetime64(start + datetime.timedelta(minutes=minutes * (first + step)))
        assert value == first + step if first + step in moment else np.isnan(value)


@pytest.mark.parametrize(
    ("dates", "step", "filled"),
    [
        (["2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31"], "1 month", None),
        (["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01", "2024-06-01"], "1 month", (4, "2024-05-01")),
        (["2023-01-31", "2023-02-28", "2023-03-31", "2023-04-30", "2023-06-30"], "1 month", (4, "2023-05-31")),
        (["2023-03-31", "2023-06-30", "2023-09-30", "2023-12-31"], "3 months", None),
        (["2001-01-01", "2002-01-01", "2003-01-01", "2004-01-01"], "12 months", None),
        (["2024-01-01 00:00", "2024-01-01 00:15", "2024-01-01 00:30"], "15 minutes", None),
    ],
)
def test_calendars(tmp_path, dates, step, filled):
    table = read_series(write(tmp_path / "a.csv", "date,v\n" + "".join(f"{d},{i}\n" for i, d in enumerate(dates))))
    (series,) = table.series
    assert table.step == step
    expected = list(dates)
    if filled:
        expected.insert(*filled)
        assert np.isnan(series.values[filled[0], 0])
    assert series.times.tolist() == days(*expected)


def test_trading_days_are_the_working_days_and_holidays_are_missing(tmp_path):
    days = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]")
    working = [d for d in days if np.is_busday(d)]
    trading = [d for d in working if d not in np.array(["2024-01-15", "2024-02-19"], dtype="datetime64[D]")]
    path = write(tmp_path / "a.csv", "Date,close\n" + "".join(f"{d},{i}\n" for i, d in enumerate(trading)))
    table = read_series(path)
    assert (table.step, len(table.series[0])) == ("1 day, Monday to Friday", len(working))
    assert np.isfinite(table.series[0].values).sum() == len(trading)
    rows = read_series(path, grid="rows")
    assert (rows.step, len(rows.series[0])) == ("row", len(trading))
    filled = read_series(path, grid="fill")
    assert (filled.step, len(filled.series[0])) == ("1 day", 60)
    assert np.isfinite(filled.series[0].values).sum() == len(trading)


def test_a_grid_that_would_be_huge_is_told(tmp_path):
    path = write(tmp_path / "a.csv", "time,v\n2024-01-01 00:00:00.000001,1\n2024-01-02,2\n2024-02-01,3\n")
    assert read_series(path).step == "row"
    with pytest.raises(DataError, match=r"a grid of 1 microsecond would have .* --reading.grid rows"):
        read_series(path, grid="fill")


def test_many_series_with_covariates(tmp_path):
    path = write(
        tmp_path / "a.csv",
        "series,ds,sold,price,weather\nb,2024-01-02,2,0.5,9\na,2024-01-01,7,1.5,8\nb,2024-01-01,1,0.25,\na,2024-01-02,8,2.5,6\n",
    )
    table = read_series(path, ["sold"], known=["price"], observed=["weather"])
    assert [series.id for series in table.series] == ["b", "a"]
    b, a = table.series
    np.testing.assert_array_equal(b.values, [[1], [2]])
    np.testing.assert_array_equal(b.known, [[0.25], [0.5]])
    np.testing.assert_array_equal(b.observed, [[np.nan], [9]])
    np.testing.assert_array_equal(a.values, [[7], [8]])
    assert (table.known, table.observed) == (("price",), ("weather",))


def test_no_times_and_whole_numbers(tmp_path):
    plain = read_series(write(tmp_path / "a.csv", "v\n1\n\nNA\n4\n"))
    assert plain.step == "row"
    counted = read_series(
        write(tmp_path / "b.csv", "year,v\n" + "".join(f"{y},1\n" for y in range(1900, 1910) if y != 1905))
    )
    assert (counted.step, counted.values) == ("1", ("v",))
    assert counted.series[0].times.tolist() == list(range(1900, 1910))
    assert np.isnan(counted.series[0].values[5, 0])


def test_words_for_missing_values(tmp_path):
    path = write(
        tmp_path / "a.csv", "t,v\n" + "".join(f"{i},{w}\n" for i, w in enumerate(["1", "NA", "nan", "", "-", "2"]))
    )
    values = read_series(path, ["v"]).series[0].values[:, 0]
    np.testing.assert_array_equal(values, [1, np.nan, np.nan, np.nan, np.nan, 2])


def test_hours_of_parquet_with_a_time_zone_are_read_in_utc(tmp_path):
    import zoneinfo

    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    utc = [datetime.datetime(2024, 10, 26, 22, tzinfo=datetime.UTC) + datetime.timedelta(hours=h) for h in range(6)]
    frame = polars.DataFrame({"time": [moment.astimezone(zone) for moment in utc], "v": range(6)})
    frame.write_parquet(tmp_path / "a.parquet")
    table = read_series(tmp_path / "a.parquet")
    assert table.step == "1 hour"
    assert table.series[0].times.tolist() == [moment.replace(tzinfo=None) for moment in utc]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("date,v\n", "there is no row"),
        ("date,v\n2024-01-01,a\n2024-01-02,b\n", "has no column of numbers"),
        ("date,v\n2024-01-01,1\nyesterday,2\n", "row 2 after the header: expected a time such as .* got 'yesterday'"),
        ("date,v\n2024-01-01,1\n2024-01-01,2\n", "time 2024-01-01 is there twice"),
        ("id,date,v\na,2024-01-01,1\na,2024-01-01,2\n", "of series 'a' is there twice"),
        (
            "date,v\n2024-01-01,1\n2024-01-02,inf\n",
            "row 2 after the header: expected a number in column 'v', got 'inf'",
        ),
        ("date,v\n2024-01-01,1,2\n", "line 2: has 3 cells"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read_series(write(tmp_path / "a.csv", content))
    assert "\n" not in str(caught.value)


def test_columns_that_are_wrong_are_told(tmp_path):
    path = write(tmp_path / "a.csv", "date,v,w\n2024-01-01,1,high\n2024-01-02,2,3\n")
    with pytest.raises(DataError, match="row 1 after the header: expected a number in column 'w', got 'high'"):
        read_series(path, ["w"])
    with pytest.raises(DataError, match="has no column 'x'"):
        read_series(path, ["x"])
    with pytest.raises(ConfigError, match="column 'v' has two parts"):
        read_series(path, ["v"], known=["v"])
    with pytest.raises(ConfigError, match="grid must be auto, fill or rows"):
        read_series(path, ["v"], grid="day")  # pyright: ignore[reportArgumentType]
