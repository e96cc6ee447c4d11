"""Recordings are classified, from the table to the answers."""

import dataclasses
import io
import json
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console

from ostinato.cli.main import main
from ostinato.data.recordings.recording import Recordings
from ostinato.errors import ConfigError, DataError, RunError
from ostinato.recipes import load, train
from ostinato.recipes.classify import baselines
from ostinato.recipes.classify.settings import ClassifyReadingSettings, ClassifySettings
from ostinato.recipes.classify.task import Classify
from ostinato.recipes.recordings.settings import RecordingSettings

from .breaths import COLUMNS, FEW, breaths, small, write


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write(tmp_path_factory.mktemp("table") / "breaths.csv", breaths(60))


@pytest.fixture(scope="module")
def result(tmp_path_factory, table):
    return train(small(tmp_path_factory.mktemp("classify") / "run", table))


@pytest.fixture(scope="module")
def trained(result):
    return load(result.run.path)


def test_a_channel_of_large_numbers_and_small_changes_is_learnt(result, trained):
    scores = result.scores["test"]
    assert (scores.examples, scores.figures["accuracy"]) == (6, 1.0)
    report = json.loads((result.run.path / "report.json").read_text())
    assert set(report["scores"]["test"]["baselines"]) == {"1-NN DTW", "majority"}
    assert set(report["scores"]["test"]["details"]["classes"]) == {"in", "out"}
    scaling = trained.known.scaling
    assert scaling.channels == ("acc", "pressure")  # and the times, which are even, tell nothing
    assert (scaling.gaps, scaling.step, scaling.stack) == ((), None, 1)


def test_answers_have_ids_classes_and_probabilities(trained, tmp_path):
    rows = breaths(20, seed=1)
    answers = trained.predict(data=write(tmp_path / "new.csv", rows))
    labels = dict.fromkeys((row[0], row[-1]) for row in rows)
    assert [(each["id"], each["class"]) for each in answers] == list(labels)
    for each in answers:
        assert each["probability"] == max(each["probabilities"].values()) == each["probabilities"][each["class"]]
        assert sum(each["probabilities"].values()) == pytest.approx(1)


def test_columns_and_rows_may_be_in_another_order_and_labels_left_out(trained, tmp_path):
    rows = breaths(12, seed=2, gaps=0.2)
    wanted = trained.predict(data=write(tmp_path / "a.csv", rows))
    shuffled = [rows[at] for at in np.random.default_rng(0).permutation(len(rows))]
    for order in (("pressure", "label", "time", "acc", "trial"), ("time", "pressure", "acc", "trial")):
        found = trained.predict(data=write(tmp_path / "b.csv", shuffled, order=order))
        assert sorted(found, key=lambda each: each["id"]) == sorted(wanted, key=lambda each: each["id"])


def test_a_file_that_lacks_a_channel_is_told_and_one_where_it_is_empty_is_not(trained, tmp_path):
    rows = breaths(3)
    path = write(tmp_path / "a.csv", rows, order=("trial", "time", "acc", "label"))
    for call in (trained.predict, trained.evaluate):
        with pytest.raises(
            DataError, match="expected the channels acc, pressure, like those of training, and lacks pressure"
        ):
            call(data=path)
    empty = [(*row[:2], None, *row[3:]) for row in rows]
    assert len(trained.predict(data=write(tmp_path / "b.csv", empty))) == 3


def test_labels_that_training_never_had_count_as_errors(trained, tmp_path):
    rows = breaths(10, seed=3)
    strange = [(*row[:-1], "held") if row[0] in ("b0", "b1") else row for row in rows]
    scores, judge = trained.evaluate(write(tmp_path / "a.csv", strange))
    assert (scores.examples, scores.figures["accuracy"]) == (10, 0.8)
    assert "training never had the label held: 2 of the" in scores.warnings[0]
    assert "held" in judge.details()["classes"]


