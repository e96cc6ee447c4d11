import os

import pytest
import torch

from ostinato.errors import RunError
from ostinato.training import RunFolder


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create({"seed": 1, "training": {"patience": None}, "data": "Grüße"})
    return folder


def test_settings_come_back(run):
    assert run.read_config() == {"seed": 1, "training": {"patience": None}, "data": "Grüße"}


def test_a_folder_that_holds_a_run_is_only_resumed(run, tmp_path):
    with pytest.raises(RunError, match="already holds a run; add --resume"):
        run.check()
    run.check(resume=True)
    empty = RunFolder(tmp_path / "empty")
    empty.check()
    with pytest.raises(RunError, match="holds no run to resume"):
        empty.check(resume=True)


def test_the_model_comes_back(run):
    run.write_model({"w": torch.ones(2, 2)})
    assert torch.equal(run.read_model()["w"], torch.ones(2, 2))


def test_a_damaged_or_missing_model_is_named(run):
    with pytest.raises(RunError, match=r"model\.safetensors is missing"):
        run.read_model()
    run.write_model({"w": torch.ones(2, 2)})
    run.model_file.write_bytes(run.model_file.read_bytes()[:-3])
    with pytest.raises(RunError, match=r"model\.safetensors is damaged"):
        run.read_model()


def test_what_is_no_run_is_told_apart(tmp_path):
    with pytest.raises(RunError, match="no run folder at"):
        RunFolder(tmp_path / "nowhere").read_config()
    with pytest.raises(RunError, match=r"is not a run: it has no config\.yaml"):
        RunFolder(tmp_path).read_config()
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(RunError, match=r"config\.yaml is damaged"):
        RunFolder(tmp_path).read_config()
    (tmp_path / "config.yaml").write_text("- 1")
    with pytest.raises(RunError, match="expected settings, got list"):
        RunFolder(tmp_path).read_config()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write to the run folder"):
        RunFolder(tmp_path / "file" / "run").create({})


def test_two_runs_in_one_folder(run):
    with run.locked(resume=True):
        with run.locked():  # the same run again is no other
            pass
        with pytest.raises(RunError, match=rf"another run \(process {os.getpid()} on .*is at work in") as error:
            RunFolder(run.path).locked(resume=True).__enter__()
        assert "\n" not in str(error.value)
    with RunFolder(run.path).locked(resume=True):
        pass


def test_a_run_that_was_made_meanwhile_is_not_overwritten(tmp_path):
    first, second = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    second.check()
    with first.locked():
        first.create({})
    with pytest.raises(RunError, match="already holds a run"):
        second.locked().__enter__()


def test_what_is_not_begun_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), RunFolder(tmp_path / "runs" / "new").locked():
        raise ZeroDivisionError
    assert not any(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    with pytest.raises(ZeroDivisionError), RunFolder(tmp_path / "mine").locked():
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_what_a_killed_process_left_unfinished_is_removed(run):
    for folder in (run.path, run.path / "state"):
        (folder / ".123-0.tmp").write_bytes(b"half")
    with run.locked(resume=True):
        assert not list(run.path.rglob("*.tmp"))


def test_what_is_kept_is_told_where_the_disk_is_full(run):
    def full():
        with run.writing():
            raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match=r"run: No space left on device$"):
        full()
    run.checkpoints.write(12, {})
    with pytest.raises(RunError, match="the checkpoint of step 12 is kept: put it right and add --resume"):
        full()


def test_the_data_must_be_the_same(run):
    run.check_data("a")
    run.checkpoints.write(1, {"data_fingerprint": "a"})
    run.check_data("a")
    run.check_data(None)
    with pytest.raises(RunError, match=r"is not the one that .* was trained on so far; give it that one back"):
        run.check_data("b")
