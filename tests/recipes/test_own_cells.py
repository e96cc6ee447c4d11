"""A cell outside the tree, in a temporary module: trained with from the command line, kept by its place, missed when it is gone."""

from __future__ import annotations

import importlib
import json
import linecache
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import ostinato
from ostinato.cell_names import CellName
from ostinato.cells import lstm, rhn
from ostinato.cells.options import zoneout
from ostinato.cells.places import text_of
from ostinato.cells.spec import Cell
from ostinato.cli.main import main
from ostinato.errors import ConfigError
from ostinato.models import (
    AttentionDecoder,
    Captioner,
    Classifier,
    Forecaster,
    ImageShape,
    Seq2Seq,
    Tagger,
    WordEncoder,
)
from ostinato.models.parts.layers import make_layers
from ostinato.models.writing.image_encoder import RowEncoder
from ostinato.recipes import own_cells
from ostinato.recipes.classify.settings import ClassifierSettings, ClassifySettings
from tests.models.support import small

MODULE = """
from torch import sigmoid, tanh

from ostinato import State, cell


@cell(gates="f z", states="h c", keep="f")
def leaky(x, s, U):
    u = U(s.h)
    c = sigmoid(x.f + u.f) * s.c + tanh(x.z + u.z)
    return State(h=tanh(c), c=c)


def leaky_by(*, rate: float = 0.5):
    @cell(gates="z", states="h")
    def made(x, s, U):
        return State(h=rate * s.h + (1 - rate) * tanh(x.z + U(s.h).z))

    return made


def no_cell():
    return 3


def plain(x, s, U):
    return State(h=tanh(x.h + U(s.h).h))
"""


@pytest.fixture
def within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """In a folder with the module, which can be imported from there."""
    (tmp_path / "my_cells.py").write_text(MODULE)
    (tmp_path / "unfinished.py").write_text("def leaky(")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_cells", None)


def ostinato_in(folder: Path, *words: str) -> None:
    command = [
        sys.executable,
        "-P",
        "-m",
        "ostinato",
        *words,
    ]  # without the folder in sys.path, as in the installed command
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


SMALL = """
data: text.txt
model: {embedding_size: 4, hidden_size: 8}
training: {max_steps: 4, evaluate_every: 2, batch_size: 8}
baselines: {markov_orders: 0, window: 0}
"""


