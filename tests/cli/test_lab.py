import shlex

import pytest

from ostinato.cli import lab
from ostinato.cli.main import main
from ostinato.lab import NAMES
from ostinato.lab.experiment import Verdict
from ostinato.lab.experiments.forget_bias import EXPERIMENT


def test_list_tells_every_experiment_with_its_claim_and_its_source(capsys):
    assert main(["lab", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[::3] == list(NAMES)
    assert EXPERIMENT.claim in lines[NAMES.index("forget_bias") * 3 + 1]
    assert "Jozefowicz" in lines[NAMES.index("forget_bias") * 3 + 2]


def test_help_tells_what_there_is_to_call(capsys):
    assert main(["lab", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("lab list", "lab run NAME", "--output", "--seed", "--quick", "all"))


def test_run_writes_and_says_how_to_repeat_it_to_the_same_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["lab", "run", "forget_bias", "--quick", "--seed", "7"]) == 0
    said = capsys.readouterr().out
    assert "The claim is reproduced." in said
    table = (tmp_path / "lab" / "forget_bias.csv").read_bytes()
    again = said.rpartition("again: ")[2]
    assert main(shlex.split(again)[1:]) == 0
    assert (tmp_path / "lab" / "forget_bias.csv").read_bytes() == table


def test_all_runs_every_experiment(tmp_path, monkeypatch):
    monkeypatch.setattr("ostinato.lab.NAMES", ("forget_bias", "repeated_matrix"))
    assert main(["lab", "run", "all", "--quick", "--output", str(tmp_path)]) == 0
    assert {path.stem for path in tmp_path.iterdir()} == {"forget_bias", "repeated_matrix"}


@pytest.mark.parametrize(("words", "status"), [([], lab.NOT_REPRODUCED), (["--quick"], 0)])
def test_a_claim_that_is_not_reproduced_at_full_size_is_a_status(tmp_path, monkeypatch, capsys, words, status):
    object_ = EXPERIMENT.__class__(**{**vars(EXPERIMENT), "judge": lambda measured: Verdict("No 1.", "No 2.", False)})
    monkeypatch.setattr("ostinato.lab.experiments.forget_bias.EXPERIMENT", object_)
    assert main(["lab", "run", "forget_bias", "--output", str(tmp_path), *words]) == status
    assert "The claim is not reproduced" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "expected `ostinato lab list`, `ostinato lab run NAME` or `ostinato lab run all`"),
        (["run", "cliping"], "cliping is no experiment; did you mean clipping?"),
        (["run", "clipping", "--seed", "-1"], "--seed: expected an integer from 0"),
        (["run", "clipping", "--sed", "1"], "did you mean --seed?"),
        (["run"], "name"),
        (
            ["run", "clipping", "--output", f"{__file__}/lab"],
            "cannot be made: Not a directory; choose another --output",
        ),
    ],
)
def test_a_slip_of_the_pen_is_one_line(capsys, words, says):
    assert main(["lab", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
