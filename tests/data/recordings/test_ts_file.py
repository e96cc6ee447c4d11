import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.recordings.ts_file import find_ts_parts, is_ucr_table, read_ts, read_ucr_table
from ostinato.errors import DataError

HEAD = "@problemName Some\n@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n"
TIMED = "@timestamps true\n@classlabel true a b\n@data\n"


def put(folder, text, name="Some_TRAIN.ts"):
    content = text.encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder / name


def same(values, rows):
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, np.array(rows, dtype=np.float64))


@pytest.mark.parametrize("name", ["Some_TRAIN.ts", "Some_TRAIN.ts.gz"])
def test_a_line_is_a_recording(tmp_path, name):
    text = (
        "\ufeff# What it is\n#\n%# and from where\n@problemName Some: thing\n@TIMESTAMPS False\n@missing false\n@univariate true\n"
        "@equalLength true\n@seriesLength 3\n@classLabel true one 2\n\n@DATA\n"
        "1,-2.5, 3e2:one\r\n# a remark\n\n 4,5,6 : 2 \n7,8,9:2.0\n0,0,1:?\n"
    )
    found = read_ts(put(tmp_path, text, name))
    assert found.channels == ("x",)
    assert found.notes == ()
    assert [item.id for item in found.items] == ["1", "2", "3", "4"]
    assert [item.label for item in found.items] == ["one", "2", "2", None]
    same(found[0].values, [[1], [-2.5], [300]])
    assert found[0].times is None
    assert found[0].labels is None


def test_channels_of_different_lengths_are_filled_and_what_is_missing_is_nan(tmp_path):
    text = "@dimensions 3\n@equalLength false\n@classLabel true a b\n@data\n1,2:?,4,5::a\n?:NaN:7,nan:b\n"
    found = read_ts(put(tmp_path, text))
    nan = np.nan
    assert found.channels == ("x0", "x1", "x2")
    same(found[0].values, [[1, nan, nan], [2, 4, nan], [nan, 5, nan]])
    same(found[1].values, [[nan, nan, 7], [nan, nan, nan]])


def test_recordings_without_classes(tmp_path):
    found = read_ts(put(tmp_path, "@targetLabel false\n@classLabel false\n@data\n1,2:3,4\n5:6\n"))
    assert [item.label for item in found.items] == [None, None]
    same(found[0].values, [[1, 3], [2, 4]])
    found = read_ts(put(tmp_path, "@targetLabel false\n@data\n1,2:3,4\n"))
    assert found[0].label is None


def test_classes_that_the_header_does_not_name(tmp_path):
    found = read_ts(put(tmp_path, "@classLabel true\n@data\n1,2:sitting down\n5:6\n"))
    assert [item.label for item in found.items] == ["sitting down", "6"]


def test_times_stand_with_the_values(tmp_path):
    found = read_ts(put(tmp_path, TIMED + "(0,1),(0.5,?), (2,-3):(0,4),(0.5,5),(2,6):a\n(1,1),(3,3):(2,2):b\n"))
    nan = np.nan
    same(found[0].values, [[1, 4], [nan, 5], [-3, 6]])
    same(found[1].values, [[1, nan], [nan, 2], [3, nan]])
    for item, times in zip(found.items, ([0, 0.5, 2], [1, 2, 3]), strict=True):
        assert item.times is not None
        assert item.times.dtype == np.float64
        assert item.times.tolist() == times


def test_a_header_that_is_wrong_about_lengths_is_told_in_a_note(tmp_path):
    text = HEAD.replace("@data", "@equalLength true\n@seriesLength 2\n@data") + "1,2:a\n1,2,3:b\n4:a\n"
    (note,) = read_ts(put(tmp_path, text)).notes
    assert note.endswith("all recordings have 2 steps, but 2 have not: recording 2 has 3")


numbers = st.one_of(st.floats(width=32, allow_nan=False, allow_infinity=False), st.just(float("nan")))
labels = st.sampled_from(["a", "b-1", "-1", "ü"])


@st.composite
def some_recordings(draw):
    channels = draw(st.integers(1, 3))
    timed = draw(st.booleans())
    cases = []
    for _ in range(draw(st.integers(1, 4))):
        times = sorted(draw(st.sets(st.floats(-1e6, 1e6), min_size=1, max_size=5)))
        values = draw(
            st.lists(st.lists(numbers, min_size=channels, max_size=channels), min_size=len(times), max_size=len(times))
        )
        cases.append((np.array(values, dtype=np.float32), times, draw(labels)))
    return channels, timed, draw(st.sampled_from(["?", "NaN"])), cases


