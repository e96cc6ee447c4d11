"""Columns as people name them: clocks, dates beside hours, wide tables with something beside, what is not to be read."""

import numpy as np
import polars
import pytest

from ostinato.data.recordings.columns import Columns, holds_recordings
from ostinato.data.recordings.tables import read_recording_table
from ostinato.errors import DataError


def table(folder, text, name="a.csv"):
    (folder / name).write_text(text)
    return folder / name


def read(path, labels=True, **named):
    return read_recording_table(path, Columns(**named), labels=labels)


def test_positions_keep_what_float32_would_round(tmp_path):
    found = read(table(tmp_path, "id,t,longitude,label\n1,0,13.4049541,a\n1,1,13.4049542,a\n"))
    assert found[0].values[:, 0].tolist() == [13.4049541, 13.4049542]


@pytest.mark.parametrize(
    ("name", "first", "later"),
    [
        ("ts_unix", "1700000000", "1700000001.5"),
        ("when", "1700000000000", "1700000001500"),
        ("recorded", "2024-01-01 10:00:00", "2024-01-01 10:00:01.5"),
    ],
)
def test_times_under_other_names_are_times(tmp_path, name, first, later):
    path = table(tmp_path, f"id,{name},v,label\n1,{later},5,a\n1,{first},4,a\n2,{first},6,b\n2,{later},7,b\n")
    found = read(path)
    assert found.channels == ("v",)
    assert [each.times.tolist() for each in found.items] == [[0, 1.5], [0, 1.5]] or name == "when"
    assert found[0].values[:, 0].tolist() == [4, 5]
    # Of two clocks one is enough, and the other is no measurement.
    beside = read(table(tmp_path, f"id,time,{name},v,label\n1,0,{first},4,a\n1,1,{later},5,a\n", "b.csv"))
    assert beside.channels == ("v",)


def test_large_numbers_that_are_no_clock_stay_channels(tmp_path):
    rows = "".join(f"1,{at},{1e9 * (-1) ** at},{101325 + at},a\n" for at in range(6))
    assert read(table(tmp_path, f"id,t,charge,pressure,label\n{rows}")).channels == ("charge", "pressure")


def test_a_column_of_days_and_one_of_hours_are_a_time(tmp_path):
    rows = ["2024-03-01,23:59:59.5,1,a", "2024-03-02,00:00:00.5,2,a", "2024-03-02,00:00:02,3,a"]
    for header in ("date,time,v,label", "day,Time,v,label", "taken,time,v,label"):
        found = read(table(tmp_path, f"{header}\n" + "\n".join(reversed(rows)) + "\n"))
        assert found.channels == ("v",)
        assert found[0].times.tolist() == [0, 1, 2.5]
        assert found[0].values[:, 0].tolist() == [1, 2, 3]
        assert found.notes == ()
    with pytest.raises(DataError, match="column 'date time'"):
        read(table(tmp_path, "date,time,v,label\n2024-03-01,10:00:00,1,a\n,10:00:01,2,a\n"))


def test_a_wide_table_may_have_a_few_numbers_beside_its_steps(tmp_path):
    header = ",".join(f"x_{at}" for at in range(20))
    rows = "".join(f"{n},{','.join(str(n + at) for at in range(20))},{30 + n},{'ab'[n % 2]}\n" for n in range(6))
    found = read(table(tmp_path, f"id,{header},age,label\n{rows}"))
    assert found.channels == ("x",)
    assert found[2].values[:, 0].tolist() == list(range(2, 22))
    assert any("not read: age" in note for note in found.notes)
    # Sixteen sensors of steps and a temperature are channels.
    long = "".join(f"7,{at},{','.join(str(at) for _ in range(16))},20,a\n" for at in range(4))
    sensors = ",".join(f"s{at}" for at in range(16))
    assert len(read(table(tmp_path, f"id,t,{sensors},temperature,label\n{long}", "b.csv")).channels) == 17


def test_columns_that_are_ignored_are_not_there(tmp_path):
    text = "id,subject,t,v,battery,label\n1,ann,0,1,99,a\n1,ann,1,2,98,a\n2,bo,0,1,97,b\n2,bo,1,5,96,b\n"
    path = table(tmp_path, text)
    assert [each.group for each in read(path).items] == ["ann", "bo"]
    found = read(path, ignored=("subject", "battery"))
    assert [each.group for each in found.items] == [None, None]
    assert found.channels == ("v",)
    with pytest.raises(DataError, match="has no column 'speed' to ignore; its columns are id, subject"):
        read(path, ignored=("speed",))
    # Later tables may lack it.
    assert read(path, ignored=("speed",), expected=("v",)).channels == ("v", "battery")


def test_a_header_alone_is_told_that_it_has_no_row(tmp_path):
    path = table(tmp_path, "id,time,acc,label\n")
    assert holds_recordings(path, Columns())
    with pytest.raises(DataError, match="there is no row in it; expected a row for each step"):
        read(path)
    assert not holds_recordings(table(tmp_path, "id,text,label\n", "b.csv"), Columns())
    assert not holds_recordings(table(tmp_path, "text,label\n", "c.csv"), Columns())


def test_parquet_has_times_of_its_own(tmp_path):
    when = np.datetime64("2024-01-01") + np.array([0, 1500], "timedelta64[ms]")
    frame = polars.DataFrame(
        {"id": [1, 1], "stamp": when.astype("datetime64[us]"), "v": [1.0, 2.0], "label": ["a", "a"]}
    )
    frame.write_parquet(tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet")
    assert (found.channels, found[0].times.tolist()) == (("v",), [0, 1.5])
