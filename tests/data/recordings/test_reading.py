"""Recordings from folders and archives, and what is none."""

import numpy as np
import pytest

from ostinato.data.recordings.columns import Columns
from ostinato.data.recordings.reading import (
    are_recordings,
    names_of_labels,
    parts_at,
    read_recordings,
    without_labels,
)
from ostinato.data.recordings.recording import Recording, Recordings, check_channels
from ostinato.errors import DataError

NOTHING = Columns()
TS = "@problemName p\n@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n1,2,3:a\n4,5:b\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def read(path, **how):
    return read_recordings(str(path), NOTHING, **how)


def told(found):
    return [(each.id, each.label, each.values.tolist()) for each in found.items]


@pytest.fixture
def classes(tmp_path):
    write(tmp_path / "data" / "walk" / "1.csv", "t,v,w\n0,1,5\n1,2,6\n")
    write(tmp_path / "data" / "walk" / "2.csv", "w,v\n7,3\n")
    write(tmp_path / "data" / "run" / "a.csv", "v,w,label\n4,8,none\n")
    write(tmp_path / "data" / "run" / ".hidden.csv", "nothing")
    write(tmp_path / "data" / "run" / "readme.md", "nothing")
    return tmp_path / "data"


def test_a_folder_for_each_class(classes):
    assert are_recordings(str(classes), NOTHING)
    assert parts_at(str(classes)) == {"train": str(classes)}
    found = read(classes)
    # The channels of all are those of the first, in its order.
    assert found.channels == ("v", "w")
    assert told(found) == [
        ("run/a.csv", "run", [[4, 8]]),
        ("walk/1.csv", "walk", [[1, 5], [2, 6]]),
        ("walk/2.csv", "walk", [[3, 7]]),
    ]
    assert found[1].times is not None
    assert all(each.labels is None for each in found.items)


def test_a_file_that_lacks_a_channel_or_has_several_recordings_is_told(classes):
    write(classes / "walk" / "3.csv", "v\n1\n")
    with pytest.raises(
        DataError, match=r"3[.]csv: expected the channels v, w, like those of training, and lacks w; it has v"
    ):
        read(classes)
    write(classes / "walk" / "3.csv", "id,v,w\na,1,2\nb,1,2\n")
    with pytest.raises(
        DataError, match=r"3[.]csv: expected one recording a file, got 2 \(told apart by a column of ids\)"
    ):
        read(classes)


@pytest.mark.parametrize(
    "labels",
    ["file,label\nb.csv,run\na,walk\n", "name,class\nb.csv,run\na.csv,walk\n", "which,n,kind\nb,1,run\na,2,walk\n"],
)
def test_a_table_of_labels_beside_the_files(tmp_path, labels):
    for name, value in (("a", 1), ("b", 2), ("c", 3)):
        write(tmp_path / f"{name}.csv", f"v\n{value}\n")
    write(tmp_path / "labels.csv", labels)
    assert are_recordings(str(tmp_path), NOTHING)
    assert told(read(tmp_path)) == [("b.csv", "run", [[2]]), ("a.csv", "walk", [[1]])]


def test_a_file_that_labels_name_and_is_not_there_is_told(tmp_path):
    write(tmp_path / "labels.csv", "file,label\na.csv,u\n")
    with pytest.raises(
        DataError, match=r"labels[.]csv, line 2: there is no file 'a.csv' in .*; put it there or leave the row out"
    ):
        read(tmp_path)


def test_images_with_labels_are_none(tmp_path):
    write(tmp_path / "a.png", "no table")
    write(tmp_path / "labels.csv", "file,label\na.png,u\n")
    assert not are_recordings(str(tmp_path), NOTHING)


def test_tables_alone_do_where_no_labels_are_wanted(tmp_path):
    for name in "ba":
        write(tmp_path / f"{name}.csv", f"v\n{ord(name)}\n")
    assert told(read(tmp_path, labels=False)) == [("a.csv", None, [[97]]), ("b.csv", None, [[98]])]
    with pytest.raises(
        DataError,
        match=r"is called label; .* Or lay files of a class into a folder of its name, or put labels.csv beside",
    ):
        read(tmp_path)


def test_parts_of_a_folder(tmp_path):
    for name in ("train", "valid", "test"):
        write(tmp_path / f"{name}.csv", f"id,v,label\n{name},1,x\n")
    found = parts_at(str(tmp_path))
    assert are_recordings(str(tmp_path), NOTHING)
    assert {part: read(place)[0].id for part, place in found.items()} == {
        "train": "train",
        "validation": "valid",
        "test": "test",
    }


def test_texts_in_a_folder_stay_texts(tmp_path):
    write(tmp_path / "train.csv", "text,label\na film,good\n")
    assert not are_recordings(str(tmp_path), NOTHING)
    write(tmp_path / "other" / "good" / "1.txt", "a film")
    assert not are_recordings(str(tmp_path / "other"), NOTHING)


def test_a_folder_of_the_archive(tmp_path):
    for part in ("TRAIN", "TEST"):
        write(tmp_path / f"Some_{part}.ts", TS)
    assert are_recordings(str(tmp_path), NOTHING)
    places = parts_at(str(tmp_path))
    assert {part: place.rpartition("_")[2] for part, place in places.items()} == {
        "train": "TRAIN.ts",
        "test": "TEST.ts",
    }
    assert [(each.label, len(each)) for each in read(places["train"]).items] == [("a", 3), ("b", 2)]
    table = write(tmp_path / "ucr" / "Other_TRAIN.tsv", "1\t0.5\t0.25\n2\t-1\t3\n")
    assert are_recordings(str(table), NOTHING)
    assert [(each.label, each.values[:, 0].tolist()) for each in read(table).items] == [
        ("1", [0.5, 0.25]),
        ("2", [-1, 3]),
    ]