def test_one_recording_can_be_judged(trained, tmp_path):
    scores, _ = trained.evaluate(write(tmp_path / "a.csv", breaths(1, seed=4)))
    assert (scores.examples, scores.figures["accuracy"]) == (1, 1.0)


def test_settings_are_kept_as_they_were_given(result, table, tmp_path):
    config = yaml.safe_load(result.run.config_file.read_text())
    assert config["recording"] == dataclasses.asdict(RecordingSettings())
    assert config["training"]["batch_size"] == 8
    again = train(ClassifySettings.from_dict({**config, "run": str(tmp_path / "again"), "quiet": True}))
    wanted = load(result.run.path).model.state_dict()
    for name, weight in load(again.run.path).model.state_dict().items():
        assert torch.equal(weight, wanted[name]), name


def test_a_run_without_a_budget_is_trained_for_longer_and_its_settings_stay(table, tmp_path):
    settings = small(tmp_path / "run", table, training=ClassifySettings().training)
    steps = []
    stopped = train(settings, on_evaluation=lambda step, minimised: steps.append(step) or len(steps) == 2)
    # Batches of 8 of 48 recordings, evaluated each seventh of the 150 epochs that 900 updates are.
    assert (stopped.outcome.ending, steps) == ("pruned", [42, 84])
    config = yaml.safe_load(stopped.run.config_file.read_text())
    kept = {name: config["training"][name] for name in ("batch_size", "max_epochs", "max_time_s")}
    assert kept == {"batch_size": 64, "max_epochs": 20.0, "max_time_s": 300.0}
    again = ClassifySettings.from_dict({**config, "resume": True, "quiet": True})
    resumed = train(again, on_evaluation=lambda step, minimised: steps.append(step) or True)
    assert (resumed.outcome.ending, steps[2:]) == ("pruned", [126])
    # A budget of one's own later on has the same batches.
    longer = dataclasses.replace(again, training=dataclasses.replace(again.training, max_epochs=24.0))
    assert train(longer).outcome.counters.step == 144


def test_few_even_recordings_are_augmented_unless_somebody_says_otherwise(table):
    task, settings = Classify(), ClassifySettings(data=str(table))
    known = task.learn(settings, task.read(settings).train)
    scaling = known.scaling
    assert scaling is not None

    def strength(**changes: Any) -> float:
        model = dataclasses.replace(settings.model, **changes.pop("model", {}))
        changed = dataclasses.replace(known, **changes)
        return task.build(dataclasses.replace(settings, model=model), changed).augmentation.strength

    assert strength() == 1.0
    assert strength(examples=1_000) == 1.0
    assert strength(examples=1_001) == 0.0
    assert strength(target="number") == 0.0  # which may be a speed
    assert strength(scaling=dataclasses.replace(scaling, gaps=(0,))) == 0.0
    assert strength(scaling=dataclasses.replace(scaling, step=1.0)) == 0.0
    assert strength(model={"augmentation": 0.5}, examples=5_000) == 0.5
    # What is read beside values, such as whether one is there, is no curve that can be read at another speed.
    for uneven in ({"gaps": (0,)}, {"step": 1.0}):
        with pytest.raises(ConfigError, match="augmentation: expected 0 of recordings with gaps or at uneven times"):
            strength(model={"augmentation": 1.0}, scaling=dataclasses.replace(scaling, **uneven))


