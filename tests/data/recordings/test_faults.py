"""What went wrong with recordings as people have them."""

import numpy as np
import polars
import pytest

from ostinato.data.recordings.columns import Columns
from ostinato.data.recordings.reading import are_recordings, parts_at, read_recordings
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.recordings.splits import draw_splits
from ostinato.data.recordings.tables import read_recording_table
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


def test_folders_called_train_and_test_are_parts_and_no_classes(tmp_path):
    for part in ("train", "test"):
        for name in ("walk", "run"):
            (tmp_path / part / name).mkdir(parents=True)
            (tmp_path / part / name / "1.csv").write_text("v,w\n1,2\n3,4\n")
    assert are_recordings(str(tmp_path), Columns())
    places = parts_at(str(tmp_path))
    assert places == {part: str(tmp_path / part) for part in ("train", "test")}
    assert [each.label for each in read_recordings(places["test"], Columns()).items] == ["run", "walk"]


def test_a_folder_of_tables_with_labels_of_their_own(tmp_path):
    (tmp_path / "ann.csv").write_text("x,y,z,activity\n1,2,3,sit\n4,5,6,walk\n")
    (tmp_path / "bob.csv").write_text("y,x,z,activity\n2,1,3,walk\n")
    assert are_recordings(str(tmp_path), Columns())
    found = read_recordings(str(tmp_path), Columns())
    assert found.channels == ("x", "y", "z")
    assert [(each.id, each.labels) for each in found.items] == [("ann.csv", ("sit", "walk")), ("bob.csv", ("walk",))]
    assert found[1].values.tolist() == [[1, 2, 3]]
    (tmp_path / "bob.csv").write_text("id,y,x,z,activity\n1,2,1,3,walk\n2,2,1,3,walk\n2,2,1,3,walk\n")
    found = read_recordings(str(tmp_path), Columns(), labels=False)
    assert [each.id for each in found.items] == ["ann.csv", "bob.csv 1", "bob.csv 2"]
    (tmp_path / "ann.csv").write_text("comment,stars,label\nhow very nice,1,a\nnot so nice,2,b\n")
    assert not are_recordings(str(tmp_path), Columns())


@pytest.mark.parametrize("beside", [{"groups": [1, 1, 2]}, {"lengths": [2, 1, 3]}, {"times": [0, 1, 2]}])
def test_numbers_from_0_to_1_with_groups_or_lengths_are_no_images(tmp_path, beside):
    path = str(tmp_path / "a.npz")
    np.savez(path, x=np.linspace(0, 1, 18).reshape(3, 3, 2), y=[0, 1, 0], **beside)
    assert are_recordings(path, Columns())
    np.savez(path, x=np.linspace(0, 1, 18).reshape(3, 3, 2), y=[0, 1, 0])
    assert not are_recordings(path, Columns())


def table(folder, text):
    (folder / "a.csv").write_text(text)
    return folder / "a.csv"


def test_an_id_that_counts_the_rows_makes_no_recording_of_each_step(tmp_path):
    path = table(tmp_path, "id,time,v,activity\n" + "".join(f"{n + 7},{n},{n * n},x\n" for n in range(50)))
    found = read_recording_table(path)
    assert [len(each) for each in found.items] == [50]
    assert found.channels == ("v",)
    assert "column 'id' counts the rows and tells no recordings apart" in found.notes[0]
    assert len(read_recording_table(path, Columns(id="id"))) == 50
    found = read_recording_table(table(tmp_path, "id,v,label\na,1,x\nb,2,y\n"))
    assert len(found) == 2
    assert "each row is a recording of one step" in found.notes[0]


def test_trials_of_each_person_begin_at_1(tmp_path):
    rows = [(who, trial, t, who * 100 + trial * 10 + t) for who in (1, 2) for trial in (1, 2) for t in range(3)]
    text = "".join(f"s{who},{trial},{t},{v},x\n" for who, trial, t, v in rows)
    found = read_recording_table(table(tmp_path, "subject,trial,time,v,label\n" + text))
    assert [(each.id, each.group) for each in found.items] == [
        ("s1 1", "s1"), ("s1 2", "s1"), ("s2 1", "s2"), ("s2 2", "s2")
    ]  # fmt: skip
    assert [each.values[:, 0].tolist()[0] for each in found.items] == [110, 120, 210, 220]
    assert "told apart by subject and trial" in found.notes[0]