def archive(folder, **arrays):
    np.savez(folder / "a.npz", **arrays)
    return folder / "a.npz"


@pytest.mark.parametrize(
    ("values", "measured"),
    [
        (np.random.default_rng(0).random((6, 4, 4)), False),  # brightness from 0 to 1
        (np.random.default_rng(0).random((6, 4, 4)).astype(np.float32), False),
        (np.random.default_rng(0).integers(0, 256, (6, 4, 4)).astype(np.uint8), False),
        (np.random.default_rng(0).integers(0, 256, (6, 4, 4)).astype(np.float64), False),
        (np.random.default_rng(0).normal(size=(6, 4, 4)), True),
        (np.array([[[0.5], [1.5]]]), True),
        (np.array([[[0.5], [np.nan]]]), True),
    ],
)
def test_what_numbers_of_an_archive_are(tmp_path, values, measured):
    labels = np.arange(len(values)) % 2
    assert are_recordings(str(archive(tmp_path, x=values, y=labels)), NOTHING) is measured
    assert are_recordings(str(archive(tmp_path, x_train=values, y_train=labels)), NOTHING) is measured


def test_an_archive_of_images_by_name_and_no_archive_are_none(tmp_path):
    assert not are_recordings(str(archive(tmp_path, images=np.full((2, 3, 3), -1.5), labels=np.arange(2))), NOTHING)
    assert not are_recordings(str(write(tmp_path / "b.npz", "nothing")), NOTHING)
    assert not are_recordings("picture.png", NOTHING)
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    assert are_recordings(str(tmp_path / "a.npy"), NOTHING)


def test_parts_of_an_archive(tmp_path):
    path = archive(tmp_path, x_train=np.full((2, 3), -0.5), y_train=np.arange(2), x_test=np.zeros((1, 2)), y_test=[1])
    assert [each.label for each in read(path, part="train").items] == ["0", "1"]
    assert [(each.label, len(each)) for each in read(path, part="test").items] == [("1", 2)]


def test_nothing_and_no_labels_are_told(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    with pytest.raises(DataError, match=r"a[.]npy: none of its recordings has a label; write .npz with x \(N, T, C\)"):
        read(tmp_path / "a.npy")
    assert len(read(tmp_path / "a.npy", labels=False)) == 2
    with pytest.raises(
        DataError, match=r"b[.]csv: there is no row in it; expected a row for each step, or for each recording"
    ):
        read(write(tmp_path / "b.csv", "id,v,label\n"), labels=False)


def test_channels_are_put_in_order():
    found = Recordings(("a", "b", "c"), (Recording("r", np.array([[1, 2, 3]], np.float32)),))
    assert check_channels(found, ("a", "b", "c"), "f") is found
    assert check_channels(found, ("c", "a"), "f")[0].values.tolist() == [[3, 1]]
    with pytest.raises(
        DataError, match="f: expected the channels a, d, like those of training, and lacks d; it has a, b, c"
    ):
        check_channels(found, ("a", "d"), "f")


def test_names_of_labels_are_sorted_and_can_be_left_out():
    values = np.zeros((2, 1))
    found = Recordings(
        ("a",), (Recording("r", values, "10", ("9", None)), Recording("s", values, "b"), Recording("t", values))
    )
    assert names_of_labels(found) == ["9", "10", "b"]
    bare = without_labels(found)
    assert names_of_labels(bare) == []
    assert [each.id for each in bare.items] == ["r", "s", "t"]


def test_a_pattern_of_names_is_as_a_folder_of_its_files(classes):
    folder, pattern = read(classes), f"{classes}/*/*.csv"
    assert are_recordings(pattern, NOTHING)
    assert told(read(pattern)) == told(folder)
    assert [each.id for each in read(f"{classes}/walk/?.csv", labels=False).items] == ["1.csv", "2.csv"]
    with pytest.raises(DataError, match="no file has such a name"):
        read(f"{classes}/*/*.wav")
    # A table beside the files says what their labels are; and it is none of them.
    write(classes / "walk" / "labels.csv", "file,label,subject\n1.csv,slow,Ada\n2.csv,fast,Bo\n")
    found = read(f"{classes}/walk/*.csv")
    assert [(each.id, each.label, each.group) for each in found.items] == [
        ("1.csv", "slow", "Ada"),
        ("2.csv", "fast", "Bo"),
    ]
    # What is called so is no pattern.
    odd = write(classes / "a[1].csv", "t,v,label\n0,1,x\n1,2,x\n")
    assert len(read(odd)) == 1


def test_files_that_cannot_be_read_are_left_out_where_that_is_wanted(classes):
    write(classes / "run" / "b.csv", "")
    write(classes / "run" / "c.wav", "no sound")
    with pytest.raises(DataError, match=r"b\.csv"):
        read(classes)
    found = read(classes, skip_broken=True)
    assert [each.id for each in found.items] == ["run/a.csv", "walk/1.csv", "walk/2.csv"]
    assert ["b.csv" in found.unread[0], "c.wav" in found.unread[1], len(found.unread)] == [True, True, 2]
    assert "2 of its files cannot be read, and are left out" in found.notes[-1]
    assert found.take([0]).unread == found.unread
    for file in (classes / "run").glob("*.csv"):
        file.unlink()
    with pytest.raises(DataError, match=r"c\.wav.*training with --recording.skip_broken true leaves such files out"):
        read(classes)
    with pytest.raises(DataError, match="none of its 1 files can be read; the first"):
        read(f"{classes}/run/*", skip_broken=True)
