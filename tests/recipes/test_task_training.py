import dataclasses
import io
import json
import math
import shutil

import pytest
import torch
import yaml
from rich.console import Console

from ostinato.errors import DataError, RunError
from ostinato.recipes import load, train
from ostinato.recipes.classify.settings import ClassifyReadingSettings, ClassifySettings
from ostinato.training import Progress, RunFolder

from .reviews import rows, small, write


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write(tmp_path_factory.mktemp("reviews") / "reviews.csv", rows())


@pytest.fixture(scope="module")
def result(tmp_path_factory, table):
    return train(small(tmp_path_factory.mktemp("task") / "run", table))


def test_a_run_is_judged_on_validation_and_test(result):
    assert set(result.scores) == {"validation", "test"}
    assert result.scores["test"].figures["accuracy"] == 1.0
    assert result.scores["test"].examples == 12
    report = json.loads((result.run.path / "report.json").read_text())
    assert report["task"] == "classify"
    assert report["scores"]["test"]["figures"] == result.scores["test"].figures
    assert report["scores"]["test"]["details"]["classes"]["good"]["f1"] == 1.0
    for picture in report["pictures"]:
        assert (result.run.path / picture).read_bytes().startswith(b"\x89PNG")


def test_the_best_weights_are_those_of_the_lowest_validation_loss(result):
    lines = [json.loads(line) for line in result.run.metrics_file.read_text().splitlines()]
    losses = [line["validation_loss"] for line in lines if "validation_loss" in line]
    assert len(losses) == 3
    assert result.outcome.counters.best == min(losses)
    assert result.scores["validation"].loss == pytest.approx(min(losses), abs=1e-6)


def test_simple_models_are_reported_beside_the_model(result):
    report = json.loads((result.run.path / "report.json").read_text())
    baselines = report["scores"]["test"]["baselines"]
    assert set(baselines) == {"naive Bayes", "majority"}
    assert set(baselines["majority"]) == {"accuracy", "loss", "calibration_error"}
    assert baselines["majority"]["accuracy"] == 0.5
    assert baselines["majority"]["loss"] == pytest.approx(math.log(2))
    assert baselines["naive Bayes"]["accuracy"] == 1.0


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_as_it_would_have(result, table, tmp_path):
    settings = small(tmp_path / "run", table)
    shutil.copytree(result.run.path, tmp_path / "run")
    for left in ("state", "model.safetensors", "metrics.jsonl"):
        path = tmp_path / "run" / left
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    resumed = train(dataclasses.replace(settings, resume=True))
    for name, weight in load(resumed.run.path).model.state_dict().items():
        assert torch.equal(weight, load(result.run.path).model.state_dict()[name]), name


def test_judging_shows_how_far_it_is(table, tmp_path, monkeypatch):
    """A test of many examples takes minutes, and silence looks like a fault."""
    monkeypatch.setattr(Progress, "due", lambda self: True)
    out = io.StringIO()
    settings = dataclasses.replace(small(tmp_path / "run", table), quiet=False)
    train(settings, Console(file=out, width=200))
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "100% judging the test data: 12 of 12 examples" in lines
    before_the_end = lines[: next(at for at, line in enumerate(lines) if "step 15: validation" in line)]
    assert any("judging the validation data" in line for line in before_the_end)


def test_names_of_files_are_shown_as_they_are(tmp_path):
    out = io.StringIO()
    settings = small(tmp_path / "[b]", write(tmp_path / "my [new] reviews [3].csv", rows()))
    settings = dataclasses.replace(settings, quiet=False, training=dataclasses.replace(settings.training, max_steps=1))
    train(settings, Console(file=out, width=400))
    first = out.getvalue().splitlines()[0]
    assert first.startswith("my [new] reviews [3].csv: ")
    assert first.endswith("[b]")


def test_the_settings_in_the_run_folder_make_the_same_run(result, tmp_path):
    config = yaml.safe_load(result.run.config_file.read_text())
    assert config["task"] == "classify"
    again = ClassifySettings.from_dict({**config, "run": str(tmp_path / "again"), "quiet": True})
    repeated = train(again)
    for name, weight in load(repeated.run.path).model.state_dict().items():
        assert torch.equal(weight, load(result.run.path).model.state_dict()[name]), name


def test_a_run_that_was_stopped_and_resumed_ends_like_one_that_was_not(result, table, tmp_path):
    settings = small(tmp_path / "run", table)
    stopped = train(settings, on_evaluation=lambda step, minimised: step == 15)
    assert (stopped.outcome.ending, dict(stopped.scores)) == ("pruned", {})
    resumed = train(dataclasses.replace(settings, resume=True))
    assert resumed.scores["test"].loss == result.scores["test"].loss
    for name, weight in load(resumed.run.path).model.state_dict().items():
        assert torch.equal(weight, load(result.run.path).model.state_dict()[name]), name


def test_other_data_are_not_gone_on_with(result, tmp_path):
    other = write(tmp_path / "other.csv", rows(100))
    with pytest.raises(RunError, match=r"is not the one that .* was trained on so far"):
        train(small(result.run.path, other, resume=True))
    assert yaml.safe_load(result.run.config_file.read_text())["data"] != other


def test_a_run_that_is_there_is_not_written_over(result, table):
    with pytest.raises(RunError, match="already holds a run; add --resume"):
        train(small(result.run.path, table))


def test_validation_needs_a_label_that_training_has(table, tmp_path):
    validation = write(tmp_path / "validation.csv", [("good film", "other")])
    reading = ClassifyReadingSettings(validation=validation)
    with pytest.raises(DataError, match="expected labels to validate with that training has too"):
        train(small(tmp_path / "run", table, reading=reading))
    assert not RunFolder(tmp_path / "run").config_file.exists()