def test_a_run_goes_on_where_it_was_stopped(result, table, tmp_path):
    settings = small(tmp_path / "run", table)
    assert train(settings, on_evaluation=lambda step, minimised: True).outcome.ending == "pruned"
    resumed = train(dataclasses.replace(settings, resume=True))
    one, other = (load(each.run.path).model.state_dict() for each in (result, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    more = dataclasses.replace(settings, resume=True, training=dataclasses.replace(FEW, max_steps=40))
    assert train(more).outcome.counters.step == 40


def test_other_recordings_are_not_gone_on_with(result, tmp_path):
    other = write(tmp_path / "other.csv", breaths(60, seed=9))
    with pytest.raises(RunError, match=r"is not the one that .* was trained on so far"):
        train(small(result.run.path, other, resume=True))


def test_pieces_of_a_long_recording_from_the_command_line(tmp_path, capsys):
    rows = [("all", 10 * at + n, *row[2:]) for at in range(40) for n, row in enumerate(breaths(1, seed=at)[:8])]
    rows = [(*row[:-1], ("in", "out")[at // 8 % 2]) for at, row in enumerate(rows)]
    rows = [(*row[:3], 101_325 + (row[3] - 101_325) * (1, -1)[at // 8 % 2], row[4]) for at, row in enumerate(rows)]
    data = write(tmp_path / "long.csv", rows)
    words = ["train", "classify", "--data", data, "--run", str(tmp_path / "run"), "--device", "cpu", "--quiet"]
    words += ["--model.hidden_size", "8", "--training.max_steps", "40", "--training.batch_size", "8"]
    assert main(words) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "the label changes within recording 'all'; train tag to label each step, set --recording.window" in error
    assert main([*words, "--recording.window", "8", "--recording.stride", "8", "--training.learning_rate", "0.05"]) == 0
    trained = load(tmp_path / "run")
    answers = trained.predict(data=data)
    assert [each["id"] for each in answers] == [f"all:{at}-{at + 8}" for at in range(0, 320, 8)]
    scores, _ = trained.evaluate(data)
    right = [each["class"] == ("in", "out")[at % 2] for at, each in enumerate(answers)]
    assert scores.figures["accuracy"] == np.mean(right) > 0.9
    # Training comes first, and the test at the end.
    splits = Classify().read(trained.settings)
    sizes = [len(part) for part in (splits.train, splits.validation, splits.test)]
    assert sizes == [32, 4, 4]


def test_the_label_of_a_window_is_what_most_of_its_steps_say_or_the_last(tmp_path):
    data = write(tmp_path / "a.csv", [("a", n, 0.5, n, "in" if n % 10 < 7 else "out") for n in range(100)])
    for by, label in (("majority", "in"), ("last", "out")):
        recording = RecordingSettings(window=10, stride=10, window_label=by)
        splits = Classify().read(small(tmp_path / "run", data, recording=recording))
        assert isinstance(splits.train, Recordings)
        assert {each.label for each in splits.train.items} == {label}


@pytest.mark.parametrize("stack", [1, 4])
def test_steps_are_read_side_by_side(stack, table, tmp_path):
    settings = small(tmp_path / "run", table, recording=RecordingSettings(stack=stack))
    task = Classify()
    splits = task.read(settings)
    known = task.learn(settings, splits.train)
    examples = task.examples(settings, known, splits.train)
    longest = max(map(len, splits.train.items))
    assert known.scaling.width == 4 * stack
    assert examples.lengths.max() == -(-longest // stack)
    train(settings)
    assert load(tmp_path / "run").evaluate()[0].figures["accuracy"] > 0.8


def test_an_archive_with_parts_says_which_is_which(tmp_path):
    draw = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 30), ("val", 10), ("test", 12)):
        labels = np.arange(count) % 2
        slope = np.where(labels, 1.0, -1.0)[:, None] * np.arange(6)
        arrays |= {f"x_{part}": slope + draw.normal(0, 0.1, (count, 6)), f"y_{part}": labels}
    np.savez(tmp_path / "a.npz", **arrays)
    result = train(small(tmp_path / "run", str(tmp_path / "a.npz")))
    assert {part: scores.examples for part, scores in result.scores.items()} == {"validation": 10, "test": 12}
    trained = load(tmp_path / "run")
    assert trained.evaluate(tmp_path / "a.npz")[0].figures["accuracy"] == 1.0
    assert [each["id"] for each in trained.predict(tmp_path / "a.npz")] == [str(at) for at in range(1, 13)]


def test_files_of_their_own_for_validation_and_test(table, tmp_path):
    other = {name: write(tmp_path / f"{name}.csv", breaths(count, seed=5)) for name, count in (("v", 6), ("t", 9))}
    for reading, sizes in (
        ({"validation": other["v"], "test": other["t"]}, [60, 6, 9]),
        ({"validation": other["v"]}, [54, 6, 6]),
        ({"test": other["t"]}, [54, 6, 9]),
    ):
        settings = small(tmp_path / "run", table, reading=ClassifyReadingSettings(**reading))
        splits = Classify().read(settings)
        assert [len(part) for part in (splits.train, splits.validation, splits.test)] == sizes
    write(tmp_path / "v.csv", breaths(4), order=("trial", "acc", "label"))
    with pytest.raises(DataError, match=r"v[.]csv: expected the channels acc, pressure, .* and lacks pressure"):
        Classify().read(small(tmp_path / "run", table, reading=ClassifyReadingSettings(validation=other["v"])))


def test_what_the_data_are_is_said(tmp_path):
    rows = [(*row, f"s{int(row[0][1:]) % 20}") for row in breaths(60)]
    data = write(tmp_path / "breaths.csv", rows, (*COLUMNS, "subject"))
    out = io.StringIO()
    settings = small(tmp_path / "run", data, quiet=False, training=dataclasses.replace(FEW, max_steps=1))
    train(settings, Console(file=out, width=200))
    said = " ".join(out.getvalue().split())
    assert "breaths.csv: channels acc, pressure" in said
    assert "breaths.csv: recordings of one group stay in one part; 16 groups to train on" in said


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (breaths(1), r"is one recording; name the column .* --recording[.]id, or set --recording[.]window"),
        (breaths(30, names=("in", "in")), r"expected at least two classes to tell apart, got 1 \(in\)"),
        (breaths(30, turns=True), "the label changes within recording 'b0'; train tag to label each step"),
        ([(*row[:-1], None) for row in breaths(30)], "none of its recordings has a label; fill in the column"),
    ],
)
def test_what_cannot_be_learnt_is_told(rows, message, tmp_path):
    with pytest.raises(DataError, match=message):
        train(small(tmp_path / "run", write(tmp_path / "a.csv", rows)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window": 0}, "recording.window: expected at least 1, got 0"),
        ({"stack": -1}, "recording.stack: expected at least 1, got -1"),
        ({"window": 4, "stride": 0}, "recording.stride: expected at least 1, got 0"),
        ({"stride": 4}, "recording.stride: expected recording.window beside it, which it moves"),
    ],
)
def test_settings_that_cannot_be_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        RecordingSettings(**values)


def test_the_built_in_gestures(tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "MOST_CELLS", 10_000_000)
    training = dataclasses.replace(FEW, batch_size=64, max_steps=4, evaluate_every=4)
    result = train(small(tmp_path / "run", "gestures", training=training))
    assert {part: scores.examples for part, scores in result.scores.items()} == {"validation": 200, "test": 400}
    report = json.loads((result.run.path / "report.json").read_text())
    (nearest,) = set(report["scores"]["test"]["baselines"]) - {"majority"}
    assert nearest.startswith("1-NN DTW, band 10%, of ")
    trained = load(tmp_path / "run")
    assert len(trained.known.classes) == 5
    answers = trained.predict(data="gestures")
    assert len(answers) == len({each["id"] for each in answers}) == 400


def test_who_names_a_column_of_texts_has_texts(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("what,size,label\n" + "".join(f"words,{n},{'uv'[n % 2]}\n" for n in range(40)))
    settings = small(tmp_path / "run", str(path))
    texts = dataclasses.replace(settings, reading=ClassifyReadingSettings(text="what"))
    assert Classify().read(texts).train[0].text == "words"
