import datetime
import zoneinfo

import polars
import pytest

from ostinato.data.series.layout import Layout
from ostinato.data.series.series import read_series
from ostinato.data.sources.dialect import Dialect
from ostinato.errors import DataError

IDS = ["DE", "NA", "FR", "001", "1", "1.10", "1.1", "null", "None", "1e3"]


def write(path, text):
    path.write_text(text)
    return path


def dated(rows):
    return "".join(f"2024-01-{day:02},{row}\n" for day, row in enumerate(rows, start=1))


def test_ids_are_as_they_are_written(tmp_path):
    csv = write(tmp_path / "a.csv", "id,date,y\n" + "".join(f"{id}, 2024-01-01,5\n" for id in IDS))
    assert [series.id for series in read_series(csv).series] == IDS
    json = write(
        tmp_path / "a.jsonl",
        '{"id": 1.10, "date": "2024-01-01", "y": 5}\n{"id": "001", "date": "2024-01-01", "y": 5}\n',
    )
    assert [series.id for series in read_series(json).series] == ["1.10", "001"]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (polars.Series([7, 10]), ["7", "10"]),
        (polars.Series(["007", "NA"], dtype=polars.Categorical), ["007", "NA"]),
        (polars.Series(["b", "a"], dtype=polars.Enum(["a", "b"])), ["b", "a"]),
        (polars.Series([b"x", b"y"]), ["x", "y"]),
    ],
)
def test_ids_of_parquet_are_as_they_are_written(tmp_path, ids, expected):
    frame = polars.DataFrame({"id": ids, "date": [datetime.date(2024, 1, 1)] * 2, "y": [1.0, 2.0]})
    frame.write_parquet(tmp_path / "a.parquet")
    assert [series.id for series in read_series(tmp_path / "a.parquet").series] == expected


def test_a_row_without_an_id_is_told(tmp_path):
    path = write(tmp_path / "a.csv", "id,date,y\na,2024-01-01,1\n,2024-01-02,2\n")
    with pytest.raises(DataError, match=r"row 2 after the header: column 'id', which tells the series apart, is empty"):
        read_series(path)


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "Unnamed: 0.1", "index", "#", "Row", "id"])
def test_the_row_numbers_of_data_frames_are_not_forecast(tmp_path, name):
    path = write(tmp_path / "a.csv", f"{name},date,y\n" + "".join(f"{n},2024-01-{n + 1:02},5\n" for n in range(9)))
    assert read_series(path).values == ("y",)


def test_a_name_of_row_numbers_may_be_that_of_values(tmp_path):
    path = write(tmp_path / "a.csv", "no,date,y\n" + "".join(f"{7 * n},2024-01-{n + 1:02},5\n" for n in range(9)))
    assert read_series(path).values == ("no", "y")


def test_several_columns_that_nobody_named_are_told(tmp_path):
    path = write(tmp_path / "a.csv", "date,y,z\n" + dated(["1,2", "2,3", "5,4"]))
    assert read_series(path).notes == (
        f"{path}: forecasts all of its numbers, y, z; --reading.values '[y]' takes some",
    )
    assert not read_series(path, ["y", "z"]).notes


def test_an_index_of_dates_is_the_time(tmp_path):
    table = read_series(write(tmp_path / "a.csv", ",y,note\n" + dated(["1,a", "2,b"])))
    assert (table.values, table.step) == (("y",), "1 day")


def test_columns_that_hold_times_are_asked_for(tmp_path):
    path = write(tmp_path / "a.csv", "from,to,y\n" + dated(["2024-02-01,1", "2024-02-02,2"]))
    with pytest.raises(DataError, match=r"columns from, to hold times; name the one of the steps with --reading.time"):
        read_series(path)
    assert read_series(path, time="to").values == ("y",)


def test_parts_of_a_date_beside_it_are_not_forecast(tmp_path):
    path = write(tmp_path / "a.csv", "year,month,date,y\n" + "".join(f"2024,1,2024-01-0{n},5\n" for n in range(1, 9)))
    assert read_series(path).values == ("y",)


@pytest.mark.parametrize("cell", ["-", "", "n/a", "null", "."])
def test_a_missing_value_is_the_same_whether_its_column_is_named_or_not(tmp_path, cell):
    path = write(tmp_path / "a.csv", "date,sold,price\n" + dated(["3,1", f"{cell},2", '"1,003",3']))
    table, named = read_series(path), read_series(path, ["sold", "price"])
    assert table.values == named.values == ("sold", "price")
    assert (
        repr(table.series[0].values.tolist())
        == repr(named.series[0].values.tolist())
        == "[[3.0, 1.0], [nan, 2.0], [1003.0, 3.0]]"
    )


