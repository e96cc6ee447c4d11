"""The report of a run that learnt from examples; here a classifier with attention, watched while it trained."""

import dataclasses
import json
import shutil
from typing import Any

import pytest
import torch

from ostinato.errors import DataError, OstinatoError
from ostinato.recipes.classify.task import Classify
from ostinato.recipes.inspection.attention import attention_weights
from ostinato.recipes.inspection.inspected_task import inspected_task
from ostinato.recipes.inspection.report import inspect_run
from ostinato.recipes.inspection.task import SECTIONS as TASK_SECTIONS
from ostinato.recipes.task_training import train
from tests.insight.pages import Page
from tests.recipes import reviews


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspected")
    settings = reviews.small(folder / "run", reviews.write(folder / "reviews.csv", reviews.rows()))
    settings = dataclasses.replace(
        settings,
        model=dataclasses.replace(settings.model, pooling="attention", bidirectional=True),
        training=dataclasses.replace(settings.training, watch_every=5, log_every=5),
    )
    return train(Classify(), settings).run


@pytest.fixture(scope="module")
def report(run, tmp_path_factory):
    file = inspect_run(run.path, output=tmp_path_factory.mktemp("report") / "report.html")
    assert file.stat().st_size < 5e6
    return Page(file.read_text(encoding="utf-8"))


def test_every_section_is_made(report):
    report.check()
    assert "could not be made" not in report.text
    sections = [attrs["id"] for tag, attrs in report.tags if tag == "section"]
    assert sections == [section.name for section in TASK_SECTIONS]


def rows_of(report):
    return {row[0]: row for table in report.tables for row in table}


def test_the_numbers_are_those_of_the_run(run, report):
    scores = json.loads((run.path / "report.json").read_text())["scores"]
    rows = rows_of(report)
    assert list(scores) == ["validation", "test"]
    for name in ("accuracy", "macro_f1"):
        expected = [f"{100 * scores[part]['figures'][name]:.2f}" for part in scores]
        assert rows[name.replace("_", " ")][1:] == ["%", *expected]
    assert rows["loss"][1:] == ["nats/example", *(f"{scores[part]['loss']:.4f}" for part in scores)]
    assert rows["recurrent.weight_ih_l0"][1:4] == ["32 x 8", "4 H I", "256"]
    assert rows["pooling"][1] == "attention"
    assert "ostinato train classify" in report.text
    assert f"test: accuracy{100 * scores['test']['figures']['accuracy']:.2f} %" in report.text
    assert "reviews.csv, validation: 12 examples" in report.text


def test_its_own_pictures_and_what_was_watched_are_in_it(report):
    described = [attrs.get("aria-label", "") for tag, attrs in report.tags if tag == "svg"]
    assert {"confusion validation", "confusion test", "Validation accuracy by step"} <= set(described)
    assert any(each.startswith("Reach and growth of the gradient") for each in described)
    assert any(each.startswith("Attention weights of pooling") for each in described)


def test_attention_is_that_of_the_model_and_its_hooks_are_gone(run):
    inspected = inspected_task(run.path, None)
    model: Any = inspected.model
    batch = inspected.batch
    before = torch.get_rng_state()
    found = attention_weights(model, batch, inspected.loss)
    assert torch.equal(torch.get_rng_state(), before)
    (weights,) = found.values()
    with torch.no_grad():
        h, _ = model.recurrent(model.embedding(batch.input), lengths=batch.lengths)
        expected = model.pooling.weights(h, batch.lengths)
    torch.testing.assert_close(weights[0], expected.T)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, len(batch.rows)))
    assert not any(module._forward_hooks for module in model.modules())
    model.pooling.name = "max"
    assert attention_weights(model, batch, inspected.loss) == {}


def test_other_data_and_what_they_cannot_be(run, tmp_path):
    data = reviews.write(tmp_path / "other.csv", reviews.rows(8))
    chosen = [section for section in TASK_SECTIONS if section.name in ("attention", "gradient")]
    page = Page(inspect_run(run.path, data, tmp_path / "r.html", chosen=chosen).read_text(encoding="utf-8"))
    page.check()
    assert "other.csv: 8 examples" in page.text
    with pytest.raises(OstinatoError, match=r"missing\.csv"):
        inspect_run(run.path, str(tmp_path / "missing.csv"))
    strange = reviews.write(tmp_path / "strange.csv", [("fun", "other")])
    page = Page(inspect_run(run.path, strange, tmp_path / "s.html", chosen=chosen).read_text(encoding="utf-8"))
    assert "expected examples that have a loss, got none" in page.text
    empty = tmp_path / "empty.csv"
    empty.write_text("text,label\n")
    with pytest.raises(DataError, match="empty"):
        inspect_run(run.path, str(empty))


def test_a_run_that_has_not_come_to_its_end(run, tmp_path):
    copy = shutil.copytree(run.path, tmp_path / "run")
    (copy / "report.json").unlink()
    shutil.rmtree(copy / "pictures")
    chosen = [section for section in TASK_SECTIONS if section.name in ("curves", "figures", "pictures")]
    page = Page(inspect_run(copy, chosen=chosen).read_text(encoding="utf-8"))
    assert "best validation loss so far" in page.text
    assert "This could not be made: the run has not come to its end; resume it" in page.text
    assert "The run has drawn none." in page.text
