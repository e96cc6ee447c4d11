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