def test_a_run_is_trained_with_it_and_says_so_when_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, elsewhere, run = tmp_path / "home", tmp_path / "elsewhere", tmp_path / "run"
    for folder in (home, elsewhere):
        folder.mkdir()
    (home / "my_cells.py").write_text(MODULE)
    (home / "text.txt").write_text("hello ostinato, how are you?\n" * 40)
    (home / "small.yaml").write_text(SMALL)
    ostinato_in(home, "train", "lm", "--config", "small.yaml", "--run", str(run), "--model.cell", "my_cells:leaky")
    ostinato_in(home, "generate", str(run), "--length", "20")
    assert "cell: my_cells:leaky\n" in (run / "config.yaml").read_text()
    kept = json.loads((run / "cells.json").read_text())
    assert [*kept] == ["my_cells:leaky"]
    assert kept["my_cells:leaky"][0] == str(home / "my_cells.py")

    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(sys, "path", list(sys.path))
    kept = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    resume = ["train", "lm", "--run", str(run), "--resume", "--training.max_steps", "6"]
    for words in (["generate", str(run)], resume, ["inspect", str(run)], ["evaluate", str(run)]):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith(
            "ostinato: my_cells:leaky: expected a cell at this place, module:cell; it cannot be loaded"
        )
        assert f"or in PYTHONPATH? It was in {home / 'my_cells.py'} when the run {run} began" in line
    assert kept == {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    (home / "my_cells.py").rename(elsewhere / "my_cells.py")
    try:
        assert main(resume) == 0
        assert main(["inspect", str(run)]) == 0
        assert "leaky of 8 units" in (run / "inspection.html").read_text()
    finally:
        sys.modules.pop("my_cells", None)


def test_a_refused_resume_with_another_cell_leaves_everything_as_it_was(
    within: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (within / "text.txt").write_text("hello ostinato, how are you?\n" * 40)
    (within / "small.yaml").write_text(SMALL)
    train = ["train", "lm", "--config", "small.yaml", "--run", "run"]
    assert main([*train, "--model.cell", "my_cells:leaky"]) == 0
    kept = {name: (within / "run" / name).read_bytes() for name in ("config.yaml", "cells.json")}
    again = ["train", "lm", "--run", "run", "--resume", "--training.max_steps", "6"]
    assert main([*again, "--model.cell", "my_cells:leaky_by"]) == 2
    assert "does not fit" in capsys.readouterr().err
    assert kept == {name: (within / "run" / name).read_bytes() for name in kept}
    assert main(again) == 0


def test_in_python_a_run_takes_the_cell_itself(within: Path) -> None:
    (within / "text.txt").write_text("hello ostinato, how are you?\n" * 40)
    sys.path.append(str(within))
    leaky = importlib.import_module("my_cells").leaky
    given = {
        "model": {"embedding_size": 4, "hidden_size": 8, "cell": leaky},
        "training": {"max_steps": 2, "batch_size": 8},
        "baselines": {"markov_orders": 0, "window": 0},
    }
    ostinato.train("lm", "text.txt", run="run", **given)
    assert "cell: my_cells:leaky\n" in (within / "run/config.yaml").read_text()

    @ostinato.cell(gates="h", states="h")
    def local(x: Any, s: Any, U: Any) -> Any:
        return ostinato.State(h=torch.tanh(x.h + U(s.h).h))

    given["model"]["cell"] = local
    with pytest.raises(ConfigError, match=r"'local' cannot be kept .* at the top of a module"):
        ostinato.train("lm", "text.txt", run="other", **given)


def test_a_typo_in_an_argument_of_ones_own_function_is_told(within: Path) -> None:
    with pytest.raises(ConfigError, match=r"argument 'rat'; did you mean 'rate'\? .* rate, "):
        make_layers("my_cells:leaky_by", 2, 3, options={"rat": 0.4})


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("    u = U(s.h)\n", "    u = U(s.h)  # what it was\n\n", True),
        ("def leaky(x, s, U):\n", 'def leaky(x, s, U):\n    """It leaks."""\n', True),
        ("sigmoid(x.f + u.f)", "tanh(x.f + u.f)", False),
        ('keep="f")', 'write="f")', False),
        ("return 3", "return 4", True),  # another cell's
    ],
)
def test_a_cell_that_was_written_anew_does_not_go_on(
    old: str, new: str, is_same: bool, within: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ClassifySettings(model=ClassifierSettings(cell=CellName("my_cells:leaky")))
    run = tmp_path / "run"
    run.mkdir()
    own_cells.record(settings, run)
    assert MODULE.count(old) == 1
    (tmp_path / "my_cells.py").write_text(MODULE.replace(old, new))
    sys.modules.pop("my_cells")
    linecache.checkcache()
    if is_same:
        own_cells.check(settings, run)
        return
    with pytest.raises(
        ConfigError, match=r"my_cells:leaky: it is written otherwise than when the run .* delete .*cells.json"
    ):
        own_cells.check(settings, run)
    (run / "cells.json").write_text(json.dumps({"my_cells:leaky": "somewhere.py"}))  # as it was kept at first
    own_cells.check(settings, run)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere:cell", r"cannot be loaded \(ModuleNotFoundError.*; is its folder"),
        ("my_cells:leeky", r"cannot be loaded \(AttributeError.*; the module is .*my_cells.py; did you mean leaky\?"),
        ("my_cells.py:leaky", r"; did you mean my_cells:leaky\?"),
        ("my_cells.leaky", r"; did you mean my_cells:leaky\?"),
        ("unfinished:leaky", r"\(SyntaxError: [^;]*\)$"),
        ("my_cells:tanh", "expected a cell, made with .*, got builtin_function_or_method"),
        ("my_cells:", "expected a cell at a place module:cell"),
        ("lsmt", "model.cell: expected one of lstm, .*, got lsmt; did you mean lstm"),
    ],
)
def test_what_is_not_there_is_told_before_the_data_are_read(
    place: str, said: str, within: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "classify", "--data", "missing.csv", "--model.cell", place]) == 2
    assert re.search(said, capsys.readouterr().err)


def test_a_step_without_its_description_is_told(within: Path) -> None:
    said = "^cell my_cells:plain: .* needs the arguments x, s, U; if it is a step, put the decorator ostinato.cell above it"
    with pytest.raises(ConfigError, match=said):
        make_layers("my_cells:plain", 3, 4)


def test_a_function_returns_a_cell_and_its_arguments_are_options(within: Path) -> None:
    layer = make_layers("my_cells:leaky_by", 3, 4, options={"rate": 0.1, "zoneout": 0.2})
    assert layer.base_cell.name == "made"
    assert layer.options.zoneout == {"h": 0.2}
    assert type(make_layers("ostinato.cells.highway:rhn", 3, 4, options={"depth": 3}).base_cell) is Cell
    assert ostinato.catalogue.make("my_cells:leaky", 3, 4).base_cell is ostinato.catalogue.cell("my_cells:leaky")
    for place, options, said in [
        ("my_cells:no_cell", {}, "got a function that returns int"),
        ("my_cells:leaky_by", {"rte": 0.1}, "options of my_cells:leaky_by: unexpected keyword argument 'rte'"),
        ("ostinato.cells.highway:rhn", {}, "^cell .*: .* needs the argument depth"),
    ]:
        with pytest.raises(ConfigError, match=said):
            make_layers(place, 3, 4, options=options)


