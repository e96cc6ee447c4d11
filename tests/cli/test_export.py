"""`ostinato export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ostinato.cli.main import main
from ostinato.recipes import registry
from ostinato.recipes.exporting import onnx_folder
from ostinato.recipes.task import Task


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def test_a_run_becomes_a_folder_with_int8_and_figures(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "deep" / "out"
    assert main(["export", run, "--output", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "step.onnx: tokens (B), h_0 (1, B, 16), c_0 (1, B, 16); 1 LSTM; at most" in said
    assert names(folder) == {"card.json", "constants.json", "run.py", "vocabulary.py", "sequence.onnx", "step.onnx"}
    card = json.loads((folder / "card.json").read_text())
    tokens, *states = card["graphs"]["sequence"]["inputs"]
    assert (tokens["name"], tokens["shape"], tokens["dtype"]) == ("tokens", ["T", "B"], "int64")
    assert {(each["name"], each["dtype"]) for each in states} == {("h_0", "float32"), ("c_0", "float32")}
    whole = (folder / "step.onnx").read_bytes()

    assert main(["export", run, "--output", str(folder)]) == 2
    assert "is there already; choose another folder, or write over it with --force" in capsys.readouterr().err
    assert (folder / "step.onnx").read_bytes() == whole
    assert main(["export", run, "--output", str(folder), "--force", "--weights", "int8"]) == 0
    said = capsys.readouterr().out
    assert "int8 weights: " in said
    assert "validation nats per token: " in said
    card = json.loads((folder / "card.json").read_text())
    assert card["weights"] == "int8"
    assert card["validation"]["int8"]["nats_per_token"] == pytest.approx(
        card["validation"]["float32"]["nats_per_token"], abs=0.1
    )
    assert names(folder.parent) == {"out"}


def test_nothing_half_written_is_left(run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    assert main(["export", run, "--output", str(folder)]) == 0
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    def interrupted(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(onnx_folder, "_card", interrupted)
    for output, words in ((folder, ["--force"]), (tmp_path / "other", [])):
        assert main(["export", run, "--output", str(output), *words]) == 130
    assert names(tmp_path) == {"out"}
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_force_writes_over_exports_only(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("all my work")
    assert main(["export", run, "--output", str(tmp_path / "thesis"), "--force"]) == 2
    assert "thesis is no export, and --force writes over exports only" in capsys.readouterr().err
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "all my work"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "onxx"], "format onxx: expected one of onnx"),
        (["--weights", "int4"], "--weights|weights: expected one of int8"),
        (["--outptu", "x"], "did you mean --output?"),
    ],
    ids=str,
)
def test_slips_of_the_pen_are_told(words: list[str], said: str, run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", run, *words]) == 2
    error = capsys.readouterr().err
    assert any(each in error for each in said.split("|"))
    assert not (Path(run) / "onnx").exists()


def test_a_folder_that_is_no_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_a_task_that_does_not_say_what_is_exported_is_told(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(registry.find("lm").make()), "exported", Task.exported)
    assert main(["export", run, "--output", str(tmp_path / "out")]) == 2
    assert (
        "the task lm does not say what is exported of its models: give it a method `exported`"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()