def test_t_is_no_time_where_a_clock_is_there_and_a_second_clock_is_no_channel(tmp_path):
    text = "id,time,t,date,v,label\na,0,20.5,2024-01-01,1,x\na,1,19.5,2024-01-01,2,x\na,2,20.1,2024-01-01,3,x\n"
    found = read_recording_table(table(tmp_path, text))
    assert found.channels == ("t", "v")
    assert found[0].values[:, 1].tolist() == [1, 2, 3]
    assert found.notes[-1].endswith("not read: date; --recording.channels names all columns that are to be read")
    found = read_recording_table(table(tmp_path, "id,ms,time,v,label\na,0,0.0,1,x\na,1000,1.0,2,x\n"))
    assert (found.channels, found[0].times.tolist()) == (("v",), [0, 1])
    found = read_recording_table(table(tmp_path, "id,t,v,label\na,1,1,x\na,0,2,x\n"))
    assert (found.channels, found[0].values[:, 0].tolist()) == (("v",), [2, 1])


def test_channels_of_training_are_no_labels_or_times_of_other_data(tmp_path):
    path = table(tmp_path, "id,t,state,user,y\na,5,1,2,3\na,4,2,3,4\n")
    known = ("t", "state", "user", "y")
    found = read_recording_table(path, Columns(expected=known), labels=False)
    assert (found.channels, found[0].values.tolist()) == (known, [[5, 1, 2, 3], [4, 2, 3, 4]])
    with pytest.raises(DataError, match="is called label"):
        read_recording_table(path, Columns(expected=known))


def test_true_and_false_are_read_and_columns_that_are_not_are_told(tmp_path):
    found = read_recording_table(table(tmp_path, "id,v,on,device,label\na,1,True,my phone,x\na,2,false,my phone,x\n"))
    assert found.channels == ("v", "on")
    assert found[0].values.tolist() == [[1, 1], [2, 0]]
    assert found.notes[-1].endswith(
        "a.csv: not read: device; --recording.channels names all columns that are to be read"
    )
    polars.DataFrame({"id": ["a", "a"], "on": [True, None], "label": ["x", "x"]}).write_parquet(tmp_path / "a.parquet")
    found = read_recording_table(tmp_path / "a.parquet")
    assert found.channels == ("on",)
    np.testing.assert_array_equal(found[0].values, [[1], [np.nan]])


def test_whole_numbers_that_a_data_frame_wrote_with_a_point_are_the_same_names(tmp_path):
    text = "id,subject,v,label\n1,3,1,0\n1.0,3.0,2,0.0\n2.0,4,3,1.0\n2,4,3,\n"
    found = read_recording_table(table(tmp_path, text))
    assert [(each.id, each.group, each.label, len(each)) for each in found.items] == [
        ("1", "3", "0", 2), ("2", "4", "1", 2)
    ]  # fmt: skip
    frame = {"id": [1, 1, 2], "v": [1.0, 2.0, 3.0], "label": [1.0, 1.0, float("nan")]}
    polars.DataFrame(frame).write_parquet(tmp_path / "a.parquet")
    assert [each.label for each in read_recording_table(tmp_path / "a.parquet").items] == ["1", None]
    found = read_recording_table(table(tmp_path, "id,v,label\na,1,1.0\nb,2,1.5\n"))
    assert [each.label for each in found.items] == ["1.0", "1.5"]


def test_a_label_in_the_first_row_alone_is_that_of_the_recording(tmp_path):
    found = read_recording_table(table(tmp_path, "id,v,label\na,1,x\na,2,\nb,1,\nb,2,\nc,1,x\nc,1,\nc,1,y\n"))
    assert [each.label for each in found.items] == ["x", None, None]