def test_settings_keep_a_cell_as_the_text_that_finds_it(within: Path) -> None:
    ostinato.catalogue.make("my_cells:leaky", 1, 1)
    import my_cells  # pyright: ignore[reportMissingImports]

    for cell, text in [
        (my_cells.leaky, "my_cells:leaky"),
        (lstm, "lstm"),
        (rhn(4), "rhn"),
        (rhn(3), "ostinato.cells.highway:rhn_3"),
        (ostinato.catalogue.cell("janet"), "janet"),
        (ostinato.catalogue.cell("janet", beta=-0.5), "ostinato.cells.catalogue.janet:janet_-0.5"),
    ]:
        assert text_of(cell) == text
        assert ClassifySettings(model=ClassifierSettings(cell=cell)).model.cell == text
        assert make_layers(text, 3, 4).base_cell is cell
    for cell, said in [
        (
            my_cells.leaky_by(),
            r"the cell 'made' cannot be kept by its name, my_cells:made: .*; define it, under this name",
        ),
        (zoneout(lstm, {"h": 0.1}), "it was changed by zoneout"),
        (3, "cell: expected one of lstm, .*, got 3"),
    ]:
        with pytest.raises(ConfigError, match=said):
            ClassifySettings(model=ClassifierSettings(cell=cell))


def models(cell: Any) -> list[torch.nn.Module]:
    words = WordEncoder([1, 2, 3], 5, embedding_size=4, character_hidden_size=4, cell=cell)
    sizes = {"embedding_size": 4, "hidden_size": 6, "cell": cell}
    ends = {"begin": 0, "end": 1}
    return [
        small(cell, num_layers=2),
        Classifier(3, vocabulary_size=5, embedding_size=4, hidden_size=6, bidirectional=True, cell=cell),
        Forecaster(hidden_size=6, cell=cell),
        Tagger(words, 3, hidden_size=6, cell=cell),
        Seq2Seq(5, 6, **sizes, **ends),
        AttentionDecoder(5, 4, **sizes),
        RowEncoder(ImageShape(1, 4, 4), 4, cell),
        Captioner((1, 4, 4), 6, **sizes, **ends, encoder="rows", features=4),
    ]


@pytest.mark.parametrize(
    "cell", ["janet", "my_cells:leaky", "my_cells:leaky_by", rhn(2)], ids=lambda cell: getattr(cell, "name", cell)
)
def test_every_model_takes_it(cell: Any, within: Path) -> None:
    base = make_layers(cell, 1, 1).base_cell
    for model in models(cell):
        found = [each for each in model.modules() if isinstance(each, ostinato.Recurrent)]
        assert found
        assert {each.base_cell.name for each in found} == {base.name}


@ostinato.cell(gates="a", states="h seen:I")
def remembers_its_input(x: Any, s: Any, U: Any) -> Any:
    return ostinato.State(h=torch.tanh(x.a + U(s.h).a + s.seen.sum(-1, keepdim=True)), seen=0.5 * s.seen + 1.0)


@pytest.mark.parametrize("cell", [remembers_its_input, "mlstm"], ids=["as wide as the input", "matrices"])
def test_what_writes_takes_states_of_any_shape(cell: Any) -> None:
    sizes = {"embedding_size": 4, "hidden_size": 6, "num_layers": 2, "cell": cell, "begin": 0, "end": 1}
    source, target = torch.randint(2, 5, (5, 3)), torch.randint(2, 6, (4, 3))
    for options in ({}, {"bridge": "none"}, {"input_feeding": True}, {"coverage": True}):
        model = Seq2Seq(5, 6, **sizes, **options).eval()
        model.loss(SimpleNamespace(input=source, lengths=None, target=target, target_lengths=None))[0].backward()
        assert len(model.write(source, max_length=4)) == len(model.translate(source, max_length=4)) == 3
    captioner = Captioner((1, 4, 4), 6, **sizes, encoder="rows", features=4).eval()
    images = torch.rand(3, 1, 4, 4)
    captioner.loss(SimpleNamespace(input=images, owners=torch.arange(3), target=target, target_lengths=None))[
        0
    ].backward()
    assert len(captioner.write(images, max_length=4)) == 3
