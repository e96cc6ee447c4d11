import dataclasses
import io
import json
import math

import pytest
from rich.console import Console

from ostinato.errors import OstinatoError
from ostinato.recipes.classify.task import Classify
from ostinato.recipes.task_report import lost, resume_command, show, show_scores, write_scores
from ostinato.recipes.task_training import TaskResult
from ostinato.recipes.trained import Scores
from ostinato.training import Outcome, RunFolder
from ostinato.training.loop.counters import Counters

SCORES = Scores("new.csv", 10, 0.25, 9, {"accuracy": 0.9, "macro_f1": 0.5}, {"confusion": [[1]]}, ("a [warning]",))


def written(act):
    out = io.StringIO()
    act(Console(file=out, width=100))
    return out.getvalue()


def test_figures_are_shown_in_their_units():
    lines = written(lambda console: show_scores(Classify(), "run", SCORES, console)).splitlines()
    assert lines == [
        "run on new.csv",
        "90.00% accuracy",
        "50.00% macro f1",
        "0.2500 nats/example",
        "10 examples",
        "new.csv: a [warning]",
    ]


def test_a_run_is_shown_with_what_can_be_done_next(tmp_path):
    run = RunFolder(tmp_path / "a [run]")
    result = TaskResult(
        run, Classify(), Outcome("budget", Counters(), "32-true"), {"test": SCORES}, [tmp_path / "[/p].png"]
    )
    text = written(lambda console: show(result, console))
    assert "90.00%" in text
    assert f"ostinato predict '{run}' INPUT" in text
    assert str(tmp_path / "[/p].png") in text
    assert resume_command(result) == f"ostinato train classify --run '{run}' --resume"


def test_a_run_that_was_cut_off_shows_nothing(tmp_path):
    result = TaskResult(RunFolder(tmp_path), Classify(), Outcome("interrupted", Counters(), "32-true"))
    assert written(lambda console: show(result, console)) == ""


def test_all_of_it_can_be_written_as_json(tmp_path):
    write_scores(str(tmp_path / "scores.json"), Scores("x", 1, math.nan, 0, {"accuracy": 0.0}))
    content = json.loads((tmp_path / "scores.json").read_text())
    assert (content["loss"], content["figures"]) == (None, {"accuracy": 0.0})
    with pytest.raises(OstinatoError, match="cannot be written"):
        write_scores(str(tmp_path / "none" / "scores.json"), SCORES)


def test_a_simple_model_without_a_loss_that_is_as_good_is_shown_and_does_not_win(tmp_path):
    scores = dataclasses.replace(SCORES, baselines={"majority": {"accuracy": 0.9 + 1e-16, "macro_f1": 0.4}})
    result = TaskResult(RunFolder(tmp_path), Classify(), Outcome("budget", Counters(), "32-true"), {"test": scores})
    assert "majority, test" in written(lambda console: show(result, console))
    assert lost(Classify(), scores) == []
    scores = dataclasses.replace(SCORES, baselines={"majority": {"accuracy": 0.91}})
    assert lost(Classify(), scores) == ["the model loses to majority: accuracy 91.00% against 90.00%"]


def test_a_difference_that_the_table_does_not_show_is_no_loss():
    scores = dataclasses.replace(SCORES, baselines={"majority": {"accuracy": 0.90001, "loss": SCORES.loss - 1e-5}})
    assert lost(Classify(), scores) == []


def test_simple_models_are_shown_and_it_is_told_where_they_are_better(tmp_path):
    better = {"accuracy": 0.95, "loss": 0.2, "calibration_error": 0.01}
    worse = {"accuracy": 0.5, "loss": 0.7, "calibration_error": 0.0}
    scores = dataclasses.replace(SCORES, baselines={"naive Bayes": better, "majority": worse})
    result = TaskResult(RunFolder(tmp_path), Classify(), Outcome("budget", Counters(), "32-true"), {"test": scores})
    text = written(lambda console: show(result, console))
    assert "naive Bayes, test" in text
    lines = [line for line in text.splitlines() if "loses" in line]
    said = "accuracy 95.00% against 90.00%, nats/example 0.2000 against 0.2500"
    assert lines == [f"test: the model loses to naive Bayes: {said}"]
