"""Steps of recordings are tagged, from the table to the answers."""

import dataclasses
import json
from itertools import groupby

import numpy as np
import pytest
import torch

from ostinato.cli.main import main
from ostinato.data.recordings.tables import read_recording_table
from ostinato.errors import ConfigError, DataError
from ostinato.recipes import load, train
from ostinato.recipes.recordings.settings import RecordingSettings
from ostinato.recipes.tag.settings import TaggerSettings, TagReadingSettings
from ostinato.recipes.tag.task import Tag

from .breaths import FEW, breaths, small_tagger, write


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write(tmp_path_factory.mktemp("table") / "breaths.csv", breaths(40, turns=True))


@pytest.fixture(scope="module", params=["softmax", "crf"])
def run(request, tmp_path_factory, table):
    model = TaggerSettings(hidden_size=8, num_layers=1, dropout=0.0, input_dropout=0.0, output=request.param)
    return train(small_tagger(tmp_path_factory.mktemp(request.param) / "run", table, model=model)).run.path


def test_steps_are_learnt_better_than_one_by_one(run):
    test = json.loads((run / "report.json").read_text())["scores"]["test"]
    assert test["figures"]["accuracy"] > 0.9
    assert test["examples"] == 4
    assert set(test["baselines"]) == {"a step by itself", "most frequent tag"}
    assert test["baselines"]["most frequent tag"]["accuracy"] == pytest.approx(0.5)
    assert set(test["details"]["classes"]) == {"in", "out"}


def test_answers_are_tags_of_each_step_and_segments(run, tmp_path):
    data = write(tmp_path / "new.csv", breaths(12, seed=1, turns=True))
    given = read_recording_table(data).items
    trained = load(run)
    answers = trained.predict(data=data)
    assert [each["id"] for each in answers] == [each.id for each in given]
    right = []
    for answer, each in zip(answers, given, strict=True):
        assert len(answer["tags"]) == len(answer["probabilities"]) == len(each)
        ends = [0, *(end for _, end, _, _ in answer["segments"])]
        assert [start for start, _, _, _ in answer["segments"]] == ends[:-1]
        assert ends[-1] == len(each)
        spread = [tag for start, end, tag, _ in answer["segments"] for _ in range(end - start)]
        assert spread == answer["tags"]
        assert len(answer["segments"]) == len([*groupby(answer["tags"])])
        for start, end, _, chance in answer["segments"]:
            assert chance == pytest.approx(np.mean(answer["probabilities"][start:end]))
        right += [a == b for a, b in zip(answer["tags"], each.labels or (), strict=True)]
    scores, _ = trained.evaluate(data)
    assert scores.figures["accuracy"] == pytest.approx(np.mean(right))
    assert scores.count == len(right)


def test_an_answer_does_not_depend_on_what_is_beside_it(run, tmp_path):
    rows = breaths(5, seed=2, turns=True, gaps=0.2)
    trained = load(run)
    for together in trained.predict(data=write(tmp_path / "all.csv", rows)):
        mine = [row for row in rows if row[0] == together["id"]]
        (alone,) = trained.predict(data=write(tmp_path / "one.csv", mine, order=("pressure", "time", "trial", "acc")))
        assert alone["tags"] == together["tags"]
        assert alone["probabilities"] == pytest.approx(together["probabilities"], abs=1e-5)


def test_labels_that_are_missing_or_that_training_never_had(run, tmp_path):
    rows = breaths(4, seed=3, turns=True)
    strange = [(*row[:-1], ("held", None)[at % 2] if row[0] == "b0" else row[-1]) for at, row in enumerate(rows)]
    held = sum(row[-1] == "held" for row in strange)
    known = sum(row[-1] in ("in", "out") for row in strange)
    scores, judge = load(run).evaluate(write(tmp_path / "a.csv", strange))
    assert scores.count == known  # those that have a loss
    assert f"training never had the label held: {held} of the steps count as errors" in scores.warnings[0]
    assert "held" in judge.details()["classes"]


def test_a_file_that_lacks_a_channel_is_told(run, tmp_path):
    path = write(tmp_path / "a.csv", breaths(3, turns=True), order=("trial", "pressure", "label"))
    with pytest.raises(DataError, match="expected the channels acc, pressure, like those of training, and lacks acc"):
        load(run).predict(data=path)


def test_long_recordings_are_tagged_in_windows(tmp_path):
    rows = [(*row[:1], at, *row[2:]) for at, row in enumerate(breaths(20, turns=True))]
    data = write(tmp_path / "one.csv", [("all", *row[1:]) for row in rows])
    settings = small_tagger(tmp_path / "run", data, recording=RecordingSettings(window=16))
    task = Tag()
    splits = task.read(settings)
    # One long recording is cut by time, and what is trained on into pieces.
    assert {len(each) for each in splits.train.items[:-1]} == {16}
    assert (len(splits.validation), len(splits.test)) == (1, 1)
    assert sum(len(each) for part in (splits.train, splits.validation, splits.test) for each in part.items) == len(rows)
    train(settings)
    trained = load(tmp_path / "run")
    (whole,) = trained.predict(data=data)
    trained.model.window = 64  # as if it were much longer
    (in_windows,) = trained.predict(data=data)
    assert len(whole["tags"]) == len(in_windows["tags"]) == len(rows)
    assert np.mean([a == b for a, b in zip(whole["tags"], in_windows["tags"], strict=True)]) > 0.95