def test_a_column_of_numbers_with_a_word_is_told_and_not_left_out(tmp_path):
    path = write(tmp_path / "a.csv", "date,sold,price\n" + dated(["3,1", "closed,2", "5,3"]))
    with pytest.raises(
        DataError, match=r"row 2 .* column 'sold', got 'closed'.* or name the columns .* --reading.values"
    ):
        read_series(path)
    assert read_series(path, ["price"]).values == ("price",)


def test_rows_without_anything_are_no_rows(tmp_path):
    path = write(tmp_path / "a.csv", "date, y\n2024-01-01, 1\n,\n2024-01-02, 2\n,\n,\n")
    assert read_series(path).series[0].values.tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "lines",
    ["2024-01-01,1\n2024-01-02,2\n", "a,20240101,5\na,20240102,6\n", "1.1.2024;0,5\n2.1.2024;1,5\n", "1\n2\n3\n"],
)
def test_a_first_line_that_is_a_row_is_told_with_the_option(tmp_path, lines):
    path = write(tmp_path / "a.csv", lines)
    with pytest.raises(DataError, match=r"its first line, .* is a row and names no columns.* --reading.header false"):
        read_series(path)
    time, id = (None, None) if lines[0] != "a" else ("2", "1")
    table = read_series(path, time=time, id=id, dialect=Dialect(header=False))
    assert sum(map(len, table.series)) == lines.count("\n")


def test_years_may_be_the_names_of_columns(tmp_path):
    path = write(tmp_path / "a.csv", "time,2020,2021\n1,5,6\n2,7,8\n")
    assert read_series(path).values == ("2020", "2021")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "America/New_York"])
def test_a_day_of_a_zone_is_a_day_there(tmp_path, zone):
    """Though not of 24 hours of UTC where clocks change."""
    info = zoneinfo.ZoneInfo(zone)
    days = [datetime.datetime(2024, 3, 1, tzinfo=info) + datetime.timedelta(days=n) for n in range(60)]
    polars.DataFrame({"time": days, "y": range(60)}).write_parquet(tmp_path / "a.parquet")
    written = write(tmp_path / "a.csv", "time,y\n" + "".join(f"{day.isoformat()},{n}\n" for n, day in enumerate(days)))
    for path in (tmp_path / "a.parquet", written):
        table = read_series(path)
        assert table.step == "1 day"
        is_local = table.layout.clock == "local"
        shown = table.written.written(table.series[0].times, local=is_local)
        assert [text.replace("Z", "+00:00") for text in shown] == [day.isoformat() for day in days]


def test_opening_hours_of_a_zone_are_those_of_its_clocks(tmp_path):
    info = zoneinfo.ZoneInfo("Europe/Berlin")
    hours = [datetime.datetime(2024, 2, 1, tzinfo=info) + datetime.timedelta(hours=n) for n in range(24 * 90)]
    open_hours = [hour for hour in hours if hour.weekday() < 5 and 9 <= hour.hour <= 16]
    polars.DataFrame({"time": open_hours, "y": range(len(open_hours))}).write_parquet(tmp_path / "a.parquet")
    training = read_series(tmp_path / "a.parquet")
    assert (training.step, training.layout.clock) == ("1 hour, Monday to Friday, 09:00 to 16:00", "local")
    utc = [hour.astimezone(datetime.UTC).isoformat() for hour in open_hours[-5:-2]]
    later = write(tmp_path / "b.csv", "time,y\n" + "".join(f"{hour},1\n" for hour in utc))
    table = read_series(later, like=Layout.from_dict(training.layout.to_dict()))
    shown = table.written.written(table.series[0].times, local=True)
    assert shown == [hour.isoformat() for hour in open_hours[-5:-2]]


def test_a_zone_that_training_had_not_is_told(tmp_path):
    days = [f"2024-01-{day:02}T00:00:00" for day in range(1, 29)]
    naive, aware = (
        read_series(write(tmp_path / "a.csv", "time,y\n" + "".join(f"{day}{zone},1\n" for day in days)))
        for zone in ("", "+01:00")
    )
    assert (naive.layout.clock, aware.layout.clock) == ("", "local")
    path = write(tmp_path / "b.csv", f"time,y\n{days[0]}+05:00,1\n")
    assert "those of training have none" in read_series(path, like=naive.layout).notes[0]
    assert "other hours than those of training" in read_series(path, like=aware.layout).notes[0]
    path = write(tmp_path / "c.csv", f"time,y\n{days[0]},1\n")
    assert "its times have no zone" in read_series(path, like=aware.layout).notes[0]


