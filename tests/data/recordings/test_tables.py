"""Tables of recordings: which column is what, and what is refused."""

import datetime
import json

import numpy as np
import polars
import pytest

from ostinato.data.recordings.columns import Columns, holds_recordings
from ostinato.data.recordings.tables import read_recording_table
from ostinato.data.sources.dialect import Dialect
from ostinato.errors import ConfigError, DataError

LONG = """\
subject,trial,t,acc,pressure,activity
ann,1,0.2,3,101302,walk
ann,1,0.1,2,101301,walk
bo,2,0.5,7,,run
ann,1,0.0,1,101300,walk
bo,2,0.1,6,101200,walk
"""


def write(folder, text, name="a.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def values(found):
    return [each.values.tolist() for each in found.items]


def wide(rows, channels=("x",), steps=9, **others):
    """A table, a row a recording; the values of row r are r, r + 1, ..., of each channel ten times those of the one before."""
    names = [f"{channel}_{step}" for channel in channels for step in range(steps)]
    lines = [",".join([*others, *names])]
    for row in range(rows):
        cells = [str(each[row]) for each in others.values()]
        cells += [str((row + step) * 10**place) for place in range(len(channels)) for step in range(steps)]
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def test_a_long_table_whose_columns_say_what_they_are(tmp_path):
    found = read_recording_table(write(tmp_path, LONG))
    assert (found.channels, found.notes) == (("acc", "pressure"), ())
    ann, bo = found.items
    assert [(each.id, each.group, each.label) for each in found.items] == [("1", "ann", "walk"), ("2", "bo", None)]
    np.testing.assert_array_equal(ann.values, np.array([[1, 101300], [2, 101301], [3, 101302]], np.float32))
    np.testing.assert_array_equal(bo.values, np.array([[6, 101200], [7, np.nan]], np.float32))
    assert ann.values.dtype == np.float64
    np.testing.assert_allclose(ann.times, [0.0, 0.1, 0.2])
    np.testing.assert_allclose(bo.times, [0.0, 0.4])  # from its own beginning
    assert ann.labels == ("walk", "walk", "walk")
    assert bo.labels == ("walk", "run")  # in the order of time


def test_columns_of_other_names_are_named(tmp_path):
    text = "wer,wann,a,b,was,label\nu,2,1,5,hi,9\nu,1,2,6,hi,9\nv,1,3,7,ho,9\n"
    found = read_recording_table(
        write(tmp_path, text), Columns(id="wer", time="wann", channels=("b", "label"), label="was")
    )
    assert found.channels == ("b", "label")
    assert [(each.id, each.label, each.group) for each in found.items] == [("u", "hi", None), ("v", "ho", None)]
    assert values(found) == [[[6, 9], [5, 9]], [[7, 9]]]


def test_names_are_read_in_any_case_and_the_first_counts(tmp_path):
    found = read_recording_table(write(tmp_path, "Recording,Label,Value,Class\na,u,1,5\nb,w,2,6\n"))
    assert [(each.id, each.label) for each in found.items] == [("a", "u"), ("b", "w")]
    assert found.channels == ("Value", "Class")


def test_without_an_id_each_group_is_a_recording_and_without_groups_the_table_is(tmp_path):
    found = read_recording_table(write(tmp_path, "person,v,label\nann,1,x\nbo,2,y\nann,3,x\n"))
    assert [(each.id, each.group, each.label, len(each)) for each in found.items] == [
        ("ann", "ann", "x", 2),
        ("bo", "bo", "y", 1),
    ]
    (one,) = read_recording_table(write(tmp_path, "v,label\n1,x\n2,y\n")).items
    assert (one.id, one.group, one.label, one.labels, one.times) == ("", None, None, ("x", "y"), None)


def test_numbers_of_rows_are_no_channel(tmp_path):
    for name in ("", "index", "Unnamed: 0", "row"):
        found = read_recording_table(write(tmp_path, f"{name},v,label\n0,5,x\n1,6,x\n"))
        assert found.channels == ("v",)


def test_y_holds_labels_where_no_other_does_and_no_z_is_beside_it(tmp_path):
    assert read_recording_table(write(tmp_path, "id,v,y\na,1,5\nb,2,6\n")).items[1].label == "6"
    found = read_recording_table(write(tmp_path, "id,x,y,z,label\na,1,5,2,u\n"))
    assert (found.channels, found[0].label) == (("x", "y", "z"), "u")
    assert read_recording_table(write(tmp_path, "id,x,y\na,1,5\n"), labels=False).channels == ("x", "y")
    with pytest.raises(DataError, match="none of the columns id, x, y, z is called label"):
        read_recording_table(write(tmp_path, "id,x,y,z\na,1,5,2\n"))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_days_and_hours_become_seconds_and_put_steps_in_order(tmp_path, kind):
    begin = datetime.datetime(2024, 2, 28, 23, 59, 30)
    moments = [begin + datetime.timedelta(seconds=each) for each in (60.5, 0, 86400)]
    table = polars.DataFrame({"timestamp": moments, "v": [2, 1, 3], "label": ["x", "x", "x"]})
    path = tmp_path / f"a.{kind}"
    table.write_csv(path) if kind == "csv" else table.write_parquet(path)
    (one,) = read_recording_table(path).items
    assert one.times is not None
    assert one.times.tolist() == [0.0, 60.5, 86400.0]
    assert one.values[:, 0].tolist() == [1, 2, 3]


def test_labels_may_be_missing_and_have_blanks_around_them(tmp_path):
    found = read_recording_table(write(tmp_path, "id,v,label\na,1, x \na,2,\nb,3,\nb,4,x\nc,5,\n"))
    assert [each.labels for each in found.items] == [("x", None), (None, "x"), (None,)]
    assert [each.label for each in found.items] == ["x", "x", None]


def test_the_column_of_labels_is_no_channel_where_none_are_wanted(tmp_path):
    path = write(tmp_path, "id,v,kind\na,1,4\na,2,5\n")
    assert read_recording_table(path, Columns(label="kind"), labels=False).channels == ("v",)
    assert read_recording_table(path, Columns(label="gone"), labels=False).channels == ("v", "kind")


def test_what_is_missing_is_not_a_number(tmp_path):
    found = read_recording_table(write(tmp_path, "id,v,w,label\na,,NA,x\na,-,2,x\na,5,nan,x\n"))
    np.testing.assert_array_equal(found[0].values, [[np.nan, np.nan], [np.nan, 2], [5, np.nan]])


@pytest.mark.parametrize("cells", [("0,125", "1,5"), ("0,125", "1,250"), ("1.000,125", "0,250")])
def test_decimal_commas(tmp_path, cells):
    text = f"id;time;v;label\na;{cells[0]};{cells[1]};x\n"
    expected = [[float(cells[1].replace(",", "."))]]
    assert values(read_recording_table(write(tmp_path, text))) == [expected]
    text = "id;time;v;label\n" + "".join(f"a;0,{ms:03};{ms},25;x\n" for ms in (250, 0, 125))
    found = read_recording_table(write(tmp_path, text))
    np.testing.assert_allclose(found[0].times, [0, 0.125, 0.25])
    assert found[0].values[:, 0].tolist() == [0.25, 125.25, 250.25]


def test_a_comma_between_cells_leaves_thousands(tmp_path):
    assert values(read_recording_table(write(tmp_path, 'id,v,label\na,"1,250",x\n'))) == [[[1250]]]


def test_a_separator_and_a_header_as_they_are_told(tmp_path):
    path = write(tmp_path, "a|1|x\na|2|x\nb|3|y\n")
    found = read_recording_table(path, Columns(id="1", label="3"), dialect=Dialect("|", False))
    assert (found.channels, values(found)) == (("2",), [[[1], [2]], [[3]]])


def test_lines_of_json_and_parquet_say_the_same(tmp_path):
    rows = [
        {"trial": "a", "t": 1, "v": 0.5, "on": True, "label": 1},
        {"trial": "a", "t": 0, "v": None, "on": False, "label": 1},
        {"trial": "b", "t": 0, "v": -1.25, "on": True, "label": 2},
    ]
    write(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "a.jsonl")
    polars.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        found = read_recording_table(tmp_path / name, Columns(channels=("v", "on")))
        assert [(each.id, each.label) for each in found.items] == [("a", "1"), ("b", "2")]
        np.testing.assert_array_equal(found[0].values, [[np.nan, 0], [0.5, 1]])
        np.testing.assert_array_equal(found[1].values, [[-1.25, 1]])


def test_a_wide_table_of_one_channel(tmp_path):
    found = read_recording_table(write(tmp_path, wide(3, label="uvw", subject=["ann", "bo", "ann"])))
    assert found.channels == ("x",)
    assert [(each.id, each.label, each.group, each.labels, each.times) for each in found.items] == [
        ("1", "u", "ann", None, None),
        ("2", "v", "bo", None, None),
        ("3", "w", "ann", None, None),
    ]
    assert values(found) == [[[row + step] for step in range(9)] for row in range(3)]
    (note,) = found.notes
    assert note.endswith("a.csv: a row is read as a recording of 9 steps (x_0 to x_8)")


def test_a_wide_table_of_several_channels_and_of_columns_in_any_order(tmp_path):
    text = wide(2, channels=("left", "right"), id="ab", label="uv")
    table = polars.read_csv(text.encode())
    shuffled = table.select(["label", *sorted(table.columns[2:], key=lambda name: name[::-1]), "id"])
    shuffled.write_csv(tmp_path / "b.csv")
    for path in (write(tmp_path, text), tmp_path / "b.csv"):
        found = read_recording_table(path)
        assert [(each.id, each.label) for each in found.items] == [("a", "u"), ("b", "v")]
        by_name = {name: np.array(values(found))[:, :, at].tolist() for at, name in enumerate(found.channels)}
        assert by_name == {
            "left": [[row + step for step in range(9)] for row in range(2)],
            "right": [[10 * (row + step) for step in range(9)] for row in range(2)],
        }


@pytest.mark.parametrize("form", ["{}", "x{}", "x[{}]", "x {}", "step.{}"])
def test_numbers_of_steps_are_written_in_many_ways(tmp_path, form):
    names = [form.format(step) for step in range(12)]  # 10 is after 9, not after 1
    text = (
        ",".join(["label", *names]) + "\n" + "".join(f"{row}," + ",".join(map(str, range(12))) + "\n" for row in "uv")
    )
    assert values(read_recording_table(write(tmp_path, text))) == [[[step] for step in range(12)]] * 2


def test_rows_of_a_wide_table_end_where_nothing_was_measured(tmp_path):
    lines = ["label," + ",".join(f"{c}{n}" for c in "ab" for n in range(8))]
    lines += ["u,1,,3,,,,,,1,2,3,4,,,,", "v" + "," * 16]
    found = read_recording_table(write(tmp_path, "\n".join(lines) + "\n"))
    np.testing.assert_array_equal(found[0].values, [[1, 1], [np.nan, 2], [3, 3], [np.nan, 4]])
    np.testing.assert_array_equal(found[1].values, [[np.nan, np.nan]])


def test_few_numbered_columns_and_ids_that_return_are_channels(tmp_path):
    few = wide(2, steps=7, label="uv")
    assert read_recording_table(write(tmp_path, few)).channels == tuple(f"x_{n}" for n in range(7))
    again = wide(2, steps=9, id="aa", label="uu")
    found = read_recording_table(write(tmp_path, again))
    assert (len(found), len(found.channels), len(found[0])) == (1, 9, 2)
    timed = wide(2, steps=9, time="12", label="uv")
    assert len(read_recording_table(write(tmp_path, timed)).channels) == 9


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("id,v\na,1\n", {}, r"none of the columns id, v is called label; name the one of labels with --reading[.]label"),
        ("id,v,label\na,1,x\n", {"id": "who"}, "has no column 'who'; its columns are id, v, label"),
        ("id,v,label\na,1,x\n", {"channels": ("v", "w")}, "has no column 'w'; its columns are id, v, label"),
        ("id,v,label\na,,x\n", {}, "no column of numbers to read beside id, label; its columns are id, v, label. Name the"),
        ("id,v,label\n,1,x\n", {}, "row 1 after the header: column 'id', the name of the recording, is empty; fill it in"),
        ("id,user,v,label\na,u,1,x\na,,1,x\n", {}, "row 2 after the header: column 'user', the group, is empty"),
        ("id,t,v,label\na,1,1,x\na,,1,x\n", {}, "row 2 after the header: column 't' is empty; give every row a time"),
        ("t,v,label\n1,1,x\n2,1,x\n1,1,x\n", {}, r"time 1 is there twice; name the column .* --recording[.]id, or keep"),
        ("id,t,v,label\na,1,1,x\nb,1,1,x\na,1,1,x\n", {}, "time 1 of recording 'a' is there twice"),
        ("id,v,label\na,1,x\na,inf,x\n", {}, "row 2 after the header: expected a number in column 'v', got 'inf'"),
        ("id,v,label\na,1,x\na,1e39,x\n", {}, r"row 2 after the header: expected numbers within ±3.4e38 in column 'v', got"),
        ("id,v,label\na,1,x\na,2,x\na,oops,x\n", {}, "row 3 after the header: expected a number in column 'v', got 'oops'"),
        ("id;v;label\na;1,5;x\na;1.5;x\n", {}, "'1.5' has a decimal point, but '1,5' a decimal comma; write .* in one way$"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told(tmp_path, text, columns, message):
    with pytest.raises(DataError, match=message):
        read_recording_table(write(tmp_path, text), Columns(**columns))


def test_infinite_numbers_of_parquet_are_told(tmp_path):
    polars.DataFrame({"v": [1.0, float("-inf")], "label": ["x", "x"]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="row 2 after the header: expected a number in column 'v', got -inf"):
        read_recording_table(tmp_path / "a.parquet")


def test_a_column_has_one_part(tmp_path):
    with pytest.raises(
        ConfigError, match="column 'v' has two parts; let it be one of id, time, group, label and channels"
    ):
        read_recording_table(write(tmp_path, "id,v,label\na,1,x\n"), Columns(time="v", channels=("v",)))


MANY = range(60)


@pytest.mark.parametrize(
    "text",
    [
        "text,label\n" + "".join(f"a film {n},good\n" for n in MANY),
        "text,rating,label\n" + "".join(f"a film {n},{n % 5},good\n" for n in MANY),
        "id,review,stars,length,label\n" + "".join(f"{n},a film {n},{n % 5},{n},good\n" for n in MANY),
        "name,age,label\n" + "".join(f"Ann {n},{n},x\n" for n in MANY),
        "title,year,genre\n" + "".join(f"A film {n},19{n:02},drama\n" for n in MANY),
        "name,nationality\n" + "".join(f"Ann {n},Greek\n" for n in MANY),
        "score,label\n" + "".join(f"{n},x\n" for n in MANY),  # numbers may be what is written
        "1\tThe\tDET\n" + "2\tdog\tNOUN\n\n1\tA\tDET\n" * 9,
        "The\tDET\ndog\tNOUN\n\n" * 9,
        "text,label\n",
        "",
    ],
)
def test_tables_of_texts_are_no_recordings(tmp_path, text):
    assert not holds_recordings(write(tmp_path, text, "a.tsv" if "\t" in text else "a.csv"), Columns())


@pytest.mark.parametrize(
    "text",
    [
        LONG,
        "v,w,label\n1,2,x\n",
        "id,v,label\na,1,x\n",
        "id;v;label\na;1,5;x\n",
        "x,y,z,kind\n" + "1,2,3,walk\n" * 9,
        "when,device,x,label\n" + "".join(f"2024-01-01T00:00:{n},phone,{n},walk\n" for n in range(10, 59)),
        "id,v,label\na,,x\na,,x\na,4,x\n",
        wide(3, label="uvw"),
        wide(3, name=["ann", "bo", "cy"], label="uvw"),
    ],
)
def test_tables_of_numbers_are(tmp_path, text):
    assert holds_recordings(write(tmp_path, text), Columns())


def test_a_named_column_of_recordings_says_that_they_are(tmp_path):
    path = write(tmp_path, "review,score\ngood,1\n")
    assert not holds_recordings(path, Columns(label="review"))
    for columns in (Columns(id="review"), Columns(time="score"), Columns(group="review"), Columns(channels=("score",))):
        assert holds_recordings(path, columns)


def test_a_large_table_is_told_by_its_first_rows(tmp_path):
    path = write(tmp_path, "id,v,label\n" + "".join(f"a,{n},x\n" for n in range(20_000)) + "not,a,number\n")
    assert holds_recordings(path, Columns())


def test_channels_of_training_may_be_empty_later(tmp_path):
    path = write(tmp_path, "id,acc,pressure,notes,row\na,1,,,7\na,2,NA,,8\n")
    assert read_recording_table(path, labels=False).channels == ("acc",)
    found = read_recording_table(path, Columns(expected=("pressure", "acc", "row", "gone")), labels=False)
    assert found.channels == ("acc", "pressure", "row")
    np.testing.assert_array_equal(found[0].values, [[1, np.nan, 7], [2, np.nan, 8]])


def test_steps_that_no_row_has_are_steps(tmp_path):
    text = "label," + ",".join(f"v{n}" for n in range(9)) + "\nu" + ",1,,3" + "," * 6 + "\nw,,,3,4" + "," * 5 + "\n"
    found = read_recording_table(write(tmp_path, text))
    np.testing.assert_array_equal(found[0].values[:, 0], [1, np.nan, 3])
    np.testing.assert_array_equal(found[1].values[:, 0], [np.nan, np.nan, 3, 4])