def last_tags(model, emissions):
    """Of each step the best tag; with a CRF the last one of the best of all paths so far, which may still go on."""
    if model.crf is None:
        return emissions.argmax(1).tolist()
    score, found = model.crf.start + emissions[0], []
    for at, step in enumerate(emissions):
        if at:
            score = torch.stack([(score + model.crf.transitions[:, to]).max() for to in range(len(step))]) + step
        found.append(int(score.argmax()))
    return found


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_a_stream_of_steps_is_tagged_as_they_come(output, table, tmp_path):
    model = TaggerSettings(
        hidden_size=8, num_layers=2, dropout=0.0, input_dropout=0.0, bidirectional=False, output=output
    )
    train(small_tagger(tmp_path / "run", table, model=model, training=dataclasses.replace(FEW, max_steps=5)))
    trained = load(tmp_path / "run")
    recordings = read_recording_table(table).items[:3]
    stream = trained.model.stream()
    for each in recordings:
        steps = torch.from_numpy(trained.known.scaling.apply(each))
        with torch.no_grad():
            wanted = trained.model(steps[:, None])[:, 0]
        found, best = [], []
        for step in steps:
            found.append(stream(step))
            best.append(int(stream.best()))
        torch.testing.assert_close(torch.stack(found), wanted, rtol=1e-5, atol=1e-5)
        assert best == last_tags(trained.model, wanted)
        stream.reset()
    rows = trained.model.stream(rows=2)
    steps = torch.stack([torch.from_numpy(trained.known.scaling.apply(each)[:5]) for each in recordings[:2]], 1)
    with torch.no_grad():
        wanted = trained.model(steps)
    torch.testing.assert_close(torch.stack([rows(step) for step in steps]), wanted, rtol=1e-5, atol=1e-5)


def test_a_run_goes_on_where_it_was_stopped_and_from_the_command_line(table, tmp_path, capsys):
    training = dataclasses.replace(FEW, max_steps=10, evaluate_every=5)
    whole = train(small_tagger(tmp_path / "whole", table, training=training))
    cut = small_tagger(tmp_path / "cut", table, training=training)
    assert train(cut, on_evaluation=lambda step, loss: True).outcome.ending == "pruned"
    assert main(["train", "tag", "--run", str(tmp_path / "cut"), "--resume", "--quiet"]) == 0
    one, other = (load(path).model.state_dict() for path in (whole.run.path, tmp_path / "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "cut"), table]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(each["tags"]) for each in lines] == [len(each) for each in read_recording_table(table).items]


def test_the_column_of_labels_can_be_named(tmp_path):
    rows = [(*row, "x") for row in breaths(12, turns=True)]
    data = write(tmp_path / "a.csv", rows, ("trial", "time", "acc", "pressure", "breath", "label"))
    settings = small_tagger(tmp_path / "run", data, reading=TagReadingSettings(label="breath"))
    assert {label for each in Tag().read(settings).train.items for label in each.labels} == {"in", "out"}


def test_recordings_with_a_label_each_are_not_tagged(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(12, 5)), y=np.arange(12) % 2)
    with pytest.raises(
        DataError, match="its recordings have a label each, and their steps have none; train classify on"
    ):
        train(small_tagger(tmp_path / "run", str(tmp_path / "a.npz")))


def test_the_built_in_gestures(tmp_path):
    result = train(small_tagger(tmp_path / "run", "gestures", training=dataclasses.replace(FEW, max_steps=4)))
    assert {part: scores.examples for part, scores in result.scores.items()} == {"validation": 50, "test": 100}
    answers = load(tmp_path / "run").predict(data="gestures")
    assert len({each["id"] for each in answers}) == 100
    assert all(each["segments"][-1][1] == len(each["tags"]) for each in answers)


def test_sentences_in_columns_stay_sentences(tmp_path):
    lines = ["1\tthe\tDET\n2\tdog\tNOUN\n3\truns\tVERB\n\n"] * 30
    (tmp_path / "a.tsv").write_text("".join(lines))
    splits = Tag().read(
        small_tagger(tmp_path / "run", str(tmp_path / "a.tsv"), reading=TagReadingSettings(word_column=1))
    )
    assert splits.train[0].words == ("the", "dog", "runs")


def test_numbers_have_a_width():
    from ostinato.models.tagging.numbers import Numbers

    x = torch.zeros(3, 2, 4)
    assert Numbers(4)(x) is x
    assert str(Numbers(4)) == "Numbers(4)"
    with pytest.raises(ConfigError, match="size: expected at least 1, got 0"):
        Numbers(0)
