"""What went wrong with recordings as people have them."""

import numpy as np
import pytest

from ostinato.data.recordings.reading import are_recordings, read_recordings
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.recordings.splits import draw_splits
from ostinato.data.recordings.tables import Columns
from ostinato.errors import DataError


def recordings(groups, labels="ab", steps=30):
    items = [
        Recording(str(at), np.full((steps, 1), at, np.float32), labels[at % len(labels)], group=group)
        for at, group in enumerate(groups)
    ]
    return Recordings(("x",), tuple(items))


def groups_in(splits):
    return [{each.group for each in part.items} for part in (splits.train, splits.validation, splits.test)]


@pytest.mark.parametrize("count", [3, 4, 5, 9])
@pytest.mark.parametrize("by_time", [False, True])
def test_each_part_has_a_group_of_few(count, by_time):
    found = draw_splits(recordings([f"s{at % count}" for at in range(60)]), "", 0.1, 0.1, by_time=by_time)
    train, validation, test = groups_in(found)
    assert len(train) == count - 2
    assert len(validation) == len(test) == 1
    assert len(train | validation | test) == count
    assert sum(map(len, (found.train, found.validation, found.test))) == 60


def test_groups_of_a_label_each_are_in_each_part_in_their_share():
    groups = [f"s{at // 3}" for at in range(120)]
    labels = ["sick" if at // 3 % 4 else "well" for at in range(120)]
    found = draw_splits(recordings(groups, labels), "", 0.25, 0.25, by_time=False)
    for part in (found.train, found.validation, found.test):
        share = np.mean([each.label == "sick" for each in part.items])
        assert 0.65 < share < 0.85


def test_two_groups_are_too_few_for_recordings_that_stay_whole():
    with pytest.raises(DataError, match=r"2 groups are too few .* --reading.validation and --reading.test"):
        draw_splits(recordings("st" * 20), "", 0.1, 0.1, by_time=False)
    train, validation, _ = groups_in(draw_splits(recordings("st" * 20), "", 0.1, 0.0, by_time=False))
    assert len(train) == len(validation) == 1


def test_one_group_is_none_and_a_note_tells_it():
    found = draw_splits(recordings("s" * 40), "", 0.1, 0.1, by_time=False)
    assert [len(found.train), len(found.validation), len(found.test)] == [32, 4, 4]
    assert groups_in(found) == [{None}] * 3
    assert found.train.notes == ("all recordings are of one group: every part has some of each",)


def test_a_long_recording_of_one_person_is_cut():
    found = draw_splits(recordings("s", steps=100), "", 0.1, 0.1, by_time=True)
    assert [len(part[0]) for part in (found.train, found.validation, found.test)] == [80, 10, 10]
    assert [len(part) for part in (found.train, found.validation, found.test)] == [1, 1, 1]


def test_labels_csv_says_whose_each_file_is(tmp_path):
    for at in range(4):
        (tmp_path / f"f{at}.csv").write_text("x,z\n1,2\n3,4\n")
    (tmp_path / "labels.csv").write_text("file,subject,label,age\nf0,ann,a,30\nf1,ann,b,30\nf2,bob,a,40\nf3.csv,,b,\n")
    found = read_recordings(str(tmp_path), Columns())
    assert [(each.label, each.group) for each in found.items] == [("a", "ann"), ("b", "ann"), ("a", "bob"), ("b", None)]
    found = read_recordings(str(tmp_path), Columns(label="age", group="label"))
    assert [(each.label, each.group) for each in found.items] == [("30", "a"), ("30", "b"), ("40", "a"), (None, "b")]
    with pytest.raises(DataError, match=r"labels.csv: has no column 'who'; its columns are file, subject, label, age"):
        read_recordings(str(tmp_path), Columns(group="who"))


@pytest.mark.parametrize("beside", [{"groups": [1, 1, 2]}, {"lengths": [2, 1, 3]}, {"times": [0, 1, 2]}])
def test_numbers_from_0_to_1_with_groups_or_lengths_are_no_images(tmp_path, beside):
    path = str(tmp_path / "a.npz")
    np.savez(path, x=np.linspace(0, 1, 18).reshape(3, 3, 2), y=[0, 1, 0], **beside)
    assert are_recordings(path, Columns())
    np.savez(path, x=np.linspace(0, 1, 18).reshape(3, 3, 2), y=[0, 1, 0])
    assert not are_recordings(path, Columns())
