import pytest
import torch

from ostinato.errors import RunError
from ostinato.training import RunFolder

STATE = {"step": 3, "hidden": (torch.ones(2), None), "optimizer": {"state": {0: {"exp_avg": torch.zeros(1)}}}}


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


def test_a_state_comes_back_and_replaces_the_one_before(run):
    assert not run.has_state()
    run.write_state(2, {"step": 2})
    run.write_state(3, STATE)
    state = run.read_state()
    assert run.has_state()
    assert state["step"] == 3
    assert torch.equal(state["hidden"][0], torch.ones(2))
    assert state["hidden"][1] is None
    assert torch.equal(state["optimizer"]["state"][0]["exp_avg"], torch.zeros(1))
    assert sorted(file.name for file in run.state_folder.iterdir()) == [
        "step-000000003.json",
        "step-000000003.safetensors",
    ]


def test_a_state_whose_writing_was_cut_off_does_not_exist(run):
    run.write_state(2, {"step": 2})
    (run.state_folder / "step-000000003.safetensors").write_bytes(b"half")
    assert run.read_state() == {"step": 2}


@pytest.mark.parametrize("name", ["step-000000003.safetensors", "step-000000003.json"])
def test_a_damaged_state_is_noticed(run, name):
    run.write_state(3, STATE)
    path = run.state_folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(RunError, match=f"{name} is damaged"):
        run.read_state()


def test_a_state_that_is_missing_is_said_to_be(run):
    with pytest.raises(RunError, match="holds no state to resume from"):
        run.read_state()


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
