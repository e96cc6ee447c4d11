"""What went wrong with classifying and tagging recordings as people have them."""

import dataclasses

import numpy as np
import pytest

from ostinato.data.recordings.columns import Columns, holds_recordings
from ostinato.data.recordings.reading import read_recordings
from ostinato.data.recordings.scaling import Scaling
from ostinato.errors import DataError
from ostinato.recipes import load, train
from ostinato.recipes.classify.settings import ClassifyReadingSettings, ClassifySettings
from ostinato.recipes.recordings.reading import RecordingReader
from ostinato.recipes.recordings.settings import RecordingSettings
from ostinato.recipes.tag.settings import TagSettings


def table(path, label, recordings=40, steps=6):
    """A recording of 1 and one of -1 in turn; `label` says that of a recording and a step."""
    draw = np.random.default_rng(0)
    rows = [
        f"r{at},{(-1) ** at + 0.1 * draw.standard_normal():.4f},{label(at, step)}"
        for at in range(recordings)
        for step in range(steps)
    ]
    path.write_text("\n".join(["id,v,label", *rows]) + "\n")
    return str(path)


def quick(settings, data, run):
    training = dataclasses.replace(settings.training, max_steps=2)
    model = dataclasses.replace(settings.model, hidden_size=4)
    return dataclasses.replace(
        settings, data=data, run=str(run), training=training, model=model, quiet=True, device="cpu"
    )


def reader(*, of_steps=False, **recording):
    return RecordingReader(RecordingSettings(**recording), ClassifyReadingSettings(), of_steps=of_steps)


@pytest.mark.parametrize("settings", [ClassifySettings(), TagSettings()])
def test_recordings_without_a_label_are_left_out(tmp_path, settings):
    data = table(tmp_path / "a.csv", lambda at, step: "" if at % 5 == 0 else "ab"[at % 2])
    result = train(quick(settings, data, tmp_path / "run"))
    assert result.scores["test"].examples > 0
    evaluated, _ = load(result.run.path).evaluate(data)
    assert evaluated.examples == 32
    nothing = table(tmp_path / "b.csv", lambda at, step: "")
    with pytest.raises(DataError, match=r"b.csv: none of its recordings has a label; fill in the column of labels"):
        load(result.run.path).evaluate(nothing)


def test_how_many_have_no_label_is_told(tmp_path):
    data = table(tmp_path / "a.csv", lambda at, step: "" if at % 5 == 0 else "ab"[at % 2])
    parts = reader().splits(data)
    assert sum(map(len, (parts.train, parts.validation, parts.test))) == 32
    assert any("recordings have no label, and are left out" in note for note in parts.train.notes)
    long = table(tmp_path / "b.csv", lambda at, step: "ab"[step // 90] if step < 150 else "", recordings=1, steps=200)
    parts = reader(window=10).splits(long)
    assert all(each.label is not None for part in (parts.train, parts.validation) for each in part.items)


def test_a_table_that_is_one_recording_of_several_labels_is_told(tmp_path):
    (tmp_path / "a.csv").write_text("v,w,label\n1,2,a\n2,3,b\n")
    with pytest.raises(DataError, match=r"changes within the recording; .* or that of texts with --reading.text"):
        reader().splits(str(tmp_path / "a.csv"))


def test_standard_input_is_told():
    scaling = Scaling(("v",), (0.0,), (1.0,), (1.0,))
    with pytest.raises(DataError, match="recordings are read from a file, and not from standard input"):
        reader().part("-", scaling, labelled=False)


def test_texts_that_are_numbers_stay_texts(tmp_path):
    (tmp_path / "a.csv").write_text("text,stars,label\n" + "".join(f"{n},{n % 5},a\n" for n in range(20)))
    assert not holds_recordings(tmp_path / "a.csv", Columns())


def test_eight_sensors_in_numbered_columns_are_channels_where_a_row_is_a_step(tmp_path):
    draw = np.random.default_rng(0)
    names = [f"emg{at}" for at in range(1, 9)]
    rows = [",".join([*(f"{v:.3f}" for v in draw.standard_normal(8)), "ab"[at // 20 % 2]]) for at in range(400)]
    (tmp_path / "a.csv").write_text("\n".join([",".join([*names, "label"]), *rows]) + "\n")
    for found in (reader(of_steps=True), reader(window=20)):
        assert found.reads(str(tmp_path / "a.csv"))
        parts = found.splits(str(tmp_path / "a.csv"))
        assert parts.train.channels == tuple(names)
        assert len(parts.train[0]) > 1
    assert reader().splits(str(tmp_path / "a.csv")).train.channels == ("emg",)  # a row a recording
    assert reader(window=4).splits(str(tmp_path / "a.csv")).train.channels == ("emg",)


def test_a_unit_behind_a_name_is_no_part_of_it(tmp_path):
    lines = [f"{id},{t / 2},{t + id},{'ab'[id % 2]}" for id in range(30) for t in range(5)]
    (tmp_path / "a.csv").write_text("ID,Time [s],Acc (m/s²),Label\n" + "\n".join(lines) + "\n")
    found = reader().splits(str(tmp_path / "a.csv"))
    assert found.train.channels == ("Acc (m/s²)",)
    assert found.train[0].times.tolist() == [0, 0.5, 1, 1.5, 2]
    (tmp_path / "b.csv").write_text("t[0],t[1],y(2),label\n" + "".join(f"{n},2,3,{'ab'[n % 2]}\n" for n in range(30)))
    assert read_recordings(str(tmp_path / "b.csv"), Columns()).channels == ("t[0]", "t[1]", "y(2)")


def test_a_channel_in_another_unit_than_in_training_is_told(tmp_path):
    draw = np.random.default_rng(0)

    def write(name, scale):
        rows = [
            f"{id},{t},{draw.normal()},{scale * (1013 + draw.normal())},{'ab'[id % 2]}"
            for id in range(30)
            for t in range(5)
        ]
        (tmp_path / name).write_text("id,time,acc,pressure,label\n" + "\n".join(rows) + "\n")
        return str(tmp_path / name)

    scaling = Scaling.of(reader().splits(write("a.csv", 1)).train)
    (line,) = reader().part(write("b.csv", 100), scaling, labelled=False).notes
    assert "channel 'pressure' lies about 1.013e+05" in line
    assert "in another unit?" in line
    assert not reader().part(write("c.csv", 1), scaling, labelled=False).notes


def test_windows_that_no_recording_fills_are_told(tmp_path):
    rows = [f"{id},{t},{t + id},{'ab'[id % 2]}" for id in range(30) for t in range(9)]
    (tmp_path / "a.csv").write_text("id,time,v,label\n" + "\n".join(rows) + "\n")
    found = reader(window=20).splits(str(tmp_path / "a.csv"))
    assert "no recording is as long as a window of 20 steps, the longest has 9: each is one window" in found.train.notes
    assert not any("window" in note for note in reader(window=9).splits(str(tmp_path / "a.csv")).train.notes)
