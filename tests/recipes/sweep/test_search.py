import csv
import dataclasses
import json
import subprocess
import sys

import pytest
from rich.console import Console

from ostinato.errors import RunError
from ostinato.recipes import task_training
from ostinato.recipes.sweep import report as sweep_report
from ostinato.recipes.sweep.search import read_sweep, sweep
from ostinato.recipes.sweep.space import parse
from ostinato.recipes.sweep.storage import open_study
from ostinato.training.loop.interrupt import Interrupt

from ..reviews import rows, write

POEM = "Tyger Tyger, burning bright,\nIn the forests of the night;\n" * 60


@pytest.fixture
def space(tmp_path):
    (tmp_path / "poem.txt").write_text(POEM)
    return parse(
        {
            "base": {
                "data": str(tmp_path / "poem.txt"),
                "model": {"embedding_size": 4, "hidden_size": 8},
                "training": {"max_steps": 4, "batch_size": 4, "chunk_length": 8, "evaluate_every": 2},
                "device": "cpu",
                "precision": "32-true",
            },
            "space": {
                "training.learning_rate": {"log": [1e-4, 1e-1]},
                "model.cell": {"choice": ["lstm", "gru"]},
                "model.num_layers": {"range": [1, 2]},
            },
            "trials": 4,
            "pruner": "none",
        }
    )


@pytest.fixture(autouse=True)
def short_sample(monkeypatch):
    monkeypatch.setattr("ostinato.recipes.lm.task.SAMPLE_END", 2)
    monkeypatch.setattr("ostinato.recipes.lm.task.SAMPLE_LINE", 2)


def results(space, folder):
    study = open_study(space, folder)
    return [(trial.params, trial.value, trial.intermediate_values) for trial in sweep_report.ended(study)]


def silent(line):
    pass


def test_a_sweep_runs_its_trials_and_records_them(space, tmp_path):
    said = []
    assert sweep(space, tmp_path / "sweep", say=said.append) == "done"
    assert len(said) == 4
    assert said[0].startswith("trial 0 of 4: ")
    assert read_sweep(tmp_path / "sweep") == space
    for number, (params, value, between) in enumerate(results(space, tmp_path / "sweep")):
        lines = (tmp_path / "sweep" / f"trial-{number:03d}" / "metrics.jsonl").read_text().splitlines()
        losses = [json.loads(line)["validation_loss"] for line in lines if "validation_loss" in line]
        assert list(between.values()) == losses
        assert value == min(losses)
        assert set(params) == {"training.learning_rate", "model.cell", "model.num_layers"}


def test_the_report_holds_every_trial_and_names_the_best(space, tmp_path):
    sweep(space, tmp_path / "sweep", say=silent)
    console = Console(record=True, width=120)
    sweep_report.report(space, tmp_path / "sweep", console)
    with (tmp_path / "sweep" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3"]
    assert {row["state"] for row in rows} == {"complete"}
    expected = results(space, tmp_path / "sweep")
    assert [float(row["nats_per_token"]) for row in rows] == [value for _, value, _ in expected]
    assert [row["model.cell"] for row in rows] == [params["model.cell"] for params, _, _ in expected]
    best = min(rows, key=lambda row: float(row["nats_per_token"]))["trial"]
    assert f"trial-{int(best):03d}" in console.export_text()
    assert (tmp_path / "sweep" / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "sweep" / "sweep.svg").read_text()


def test_a_sweep_that_was_killed_ends_as_if_it_was_not(space, tmp_path, monkeypatch):
    sweep(space, tmp_path / "whole", say=silent)
    train, calls = task_training.train, []

    class Killed(BaseException):
        pass

    def dies_in_the_third(task, settings, on_evaluation, **how):
        def evaluated(step, loss):
            given = on_evaluation(step, loss)
            if len(calls) == 3:
                raise Killed
            return given

        calls.append(settings)
        return train(task, settings, on_evaluation=evaluated, **how)

    with monkeypatch.context() as patch:
        patch.setattr(task_training, "train", dies_in_the_third)
        with pytest.raises(Killed):
            sweep(space, tmp_path / "killed", say=silent)
    assert len(results(space, tmp_path / "killed")) == 2
    sweep(space, tmp_path / "killed", resume=True, say=silent)
    assert results(space, tmp_path / "killed") == results(space, tmp_path / "whole")


def test_more_trials_can_be_added(space, tmp_path):
    few = dataclasses.replace(space, trials=2)
    sweep(few, tmp_path / "sweep", say=silent)
    sweep(space, tmp_path / "sweep", resume=True, say=silent)
    sweep(space, tmp_path / "whole", say=silent)
    assert results(space, tmp_path / "sweep") == results(space, tmp_path / "whole")


def test_a_trial_that_is_pruned_is_counted_and_shown(space, tmp_path, monkeypatch):
    import optuna

    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: trial.number == 1)
    said = []
    sweep(space, tmp_path / "sweep", say=said.append)
    assert [" pruned " in line for line in said] == [False, True, False, False]
    sweep_report.report(space, tmp_path / "sweep", Console(quiet=True))
    rows = list(csv.DictReader((tmp_path / "sweep" / "results.csv").read_text().splitlines()))
    assert [row["state"] for row in rows] == ["complete", "pruned", "complete", "complete"]
    assert rows[1]["evaluations"] == "1"


