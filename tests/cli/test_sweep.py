import pytest
import yaml

from ostinato.cli.main import main

SPACE = {
    "base": {
        "model": {"embedding_size": 4, "hidden_size": 8},
        "training": {"max_steps": 2, "batch_size": 4, "chunk_length": 8, "evaluate_every": 2},
        "device": "cpu",
    },
    "space": {"training.learning_rate": {"log": [1e-4, 1e-1]}, "model.cell": {"choice": ["lstm", "gru"]}},
    "trials": 2,
}


@pytest.fixture
def space(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poem.txt").write_text("Tyger Tyger, burning bright,\n" * 60)
    (tmp_path / "space.yaml").write_text(yaml.safe_dump({**SPACE, "base": {**SPACE["base"], "data": "poem.txt"}}))
    return tmp_path / "space.yaml"


def test_a_sweep_from_the_command_line_ends_with_a_table_and_a_plot(space, tmp_path, capsys):
    assert main(["sweep", "space.yaml", "--folder", "found"]) == 0
    said = capsys.readouterr().out
    assert "trial 1 of 2: " in said
    assert "the best of 2 trials" in said
    assert "learning_rate" in said
    assert {"results.csv", "sweep.png", "sweep.svg"} <= {path.name for path in (tmp_path / "found").iterdir()}
    assert main(["sweep", "--folder", "found", "--resume", "--trials", "3"]) == 0
    assert "trial 2 of 3: " in capsys.readouterr().out


@pytest.mark.usefixtures("space")
def test_a_folder_is_chosen_if_none_is_named(tmp_path, capsys):
    assert main(["sweep", "space.yaml", "--trials", "1"]) == 0
    (folder,) = (tmp_path / "sweeps").iterdir()
    assert f"sweeps/{folder.name}/trial-000" in capsys.readouterr().out


@pytest.mark.usefixtures("space")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "expected a YAML file that says what to try: ostinato sweep SPACE.yaml"),
        (["none.yaml"], "none.yaml: expected a sweep in YAML there"),
        (["space.yaml", "--trials", "0"], "--trials: expected an integer of at least 1, got 0"),
        (["space.yaml", "--jobs", "0"], "--jobs: expected an integer of at least 1, got 0"),
        (["--resume"], "--resume needs --folder FOLDER"),
        (["--resume", "--folder", "none"], "none holds no sweep to resume"),
        (["space.yaml", "--trails", "3"], "did you mean --trials?"),
    ],
)
def test_a_slip_of_the_pen_is_one_line(capsys, words, says):
    assert main(["sweep", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("storage", "again"),
    [([], ": ostinato sweep --folder f --resume"), (["--storage", "sqlite:///a.db"], " the same command")],
)
def test_after_an_interrupt_what_goes_on_is_told(tmp_path, monkeypatch, capsys, storage, again):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.yaml").write_text("task: lm\nspace: {training.learning_rate: {choice: [0.1, 0.2]}}\ntrials: 1\n")
    monkeypatch.setattr("ostinato.recipes.sweep.search.sweep", lambda *given, **how: "interrupted")
    assert main(["sweep", "space.yaml", "--folder", "f", *storage]) == 130
    assert capsys.readouterr().out == f"interrupted; go on with{again}\n"
