"""Models of recordings outside of Python or torch: the same answers."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ostinato.cli.main import main
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.recordings.scaling import Scaling
from ostinato.data.recordings.tables import read_recording_table
from ostinato.exporting.c.models import network_of
from ostinato.recipes import open_run, train
from ostinato.recipes.classify.settings import ClassifierSettings, ClassifyReadingSettings
from ostinato.recipes.exporting.c_folder import export_run
from ostinato.recipes.recordings.settings import RecordingSettings
from ostinato.recipes.tag.settings import TaggerSettings
from tests.exporting.c.compiled import Compiled
from tests.recipes.recordings.breaths import FEW, breaths, small, small_tagger, write
from tests.recipes.test_exported import assert_same_probabilities, calls, exported

TRAINING = dataclasses.replace(FEW, max_steps=8, evaluate_every=8)
KINDS = {"even": {}, "gaps": {"gaps": 0.2}, "uneven": {"uneven": True}, "both": {"gaps": 0.2, "uneven": True}}


def lists(found: Recordings, *, times: bool) -> list[Any]:
    """Values and times as JSON writes them."""
    values = [each.values.astype(float).tolist() for each in found.items]
    return [values, [None if each.times is None else each.times.tolist() for each in found.items] if times else None]


@pytest.mark.parametrize("kind", KINDS)
def test_recordings_are_told_apart_the_same(kind: str, tmp_path: Path) -> None:
    data = write(tmp_path / "breaths.csv", breaths(40, **KINDS[kind]))
    reading = ClassifyReadingSettings(max_length=4 if kind == "gaps" else None)
    recording = RecordingSettings(stack=3 if kind == "both" else 1)
    train(small(tmp_path / "run", data, reading=reading, recording=recording, training=TRAINING))
    run = open_run(tmp_path / "run")
    assert (run.known.scaling.step is not None) == ("uneven" in KINDS[kind])
    assert run.known.scaling.gaps == ((0, 1) if "gaps" in KINDS[kind] else ())
    folder = exported(tmp_path / "run")
    new = write(tmp_path / "new.csv", breaths(60, seed=1, gaps=0.3, uneven=True))
    part = read_recording_table(new)
    without = write(tmp_path / "without.csv", breaths(60, seed=1, gaps=0.3), order=("trial", "acc", "pressure"))
    asked = [["classify_recordings", lists(part, times=True), {}]]
    asked += [["classify_recordings", lists(read_recording_table(without, labels=False), times=False), {}]]
    for found, file in zip(calls(folder, asked), (new, without), strict=True):
        assert_same_probabilities(found, run.predict(data=file))


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_steps_are_tagged_the_same_in_windows_too(output: Any, tmp_path: Path) -> None:
    data = write(tmp_path / "breaths.csv", breaths(30, turns=True, gaps=0.2, uneven=True))
    model = TaggerSettings(hidden_size=8, num_layers=1, dropout=0.0, input_dropout=0.0, output=output, window=20)
    train(small_tagger(tmp_path / "run", data, model=model, training=TRAINING))
    run = open_run(tmp_path / "run")
    new = write(tmp_path / "new.csv", breaths(30, seed=1, turns=True, gaps=0.2, uneven=True))
    part = read_recording_table(new)
    assert min(map(len, part.items)) <= 20 < max(map(len, part.items))
    values, times = lists(part, times=True)
    asked = [["tag_recording", [*each], {}] for each in zip(values, times, strict=True)]
    for found, wanted in zip(calls(exported(tmp_path / "run"), asked), run.predict(data=new), strict=True):
        assert found["tags"] == wanted["tags"]
        if output == "softmax":
            assert found["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-4)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("classify")
    model = ClassifierSettings(hidden_size=8, dropout=0.0, bidirectional=False)
    data = write(folder / "breaths.csv", breaths(40, gaps=0.2))
    train(small(folder / "run", data, model=model, training=TRAINING))
    return open_run(folder / "run")


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tag")
    model = TaggerSettings(hidden_size=8, num_layers=1, dropout=0.0, input_dropout=0.0, bidirectional=False)
    data = write(folder / "breaths.csv", breaths(20, turns=True, gaps=0.2))
    train(small_tagger(folder / "run", data, model=model, training=TRAINING))
    return open_run(folder / "run")


@pytest.mark.parametrize("task", ["classifier", "tagger"])
def test_a_runner_reads_a_file_of_numbers(task: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    run = request.getfixturevalue(task)
    folder = tmp_path / "out"
    assert main(["export", str(run.folder), "--output", str(folder)]) == 0
    values = np.random.default_rng(0).normal((0, 101_325), (1, 20), (3, 12, 2)).astype(np.float32)
    values[0, 3, 1] = np.nan
    np.save(tmp_path / "new.npy", values)
    np.savez(tmp_path / "new.npz", x=values, channels=["acc", "pressure"])
    done = subprocess.run(
        [sys.executable, "run.py", str(tmp_path / "new.npy")], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    key = "class" if task == "classifier" else "tags"
    assert [each[key] for each in found] == [each[key] for each in run.predict(tmp_path / "new.npz")]


@pytest.mark.parametrize("task", ["classifier", "tagger"])
def test_a_card_of_c_says_how_recordings_are_scaled(task: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    run = request.getfixturevalue(task)
    export_run(run, tmp_path / "c", weights="int8", say=lambda line: None)
    card = json.loads((tmp_path / "c" / "card.json").read_text())
    assert Scaling.from_dict(card["scaling"]) == run.known.scaling
    assert card["classes" if task == "classifier" else "tags"] == ["in", "out"]
    assert card["error"]["of"] == "inputs"
    each = read_recording_table(run.settings.data).items[0]
    steps = torch.from_numpy(run.known.scaling.apply(each))
    name = "classify" if task == "classifier" else "tag"
    got = Compiled(network_of(run.model, name, "int8"), tmp_path / "c")(steps)
    with torch.no_grad():
        want = run.model(steps[:, None])
    want = want[0] if task == "classifier" else want[:, 0]
    got = got.reshape(-1, 2)[-1] if task == "classifier" else got.reshape(want.shape)
    assert float((got - want).abs().max()) <= 3 * card["error"]["largest"] + 1e-6


class AsTheModel:
    """A runner whose answers are those of the run's model."""

    def __init__(self, run: Any) -> None:
        self.run = run

    def classify_recordings(self, recordings: Any, times: Any) -> Any:
        items = tuple(Recording("", values, times=at) for values, at in zip(recordings, times, strict=True))
        return self.run.predict(Recordings(self.run.known.scaling.channels, items))

    def tag_recording(self, values: Any, times: Any) -> Any:
        (answer,) = self.run.predict(Recordings(self.run.known.scaling.channels, (Recording("", values, times=times),)))
        return answer


@pytest.mark.parametrize("task", ["classifier", "tagger"])
def test_an_export_is_judged_as_the_run_was(task: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(task)
    found = run.task.exported(run).judge(AsTheModel(run))
    report = json.loads((run.folder / "report.json").read_text())
    assert found["accuracy"] == pytest.approx(report["scores"]["validation"]["figures"]["accuracy"])