def test_a_trial_that_diverges_is_counted_and_the_sweep_goes_on(space, tmp_path, monkeypatch):
    from ostinato.training.loop.divergence import DivergedError

    train = task_training.train

    def diverges_once(task, settings, **how):
        if str(settings.run).endswith("trial-001"):
            raise DivergedError("the loss became nan")
        return train(task, settings, **how)

    monkeypatch.setattr(task_training, "train", diverges_once)
    said = []
    sweep(space, tmp_path / "sweep", say=said.append)
    assert [" diverged" in line for line in said] == [False, True, False, False]
    sweep_report.report(space, tmp_path / "sweep", Console(quiet=True))
    rows = list(csv.DictReader((tmp_path / "sweep" / "results.csv").read_text().splitlines()))
    assert rows[1]["state"] == "diverged"


def test_an_interrupt_leaves_a_sweep_to_resume(space, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Interrupt, "requested", True, raising=False)
        patch.setattr(Interrupt, "__init__", lambda self: setattr(self, "_previous", {}))
        assert sweep(space, tmp_path / "sweep", say=silent) == "interrupted"
    assert sweep(space, tmp_path / "sweep", resume=True, say=silent) == "done"
    assert len(results(space, tmp_path / "sweep")) == 4


def test_several_jobs_share_the_trials(space, tmp_path):
    assert sweep(dataclasses.replace(space, trials=3), tmp_path / "sweep", jobs=2) == "done"
    assert len(results(space, tmp_path / "sweep")) in (3, 4)  # two that begin together may both see room for one


def test_a_folder_with_a_sweep_is_not_taken_for_another(space, tmp_path):
    with pytest.raises(RunError, match=r"holds no sweep to resume \(it has no sweep.yaml\)"):
        sweep(space, tmp_path / "none", resume=True)
    sweep(dataclasses.replace(space, trials=1), tmp_path / "sweep", say=silent)
    with pytest.raises(RunError, match="already holds a sweep; add --resume"):
        sweep(space, tmp_path / "sweep")
    with pytest.raises(RunError, match="over another space"):
        sweep(dataclasses.replace(space, seed=3), tmp_path / "sweep", resume=True)
    (tmp_path / "sweep" / "sweep.yaml").write_text("space: 3")
    with pytest.raises(RunError, match=r"sweep\.yaml is damaged: "):
        sweep(space, tmp_path / "sweep", resume=True)


def test_the_record_is_text():
    code = "import ostinato.recipes.sweep.search, sys; print([name for name in ('optuna', 'matplotlib') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_task_is_searched_by_the_figure_that_it_is_judged_by(tmp_path):
    table = write(tmp_path / "reviews.csv", rows(60))
    space = parse(
        {
            "task": "classify",
            "base": {
                "data": table,
                "model": {"embedding_size": 4, "hidden_size": 4, "dropout": 0.0, "class_weights": "balanced"},
                "training": {"max_steps": 20, "batch_size": 10, "evaluate_every": 10},
                "device": "cpu",
                "precision": "32-true",
            },
            "space": {"training.learning_rate": {"choice": [1e-6, 0.05]}},
            "trials": 3,
        }
    )
    said = []
    sweep(space, tmp_path / "sweep", say=said.append)
    assert read_sweep(tmp_path / "sweep") == space
    assert all(": macro f1 " in line and "%; learning_rate" in line for line in said)
    console = Console(record=True, width=120)
    sweep_report.report(space, tmp_path / "sweep", console)
    found = list(csv.DictReader((tmp_path / "sweep" / "results.csv").read_text().splitlines()))
    for row in found:
        report = json.loads((tmp_path / "sweep" / f"trial-{int(row['trial']):03d}" / "report.json").read_text())
        # What is kept is what was best at an evaluation.
        assert float(row["macro_f1"]) == report["scores"]["validation"]["figures"]["macro_f1"]
    best = max(float(row["macro_f1"]) for row in found)
    told = console.export_text().partition("best run")[2]
    (row,) = [row for row in found if f"trial-{int(row['trial']):03d}" in told]
    assert float(row["macro_f1"]) == best
    assert "macro f1" in (tmp_path / "sweep" / "sweep.svg").read_text()


def test_of_trials_with_the_same_figure_the_one_with_the_smaller_loss_is_best(tmp_path):
    table = write(tmp_path / "reviews.csv", rows(60))
    training = {"max_steps": 30, "batch_size": 10, "evaluate_every": 30, "learning_rate": 0.05}
    model = {"embedding_size": 4, "hidden_size": 4, "dropout": 0.0, "class_weights": "balanced"}
    space = parse(
        {
            "task": "classify",
            "base": {"data": table, "model": model, "training": training, "device": "cpu", "precision": "32-true"},
            "space": {"model.label_smoothing": {"choice": [0.9, 0.0]}},
            "trials": 4,
        }
    )
    sweep(space, tmp_path / "sweep", say=silent)
    trials = [
        trial for trial in sweep_report.ended(open_study(space, tmp_path / "sweep")) if trial.state.name == "COMPLETE"
    ]
    assert {trial.value for trial in trials} == {-1.0}
    best = min(trials, key=lambda trial: trial.user_attrs["loss"])
    assert best.user_attrs["loss"] < max(trial.user_attrs["loss"] for trial in trials)
    console = Console(record=True, width=120)
    sweep_report.report(space, tmp_path / "sweep", console)
    assert f"trial-{best.number:03d}" in console.export_text().partition("best run")[2]