def test_training_columns_are_taken_whatever_else_there_is(tmp_path):
    training = read_series(write(tmp_path / "a.csv", "id,date,y\na,2024-01-01,1\na,2024-01-02,2\n"))
    more = write(tmp_path / "b.csv", "x,y,date,id\n7,1,2024-01-01,a\n8,2,2024-01-02,a\n")
    assert read_series(more, like=training.layout).values == ("y",)
    other = write(tmp_path / "c.csv", "date,sold\n2024-01-01,1\n2024-01-02,2\n")
    assert "took 'sold', its only one of numbers" in read_series(other, like=training.layout).notes[0]
    with pytest.raises(DataError, match=r"has no column 'y', which training forecast; its columns are date, v, w"):
        read_series(write(tmp_path / "d.csv", "date,v,w\n2024-01-01,1,2\n"), like=training.layout)


def test_covariates_of_words_are_columns_of_0_and_1(tmp_path):
    rows = ["1,rain,2", "2,sun,3", "3,,4", "4,rain,5"]
    training = read_series(write(tmp_path / "a.csv", "date,y,sky,price\n" + dated(rows)), ["y"], known=["sky", "price"])
    assert training.known == ("sky=rain", "sky=sun", "price")
    known = training.series[0].known
    assert repr(known.tolist()) == "[[1.0, 0.0, 2.0], [0.0, 1.0, 3.0], [nan, nan, 4.0], [1.0, 0.0, 5.0]]"
    later = write(tmp_path / "b.csv", "date,y,sky,price\n" + dated(["1,sun,2", "2,snow,3"]))
    table = read_series(later, known=["sky", "price"], like=Layout.from_dict(training.layout.to_dict()))
    assert table.series[0].known.tolist() == [[0.0, 1.0, 2.0], [0.0, 0.0, 3.0]]
    assert table.notes[0].endswith("training never had 'snow' in column 'sky': read as none of its words")


def test_texts_are_no_covariate(tmp_path):
    path = write(tmp_path / "a.csv", "t,y,note\n" + "".join(f"{n},1,note {n}\n" for n in range(60)))
    with pytest.raises(DataError, match="covariate 'note' has 60 different words, such as 'note 0'; expected numbers"):
        read_series(path, ["y"], observed=["note"])


@pytest.mark.parametrize(
    ("trained", "row", "expected"),
    [
        ('{day};"{n},5"\n', "{day};1,003\n", 1.003),
        ('{day},"{n},5"\n', '{day},"1,003"\n', 1.003),
        ("{day};1.0{n},5\n", "{day};1.003\n", 1003),
        ("{day};{n}.5\n", "{day};1,003\n", 1003),
        ("{day};{n},5\n", "{day};0.5\n", 0.5),  # what the cells tell goes first
    ],
)
def test_a_number_that_could_be_two_is_read_as_in_training(tmp_path, trained, row, expected):
    header = "date;y\n" if ";" in trained else "date,y\n"
    for name, form in (("a", trained), ("b", row)):
        rows = "".join(form.format(day=f"2024-01-{n}", n=n) for n in range(10, 31))
        (tmp_path / f"{name}.csv").write_text(header + rows)
    layout = Layout.from_dict(read_series(tmp_path / "a.csv").layout.to_dict())
    assert read_series(tmp_path / "b.csv", like=layout).series[0].values[0] == expected


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y %H:%M"])
def test_the_order_of_day_and_month_is_that_of_training(tmp_path, form):
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(n) for n in range(40)]
    for name, some in (("a", days), ("b", days[31:34])):
        (tmp_path / f"{name}.csv").write_text("date,y\n" + "".join(f"{day:{form}},{day.day}\n" for day in some))
    layout = Layout.from_dict(read_series(tmp_path / "a.csv").layout.to_dict())
    later = read_series(tmp_path / "b.csv", like=layout)
    assert later.series[0].times.astype("datetime64[D]").tolist() == days[31:34]
    with pytest.raises(DataError, match="does not tell the day from the month"):
        read_series(tmp_path / "b.csv")
