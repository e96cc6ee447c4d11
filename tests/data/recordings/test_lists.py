"""Files in which a row is a whole recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

from ostinato.data.recordings.columns import Columns
from ostinato.data.recordings.reading import are_recordings, read_recordings
from ostinato.errors import DataError

ROWS: list[dict[str, Any]] = [
    {
        "id": "a",
        "values": [[0.5, 9.0], [0.25, None], [1.0, 8.0]],
        "label": "walk",
        "subject": "Ada",
        "times": [3, 3.5, 5],
    },
    {"id": "b", "values": [[1.5, 7.0]], "label": "run", "subject": "Bo", "times": [1]},
]


def written(path: Path, rows: list[Any]) -> str:
    if path.suffix == ".parquet":
        polars.DataFrame(rows, strict=False).write_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("name", ["data.jsonl", "data.parquet"])
def test_a_row_is_a_recording_of_any_length(name: str, tmp_path: Path) -> None:
    data = written(tmp_path / name, ROWS)
    assert are_recordings(data, Columns())
    found = read_recordings(data, Columns())
    assert found.channels == ("x0", "x1")
    assert [(each.id, each.label, each.group, len(each)) for each in found.items] == [
        ("a", "walk", "Ada", 3),
        ("b", "run", "Bo", 1),
    ]
    np.testing.assert_array_equal(found[0].values, np.array([[0.5, 9], [0.25, np.nan], [1, 8]], np.float32))
    assert found[0].times is not None
    assert found[0].times.tolist() == [0, 0.5, 2]


def test_channels_may_have_names_and_steps_labels(tmp_path: Path) -> None:
    rows = [
        {"x": {"acc": [1, 2], "pressure": [3, None]}, "label": ["rest", None]},
        {"x": {"pressure": [5], "acc": [4]}, "label": ["walk"]},
    ]
    found = read_recordings(written(tmp_path / "data.jsonl", rows), Columns())
    assert found.channels == ("acc", "pressure")
    assert [each.values[0].tolist() for each in found.items] == [[1, 3], [4, 5]]
    assert [each.labels for each in found.items] == [("rest", None), ("walk",)]
    assert [each.id for each in found.items] == ["1", "2"]
    named = Columns(channels=("left", "right"))
    assert read_recordings(written(tmp_path / "named.jsonl", ROWS), named).channels == ("left", "right")


def test_one_channel_is_a_list_of_numbers(tmp_path: Path) -> None:
    rows = [{"signal": [1, 2, 3], "class": 1}, {"signal": [4], "class": 2}]
    found = read_recordings(written(tmp_path / "data.jsonl", rows), Columns())
    assert [each.values.tolist() for each in found.items] == [[[1], [2], [3]], [[4]]]
    assert [each.label for each in found.items] == ["1", "2"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "ragged steps": ({"values": [[1, 2], [3]]}, "line 2: expected values, a list of steps with as many numbers each"),
    "words": ({"values": [["a", "b"]]}, "line 2: expected values, a list of steps with as many numbers each"),
    "nothing": ({"values": []}, r"line 2: expected values, a list of steps with the numbers of each, got \(0"),
    "no values": ({"label": "x"}, "line 2: expected values"),
    "other channels": ({"values": [[1, 2, 3]]}, r"line 2: expected steps of 2 numbers \(x0, x1\), got 3 in each"),
    "infinite": ({"values": [[1, 1e39]]}, "line 2: step 1, channel 2 is infinite, or too large"),
    "channels of two lengths": ({"values": {"x0": [1, 2], "x1": [3]}}, "expected a list for each channel, all as long"),
    "labels": ({"values": [[1, 2]], "label": ["a", "b"]}, "expected a label for each of 1 steps, got 2"),
    "times": ({"values": [[1, 2], [1, 2]], "times": [1, 1]}, "expected times, 2 increasing numbers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_recording_is_told_with_its_line(name: str, tmp_path: Path) -> None:
    row, message = WRONG[name]
    with pytest.raises(DataError, match=message):
        read_recordings(written(tmp_path / "data.jsonl", [ROWS[0], row]), Columns())


def test_an_archive_without_labels_says_what_to_write(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 3, 2)))
    with pytest.raises(DataError, match=r"none of its recordings has a label; write .npz with x \(N, T, C\) and y"):
        read_recordings(str(tmp_path / "x.npy"), Columns())


def test_the_key_of_labels_may_be_called_so_and_another_is_told(tmp_path: Path) -> None:
    rows = [{"values": [[1.0], [2.0]], "labels": ["rest", "walk"]}, {"values": [[1.0]], "labels": "walk"}]
    found = read_recordings(written(tmp_path / "data.jsonl", rows), Columns())
    assert [each.labels or each.label for each in found.items] == [("rest", "walk"), "walk"]
    rows = [{"values": [[1.0]], "verdict": "walk"}]
    with pytest.raises(
        DataError, match=r"expected a key label in each .*, got values, verdict; name it with --reading.label"
    ):
        read_recordings(written(tmp_path / "data.jsonl", rows), Columns())