@settings(max_examples=60, deadline=None)
@given(some_recordings())
def test_what_was_written_is_read(tmp_path_factory, written):
    channels, timed, missing, cases = written
    lines = [f"@timeStamps {timed}", f"@dimensions {channels}", "@classLabel true a b-1 -1 ü", "@data"]
    for values, times, label in cases:
        cells = [[missing if np.isnan(v) else repr(float(v)) for v in column] for column in values.T]
        if timed:
            cells = [[f"({t!r},{cell})" for t, cell in zip(times, column, strict=True)] for column in cells]
        lines.append(":".join([*(",".join(column) for column in cells), label]))
    found = read_ts(put(tmp_path_factory.mktemp("ts"), "\n".join(lines)))
    assert len(found) == len(cases)
    for item, (values, times, label) in zip(found.items, cases, strict=True):
        assert item.label == label
        same(item.values, values)
        assert (item.times.tolist() if item.times is not None else None) == (times if timed else None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a line @data before the recordings"),
        ("1,2,3\n", "line 1: expected a line of the header, which begins with @, or @data, got '1,2,3'"),
        ("@data\n1:a\n", "line 1: expected a line @classLabel before @data"),
        (HEAD, "expected recordings after @data"),
        ("@univariate maybe\n", "line 1: expected true or false after @univariate, got 'maybe'"),
        ("@classLabel\n", "line 1: expected true or false after @classlabel, got ''"),
        ("@dimensions many\n", "line 1: expected a number from 1 on after @dimensions, got 'many'"),
        (
            "@classLabel false\n@univariate true\n@dimensions 2\n@data\n1:2\n",
            "line 4: .* @univariate true and @dimensions 2",
        ),
        (HEAD + "1,2:a\n1,2:c\n", "line 7: expected one of the classes a, b after the last colon, got 'c'"),
        (HEAD + "1,2,3\n", "line 6: expected one of the classes a, b"),
        (HEAD + "1,2:\n", "line 6: expected one of the classes a, b .* got ''"),
        (
            HEAD + "1,2:3:a\n",
            "line 6: expected 1 channels and a class .*, got 2 channels; check the line and @dimensions",
        ),
        ("@classLabel false\n@data\n1:2\n1:2:3\n", "line 4: expected 2 channels without a class, .* got 3"),
        ("@classLabel true\n@data\na\n", "line 3: expected 1 channels and a class .*, got 0 channels"),
        (HEAD + ":a\n", "line 6: expected at least one value"),
        (HEAD + "1,,2:a\n", "line 6: expected a number, NaN or [?] as value 2 of the channel, got ''"),
        (HEAD + "?,x:a\n", "line 6: .* as value 2 of the channel, got 'x'"),
        (HEAD + "1,1_000:a\n", "got '1_000'"),
        (HEAD + "?,1_000:a\n", "got '1_000'"),
        (HEAD + "1,inf:a\n", "expected a number within .* as value 2 of the channel, got 'inf'"),
        (HEAD + "1,1e39:a\n", "expected a number within .* got '1e39'"),
        (TIMED + "1,2:a\n", "line 4: expected .time,value.,.* as @timeStamps true says, got '1,2'"),
        (TIMED + "(1,2),(3):a\n", "got '3'"),
        (
            TIMED + "(1,2),(1,3):a\n",
            "expected a time that is larger than the one before as value 2 of the channel, got '1'",
        ),
        (TIMED + "(NaN,2):a\n", "got 'NaN'"),
        (
            TIMED + "(2007-01-01 00:00:00,2):a\n",
            "a time that is a number .write dates as seconds.* got '2007-01-01 00:00:00'",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read_ts(put(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path / "Some_TRAIN.ts"))
    assert "\n" not in str(caught.value)


def test_a_table_of_2018(tmp_path):
    path = put(tmp_path, "1\t0.5\tNaN\t2\n-1\t3\tNaN\tNaN\n\n2.0\tNaN\t1\tNaN\n", "Some_TRAIN.tsv")
    found = read_ucr_table(path)
    assert is_ucr_table(path)
    assert found.channels == ("x",)
    assert [item.label for item in found.items] == ["1", "-1", "2"]
    for item, rows in zip(found.items, ([[0.5], [np.nan], [2]], [[3]], [[np.nan], [1]]), strict=True):
        same(item.values, rows)


def test_a_table_parted_by_spaces(tmp_path):
    path = put(tmp_path, "  1.0000000e+00  -5.0e-01  2.0e+00\n  2.0e+00 1 NaN\n", "some_test.txt.gz")
    assert is_ucr_table(path)
    found = read_ucr_table(path)
    assert [item.label for item in found.items] == ["1", "2"]
    same(found[0].values, [[-0.5], [2]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected recordings, a row each, and the file is empty"),
        ("1\n", "line 1: expected a class and 1 values parted by tabs, got 1 cells"),
        ("1\t2\t3\n1\t2\n", "line 2: expected a class and 2 values parted by tabs, got 2 cells"),
        ("1\tNaN\tNaN\n", "line 1: expected at least one value beside the class"),
        ("a\t1\t2\n", "line 1: expected the number of a class first, got 'a'"),
        ("1.5\t1\t2\n", "got '1.5'; only classes are read"),
        ("NaN\t1\t2\n", "got 'NaN'"),
        ("inf\t1\t2\n", "got 'inf'"),
        ("1\t2\tx\n", "line 1: expected a number, NaN or . as value 2 of the channel, got 'x'"),
        ("1\t2\tinf\n", "got 'inf'"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_ucr_table(put(tmp_path, text, "Some_TRAIN.tsv"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Some.tsv", "1\t2\t3\n"),
        ("Some_VALIDATION.tsv", "1\t2\t3\n"),
        ("Some_TRAIN.csv", "1\t2\t3\n"),
        ("Some_TRAIN.tsv", "1\t2\n"),
        ("Some_TRAIN.tsv", "class\tx0\tx1\n1\t2\t3\n"),
        ("Some_TRAIN.txt", "Once upon a time\n"),
        ("Some_TRAIN.tsv", "1\t2\t\xff".encode("latin-1")),
        ("Some_TRAIN.tsv", ""),
    ],
)
def test_other_tables_are_not_taken_for_one_of_the_archive(tmp_path, name, text):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert not is_ucr_table(tmp_path / name)
    assert not is_ucr_table(tmp_path / "Nothing_TRAIN.tsv")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["A_TRAIN.ts", "A_TEST.ts"], ["A_TRAIN.ts", "A_TEST.ts"]),
        (["a_train.ts.gz", "A_Test.TS"], ["a_train.ts.gz", "A_Test.TS"]),
        (["A_TRAIN.tsv", "A_TEST.tsv", "A_TEST.ts"], ["A_TRAIN.tsv", "A_TEST.tsv"]),
        (["A_TRAIN.txt", "A_TEST.txt", "A.txt", "A_TRAIN.ts", "A_TEST.ts"], ["A_TRAIN.ts", "A_TEST.ts"]),
        (["A_TRAIN.txt", "A_TEST.txt", "._A_TEST.txt"], ["A_TRAIN.txt", "A_TEST.txt"]),
        (["A_TRAIN.ts"], []),
        (["A.ts", "train.ts", "test.ts"], []),
        ([], []),
    ],
)
def test_the_parts_of_a_folder(tmp_path, names, expected):
    for name in names:
        put(tmp_path, "1\t2\t3\n", name)
    parts = {"train": tmp_path / expected[0], "test": tmp_path / expected[1]} if expected else {}
    assert find_ts_parts(tmp_path) == parts


def test_texts_in_parts_are_no_recordings(tmp_path):
    for name in ("de_train.txt", "de_test.txt", "en_train.txt", "en_test.txt"):
        put(tmp_path, "Es war einmal\n", name)
    assert find_ts_parts(tmp_path) == {}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["A_TRAIN.ts", "A_TEST.ts", "B_TRAIN.ts", "B_TEST.ts"], "belong to two data sets; name the file"),
        (["A_TRAIN.ts", "B_TEST.ts"], r"A_TRAIN\.ts and B_TEST\.ts|B_TEST\.ts and A_TRAIN\.ts"),
        (["A_TRAIN.ts", "A_TRAIN.ts.gz", "A_TEST.ts"], r"A_TRAIN\.ts and A_TRAIN\.ts\.gz could both be the train part"),
        (["A_TRAIN.tsv", "A_TEST.tsv", "B_TEST.tsv"], "belong to two data sets"),
    ],
)
def test_a_folder_with_two_of_a_kind_asks_for_the_file(tmp_path, names, message):
    for name in names:
        put(tmp_path, "1\t2\t3\n", name)
    with pytest.raises(DataError, match=message):
        find_ts_parts(tmp_path)


def test_targets_of_a_regression_are_labels(tmp_path):
    found = read_ts(put(tmp_path, "@targetLabel true\n@data\n1,2:0.5\n3,4:-1e3\n5,6:?\n"))
    assert [each.label for each in found.items] == ["0.5", "-1e3", None]
