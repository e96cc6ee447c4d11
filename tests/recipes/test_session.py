import os

import pytest

from ostinato.errors import RunError
from ostinato.recipes.classify.settings import ClassifyReadingSettings, ClassifySettings
from ostinato.recipes.session import for_the_record, opened
from ostinato.training import Progress, RunFolder
from ostinato.training.run.settings import UpdateSettings


def test_a_session_holds_its_run_folder(tmp_path):
    settings = ClassifySettings(run=str(tmp_path / "run"), device="cpu", quiet=True)
    with opened(settings, lambda quiet: Progress(quiet=quiet)) as session:
        assert session.processes.is_first
        with pytest.raises(RunError, match="is at work in"), opened(settings, lambda quiet: Progress(quiet=quiet)):
            pass
    assert not (tmp_path / "run").exists()  # nothing was begun


def test_a_run_without_a_name_is_called_after_its_task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with opened(ClassifySettings(device="cpu"), lambda quiet: Progress(quiet=True)) as session:
        assert session.run.path.name.startswith("classify-")


def test_the_record_says_where_files_are_and_nothing_about_the_call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = ClassifySettings(
        data="a.csv",
        quiet=True,
        resume=True,
        devices=2,
        reading=ClassifyReadingSettings(test="https://host/t.csv", validation="v.csv"),
        training=UpdateSettings(),
    )
    record = for_the_record(
        settings, RunFolder("run"), settings.training, "reading.test", "reading.validation", "reading.vectors"
    )
    assert record["data"] == os.path.abspath("a.csv")
    assert record["reading"]["validation"] == os.path.abspath("v.csv")
    assert (record["reading"]["test"], record["reading"]["vectors"]) == ("https://host/t.csv", None)
    assert (record["run"], record["quiet"], record["resume"], record["devices"]) == ("run", False, False, 1)
    assert record["training"]["max_time_s"] == 85.0
    assert ClassifySettings.from_dict(record).reading.min_count == settings.reading.min_count


def test_the_record_says_where_each_of_two_files_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.de", "a.en", "a,b.csv"):
        (tmp_path / name).touch()
    for given, expected in (
        ("a.de,a.en", f"{tmp_path}/a.de,{tmp_path}/a.en"),
        ("a,b.csv", f"{tmp_path}/a,b.csv"),
        ("a,*/x.csv", f"{tmp_path}/a,*/x.csv"),
    ):
        settings = ClassifySettings(data=given)
        assert for_the_record(settings, RunFolder("run"), settings.training)["data"] == expected


def test_built_in_data_that_have_a_name_keep_it(tmp_path, monkeypatch):
    """A file of that name is a file; so a run on the built-in is evaluated from wherever one is."""
    monkeypatch.chdir(tmp_path)
    settings = ClassifySettings(data="gestures")
    assert for_the_record(settings, RunFolder("run"), settings.training)["data"] == "gestures"
    (tmp_path / "gestures").touch()
    assert for_the_record(settings, RunFolder("run"), settings.training)["data"] == f"{tmp_path}/gestures"
