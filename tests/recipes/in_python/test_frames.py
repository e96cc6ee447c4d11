"""Frames of pandas as polars has them, against the file that pandas writes and polars reads; what is no table is told."""

import datetime

import numpy as np
import pandas
import polars
import pytest
import torch

from ostinato.errors import DataError
from ostinato.recipes.in_python.frames import as_frame, is_column, is_frame
from ostinato.recipes.in_python.kept import keep
from ostinato.recipes.in_python.kinds import numbers_of, told


def test_a_frame_is_what_its_file_says(tmp_path):
    frame = pandas.DataFrame(
        {
            "text": ["a", "b, c", "ü\n"],
            "number": [1, 2, 3],
            "share": [0.5, np.nan, -1.0],
            "flag": [True, False, True],
            "kind": pandas.Categorical(["x", "y", "x"]),
            "day": pandas.to_datetime(["2024-01-01", "2024-02-29", "2024-12-31"]),
        }
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    read = polars.read_csv(tmp_path / "a.csv", try_parse_dates=True).with_columns(
        polars.col("day").cast(polars.Datetime("ns"))
    )
    assert as_frame(frame).equals(read)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pandas.Series(["a", None, "b"]), ["a", None, "b"]),
        (pandas.Series([1, None, 3], dtype="Int64"), [1, None, 3]),
        (pandas.Series(["a", pandas.NA], dtype="string"), ["a", None]),
        (pandas.Series([1.5, np.nan]), [1.5, None]),
        (pandas.Series(["a", 1, 2.5]), ["a", "1", "2.5"]),
        (pandas.Series([[1, 2], [3]]), [[1, 2], [3]]),
        (pandas.Series([np.array([1.0, 2.0]), np.array([3.0])]), [[1.0, 2.0], [3.0]]),
        (pandas.Series([datetime.date(2024, 1, 2)]), [datetime.date(2024, 1, 2)]),
        (pandas.Series(pandas.period_range("2024-01", periods=1, freq="M")), [datetime.datetime(2024, 1, 1)]),
        (torch.tensor([1, 2]), [1, 2]),
        (np.array(["a", "b"]), ["a", "b"]),
        ((1, 2.5), [1.0, 2.5]),
    ],
)  # fmt: skip
def test_cells_stay_as_they_are(column, expected):
    assert as_frame({"c": column})["c"].to_list() == expected


def test_times_keep_their_zone():
    times = pandas.date_range("2024-03-30 23:00", periods=4, freq="h", tz="Europe/Berlin")
    found = as_frame(pandas.DataFrame({"t": times}))["t"]
    assert found.dtype == polars.Datetime("ns", "Europe/Berlin")
    assert found.dt.strftime("%FT%T%z").to_list() == [time.strftime("%Y-%m-%dT%H:%M:%S%z") for time in times]


def test_times_keep_their_offset():
    written = ["2024-03-30T23:00:00+02:00", "2024-03-31T00:00:00+02:00"]
    times = pandas.to_datetime(pandas.Series([*written, None]))
    assert as_frame(pandas.DataFrame({"t": times}))["t"].to_list() == [*written, None]


def test_an_index_that_says_something_is_a_column():
    days = pandas.date_range("2024-01-01", periods=2)
    assert as_frame(pandas.DataFrame({"v": [1, 2]}, index=days)).columns == ["time", "v"]
    assert as_frame(pandas.DataFrame({"v": [1, 2]}, index=pandas.Index(["x", "y"], name="id"))).columns == ["id", "v"]
    both = pandas.MultiIndex.from_product([["x"], days], names=["id", "date"])
    assert as_frame(pandas.DataFrame({"v": [1, 2]}, index=both)).columns == ["id", "date", "v"]
    assert as_frame(pandas.DataFrame({"v": [1, 2, 3]}).iloc[[0, 2]]).columns == ["v"]
    assert as_frame(pandas.Series([1.0], name="sold")).columns == ["sold"]


class Arrow:
    """A table of another library, which gives its columns as Arrow."""

    def __init__(self, frame):
        self.frame = frame

    def __arrow_c_stream__(self, requested_schema=None):
        return self.frame.__arrow_c_stream__(requested_schema)


def test_tables_of_other_libraries_are_frames():
    frame = polars.DataFrame({"a": [1, 2]})
    for given in (frame, frame.lazy(), pandas.DataFrame({"a": [1, 2]}), Arrow(frame)):
        assert is_frame(given)
        assert as_frame(given).equals(frame)
    for given in (frame["a"], pandas.Series([1]), pandas.Index([1])):
        assert is_column(given)
        assert not is_frame(given)
    for given in ("a", [1], {"a": [1]}, np.ones(3), torch.ones(3), None, polars.DataFrame):
        assert not is_frame(given)
        assert not is_column(given)


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ([1, 2], (2,)),
        ([[1.0, None], [2, 3]], (2, 2)),
        (torch.ones(2, 3, dtype=torch.bfloat16), (2, 3)),
        (torch.ones(2, requires_grad=True), (2,)),
        (pandas.Series([1, None]), (2,)),
        ([torch.ones(2), torch.ones(2)], (2, 2)),
        ([[1], [1, 2]], None),
        (["a"], None),
        ([("a", 1)], None),
        ({"a": 1}, None),
        (np.array(["a"]), None),
        (None, None),
    ],
)
def test_numbers_are_found_in_arrays_and_lists(given, shape):
    found = numbers_of(given)
    assert (None if found is None else found.shape) == shape


def test_a_million_texts_are_not_made_an_array():
    assert numbers_of([("x" * 10_000_000, "y")] * 100_000) is None  # 8 TB as NumPy has texts


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": "text"}, "column 'a': expected a sequence of cells, got str"),
        ({"a": [object()]}, "column 'a': expected texts, numbers, times, or lists of these"),
        ([(np.ones((3, 2)), "a"), ("text", "b")], "expected texts, token lists, arrays or images in all pairs, got the text"),
        ([(np.ones((3, 2)), "a"), (np.ones((3, 4)), "b")], "expected arrays that differ in their length only"),
        ([(["a"], ["X", "Y"])], "expected a tag for each word, got 1 words and 2 tags in sentence 1"),
        ([(["a\tb"], ["X"])], r"without tabs and line ends, got 'a\\tb' in sentence 1"),
        ([np.ones(3), np.ones((3, 2))], "expected series of numbers"),
        ("text", "expected a path, a frame, arrays, a list of pairs or a Dataset, got the text 'text'"),
    ],
)  # fmt: skip
def test_what_is_no_data_is_told(tmp_path, data, message):
    with pytest.raises(DataError, match=message):
        keep(data, tmp_path, "data")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("x" * 50, f"the text {'x' * 40!r}"),
        (np.ones((2, 3)), r"numbers (2, 3)"),
        (["a"], "a list of str"),
        ((), "an empty tuple"),
        (3, "an int"),
        (None, "a NoneType"),
    ],
)
def test_a_message_says_what_came(given, said):
    assert told(given) == said
