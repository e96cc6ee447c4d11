"""One process of an elastic run, as its agent starts it."""

import pytest

from ostinato.cli.main import main
from ostinato.training import RunFolder
from tests.training.distributed.test_processes import lines, words


def measured(folder):
    """All but what the clock says."""
    clock = ("elapsed_s", "tokens_per_s", "waiting_share")
    return [{name: value for name, value in line.items() if name not in clock} for line in lines(folder)]


SHORT = {"training.max_steps": 20, "training.evaluate_every": 10}


@pytest.fixture
def started(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "a", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)


def test_a_run_that_is_there_is_gone_on_with_from_wherever_it_is(started, tmp_path, capsys):
    command = [*words(tmp_path, "run", **SHORT), "--elastic=1:4"]
    run = RunFolder(tmp_path / "run")
    assert main(command) == 0
    expected, model = measured(run.path), run.model_file.read_bytes()
    assert main(command) == 0  # it has ended
    assert measured(run.path) == expected
    (run.state_folder / "step-000000020.json").unlink()
    assert main(command) == 0  # from the middle
    assert measured(run.path) == expected
    for file in [*run.state_folder.glob("*.json"), run.model_file]:
        file.unlink()
    assert main(command) == 0  # it died before its first checkpoint
    assert measured(run.path) == expected
    assert run.model_file.read_bytes() == model
    config = run.read_config()
    assert (config["elastic"], config["devices"], config["resume"]) == (None, 1, False)


def test_a_run_of_other_settings_is_not_gone_on_with(started, tmp_path, capsys):
    command = words(tmp_path, "run", **SHORT)
    assert main(command) == 0
    assert main(command) == 2  # not elastic
    assert "already holds a run; add --resume" in capsys.readouterr().err
    assert main([*command, "--elastic=1", "--training.learning_rate=0.1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds a run with training.learning_rate 0.5, and here it is 0.1; add --resume to go on with it" in line
    assert main([*command, "--elastic=1", "--training.learning_rate=0.1", "--training.max_steps=21", "--resume"]) == 0
