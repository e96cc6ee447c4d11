import dataclasses
import json
import os
import re
import shutil

import pytest

from ostinato.errors import OstinatoError, RunError
from ostinato.recipes import train
from ostinato.recipes.inspection.inspected import recorded
from ostinato.recipes.inspection.report import inspect_run
from ostinato.recipes.inspection.section import Section
from ostinato.recipes.lm.sections import SECTIONS as TEXT_SECTIONS
from ostinato.recipes.lm.settings import LanguageModelSettings, ModelSettings
from tests.insight.pages import Page
from tests.recipes.conftest import small


@pytest.fixture(scope="module")
def report_file(result, tmp_path_factory):
    """The report of a finished run, in a copy of its folder: other tests look at what the folder holds."""
    return inspect_run(shutil.copytree(result.run.path, tmp_path_factory.mktemp("inspected") / "run"))


@pytest.fixture(scope="module")
def report(report_file):
    return Page(report_file.read_text(encoding="utf-8"))


def test_the_report_is_one_file_that_fetches_nothing(report_file, report):
    report.check()
    file = report_file.parent / "inspection.html"
    assert file.stat().st_size < 5e6
    assert "could not be made" not in report.text


def test_every_section_is_there_in_order_and_linked(report):
    sections = [attrs["id"] for tag, attrs in report.tags if tag == "section"]
    assert sections == [section.name for section in TEXT_SECTIONS]
    links = [attrs["href"] for tag, attrs in report.tags if tag == "a"]
    assert links == [f"#{name}" for name in sections]


def test_the_numbers_are_those_of_the_run(result, report):
    written = json.loads((result.run.path / "report.json").read_text())
    lines = [json.loads(line) for line in result.run.metrics_file.read_text().splitlines()]
    text = report.text
    assert f"{written['network']['bits_per_character']:.3f}" in text
    assert f"{lines[-1]['step']:,} steps" in text
    for line in lines:
        assert re.sub(r"\s", "", line.get("sample", "")) in re.sub(r"\s", "", text)
    parameters = {row[0]: row for table in report.tables for row in table if row[0].startswith("recurrent.weight_ih")}
    assert parameters["recurrent.weight_ih_l0"][1:4] == ["64 x 8", "4 H I", "512"]
    settings = {row[0]: row[1] for table in report.tables if table[0][:2] == ["setting", "value"] for row in table[1:]}
    training = LanguageModelSettings.from_dict(result.run.read_config()).training
    names = {field.name for field in dataclasses.fields(LanguageModelSettings)} - {
        "tokens", "reading", "model", "training", "baselines"
    }  # fmt: skip
    assert names <= set(settings)
    assert settings["learning_rate"] == str(training.learning_rate)


def test_every_setting_is_explained(report):
    for table in report.tables:
        if table[0][:2] == ["setting", "value"]:
            assert all(len(row[2]) > 5 for row in table[1:])


def test_a_text_of_ones_own_is_read_and_the_file_goes_where_it_is_asked_for(result, tmp_path):
    path = tmp_path / "new.txt"
    path.write_text("the lazy fox jumps over the quick dog\n" * 40)
    only_units = [section for section in TEXT_SECTIONS if section.name == "units"]
    file = inspect_run(result.run.path, str(path), tmp_path / "out.html", chosen=only_units)
    assert file == tmp_path / "out.html"
    page = Page(file.read_text(encoding="utf-8"))
    page.check()
    assert "the lazy fox jumps over the quick dog" in page.text
    assert "new.txt" in page.text


def test_a_section_that_fails_says_why_and_leaves_the_others(result, tmp_path):
    def broken(_):
        raise ZeroDivisionError("by <zero>")

    def refused(_):
        raise OstinatoError("expected\nmore")

    chosen = [
        Section("one", "One", broken),
        Section("two", "Two", refused),
        Section("three", "Three", lambda _: "<p>fine</p>"),
    ]
    titles = []
    file = inspect_run(result.run.path, output=tmp_path / "r.html", chosen=chosen, on_section=titles.append)
    page = Page(file.read_text(encoding="utf-8"))
    page.check()
    assert "This could not be made: ZeroDivisionError: by <zero>" in page.text
    assert "This could not be made: expected more" in page.text
    assert "fine" in page.text
    assert titles == ["One", "Two", "Three"]


def test_a_run_that_has_not_come_to_its_end(result, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(result.run.path, run)
    (run / "report.json").unlink()
    page = Page(inspect_run(run, chosen=TEXT_SECTIONS[1:3]).read_text(encoding="utf-8"))
    assert "best validation loss so far" in page.text
    assert "could not be made" not in page.text


@pytest.mark.parametrize("name", ["metrics.jsonl", "report.json"])
def test_damaged_files_are_named(result, tmp_path, name):
    run = tmp_path / "run"
    shutil.copytree(result.run.path, run)
    (run / name).write_text("{")
    with pytest.raises(RunError, match=name):
        inspect_run(run)


def test_a_report_that_cannot_be_written(result, tmp_path):
    with pytest.raises(RunError, match=r"cannot write the report .*missing.*--output"):
        inspect_run(result.run.path, output=tmp_path / "missing" / "r.html", chosen=[])


def test_other_tokens_and_cells(tmp_path, text):
    settings = small(tmp_path / "run", text, model=ModelSettings(cell="gru", embedding_size=8, hidden_size=[8, 12]))
    settings = dataclasses.replace(settings, tokens=dataclasses.replace(settings.tokens, kind="word"))
    settings = dataclasses.replace(
        settings, training=dataclasses.replace(settings.training, max_steps=4, batch_size=2, chunk_length=8)
    )
    train(settings)
    page = Page(inspect_run(tmp_path / "run", chosen=TEXT_SECTIONS[3:]).read_text(encoding="utf-8"))
    page.check()
    assert "GRU of 8 + 12 units that reads words" in page.text
    assert "could not be made" not in page.text


def test_what_is_no_plain_file_is_written_to_and_not_replaced(result, tmp_path):
    """Who names a link means what it points to; and nobody wants a file in the place of a device."""
    target, link, pipe = tmp_path / "target.html", tmp_path / "link.html", tmp_path / "pipe"
    link.symlink_to(target)
    assert inspect_run(result.run.path, output=link, chosen=()) == link
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        inspect_run(result.run.path, output=pipe, chosen=())
        assert os.read(reader, 2**20) == target.read_bytes()
        assert pipe.is_fifo()
    finally:
        os.close(reader)


def test_the_first_finding_is_that_counting_does_better(result, tmp_path):
    run = shutil.copytree(result.run.path, tmp_path / "run")
    report = json.loads((run / "report.json").read_text())
    report["baselines"]["Markov, order 1"]["bits_per_character"] = 0.001
    (run / "report.json").write_text(json.dumps(report))
    text = Page(inspect_run(run).read_text(encoding="utf-8")).text
    assert "worse than a simpler model" in text
    assert "that of a simpler model (Markov, order 1) is 0.001" in text
    assert "Nothing found" not in text


@pytest.mark.parametrize(
    "place",
    [{"baselines": {"majority": {"accuracy": 0.5}}}, {"details": {"baselines": {"majority": {"accuracy": 0.5}}}}],
)
def test_what_a_task_records_of_simpler_models_is_found_beside_its_own_figures(place):
    report = {"scores": {"test": {"figures": {"accuracy": 0.4, "f1": None}, "loss": 1.0, **place}}}
    assert recorded(report, "test") == ({"accuracy": 0.4, "loss": 1.0}, {"majority": {"accuracy": 0.5}})
    assert recorded(report, "validation") == ({}, {})
    assert recorded({}, "test") == ({}, {})
