"""What went wrong with classifying and tagging recordings as people have them."""

import dataclasses

import numpy as np
import pytest

from ostinato.data.recordings.columns import Columns, holds_recordings
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
