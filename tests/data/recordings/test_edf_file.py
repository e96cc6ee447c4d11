"""EDF files, written by edfio."""

import numpy as np
import pytest
from edfio import Bdf, BdfSignal, Edf, EdfAnnotation, EdfSignal

from ostinato.data.recordings.columns import NOTHING_NAMED, Columns
from ostinato.data.recordings.reading import are_recordings, read_recordings
from ostinato.data.recordings.sound import Sound
from ostinato.errors import DataError

FAST, SLOW = np.sin(np.arange(400) / 9), np.arange(8.0)


def signals(kind=EdfSignal):
    return [
        kind(FAST, 100, label="EEG", physical_range=(-1, 1)),
        kind(SLOW, 2, label="Temp", physical_range=(0, 8)),
    ]


def written(folder, annotations=(), name="a.edf"):
    edf = Edf(signals(), annotations=[EdfAnnotation(*each) for each in annotations])
    edf.write(folder / name)
    return folder / name


def read(path, columns=NOTHING_NAMED, **how):
    return read_recordings(str(path), columns, labels=how.pop("labels", False), **how)


def test_a_slower_channel_keeps_its_last_value(tmp_path):
    path = written(tmp_path)
    assert are_recordings(str(path), Columns())
    found = read(path)
    assert (found.channels, found.rate, found[0].id) == (("EEG", "Temp"), 100, "a.edf")
    np.testing.assert_allclose(found[0].values[:, 0], FAST, atol=1e-4)
    np.testing.assert_allclose(found[0].values[:, 1], np.repeat(SLOW, 50), atol=1e-3)
    assert read(path, Columns(channels=("Temp",)))[0].values.shape == (8, 1)
    with pytest.raises(DataError, match="has no channel 'Pulse'; its channels are EEG, Temp"):
        read(path, Columns(channels=("Pulse",)))


def test_annotations_are_labels_of_steps(tmp_path):
    path = written(tmp_path, [(0, 1, "wake"), (1, None, "sleep"), (3, None, "wake"), (3.5, 0.25, "move")])
    (found,) = read(path, labels=True).items
    assert found.label is None
    assert found.labels == ("wake",) * 100 + ("sleep",) * 200 + ("wake",) * 50 + ("move",) * 25 + (None,) * 25
    same = read(written(tmp_path, [(0, 4, "rest")], "b.edf"), labels=True)[0]
    assert same.label == "rest"


def test_a_folder_of_classes_and_bdf(tmp_path):
    (tmp_path / "ill").mkdir()
    (tmp_path / "well").mkdir()
    written(tmp_path / "ill", [(0, 4, "rest")])
    Bdf(signals(BdfSignal)).write(tmp_path / "well" / "b.bdf")
    found = read(tmp_path, labels=True)
    assert [(each.id, each.label, each.labels) for each in found.items] == [
        ("ill/a.edf", "ill", None),
        ("well/b.bdf", "well", None),
    ]
    np.testing.assert_allclose(found[0].values, found[1].values, atol=1e-3)


def test_another_rate_is_resampled_with_its_labels(tmp_path):
    (found,) = read(written(tmp_path, [(0, 2, "a"), (2, 2, "b")]), labels=True, sound=Sound(rate=50)).items
    assert found.labels == ("a",) * 100 + ("b",) * 100
    np.testing.assert_allclose(found.values[20:-20, 0], FAST[40:-40:2], atol=5e-3)


@pytest.mark.parametrize("content", [b"", b"0       nothing", None])
def test_what_is_no_whole_file_is_told(tmp_path, content):
    path = tmp_path / "a.edf"
    whole = written(tmp_path).read_bytes()
    path.write_bytes(whole[:500] if content is None else content)
    with pytest.raises(DataError, match=r"a.edf: is no whole EDF file \(.*\); fetch it again"):
        read(path)
