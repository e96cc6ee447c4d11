"""A cell that has a name is one file: its classes, its stubs and its place in the tests follow from it."""

from __future__ import annotations

import doctest
import inspect
import os
import pickle
import re
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import torch

import ostinato
from ostinato.cell_names import classes, declared, every
from ostinato.cells import Cell, lstm
from ostinato.cells.registry import named
from ostinato.errors import CellError
from ostinato.nn import LayerOptions, StepOptions
from tests.stubs import stubs
from tests.test_documents import ROOT, snippets

# What a newcomer's file must have brought about, each line by itself.
FOLLOWS = """
import inspect, pickle, sys
import ostinato
assert {"LeakyNet", "LeakyNetCell"} <= set(ostinato.catalogue.__all__) and "leakynet" in ostinato.catalogue.names()
from ostinato.cli.train import parser
from ostinato.recipes.registry import TASKS
for task in TASKS:
    told = " ".join(parser(task).format_help().split())
    assert "leakynet, " in told and "or the place of one of your own" in told, task
assert "torch" not in sys.modules

import torch
layer = ostinato.catalogue.LeakyNet(3, 4, 2, linear=True, proj_size=2, zoneout=0.1)
step = ostinato.catalogue.LeakyNetCell(3, 4, linear=True)
assert layer.base_cell is step.base_cell is ostinato.catalogue.cell("leakynet", linear=True)
assert layer.linear and step.linear
assert layer(torch.ones(5, 2, 3))[0].shape == (5, 2, 2) and len(step(torch.ones(2, 3))) == 2
assert "linear: h' = c'." in ostinato.catalogue.LeakyNet.__doc__ and "proj_size: `P`" in ostinato.catalogue.LeakyNet.__doc__
assert "linear" in inspect.signature(ostinato.catalogue.LeakyNetCell).parameters
assert type(pickle.loads(pickle.dumps(layer))) is ostinato.catalogue.LeakyNet
assert type(ostinato.catalogue.make("leakynet", 3, 4, linear=True)) is ostinato.catalogue.LeakyNet

from ostinato.models.parts.layers import make_layers
assert type(make_layers("leakynet", 3, 4, options={"linear": True})) is ostinato.catalogue.LeakyNet

from tests.contracts.menu import CATALOGUE
from tests.contracts.test_catalogue import SETTINGS, test_every_cell_with_options_compiled_as_in_the_reference
assert {"leaky", "leaky_linear"} < set(CATALOGUE)
test_every_cell_with_options_compiled_as_in_the_reference("leaky", SETTINGS[0])

from tests.stubs import stubs
seen = [path.name for path, text in stubs().items() if "LeakyNet" in text or "leakynet" in text]
assert seen == ["cell_names.pyi", "catalogue.pyi", "catalogue.md"]
"""


def test_the_one_file_of_the_contributors_guide_is_all_that_a_named_cell_needs(tmp_path: Path) -> None:
    (written,) = [each for each in snippets(ROOT / "CONTRIBUTING.md") if "@named(" in each.code]
    shutil.copytree(Path(ostinato.__file__).parent, tmp_path / "ostinato", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "ostinato/cells/catalogue/leaky.py").write_text(written.code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = run("-c", FOLLOWS)
    assert done.returncode == 0, done.stderr
    done = run("-m", "ostinato.cli.main", "train", "lm", "--model.cell", "leekynet")
    assert "or the place of one of your own, module:cell, got leekynet; did you mean leakynet" in done.stderr


def test_what_editors_see_is_what_is_there() -> None:
    for path, text in stubs().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is not up to date; write it with: make stubs"


@pytest.mark.parametrize("name", classes(every()))
def test_every_argument_of_a_class_is_documented_and_typed(name: str) -> None:
    is_catalogued = name in ostinato.catalogue.__all__
    kind = getattr(ostinato.catalogue if is_catalogued else ostinato, name)
    arguments = list(inspect.signature(kind).parameters)
    assert all(f"    {'**' * (argument == 'options')}{argument}: " in kind.__doc__ for argument in arguments)
    options = typing.get_type_hints(LayerOptions if "num_layers" in arguments else StepOptions)
    assert all(f"        {option}: " in kind.__doc__ for option in options)
    assert set(arguments) < set(typing.get_type_hints(kind.__init__))
    home = "catalogue" if is_catalogued else f"nn.{'steps' if 'Cell' in name else 'layers'}"
    assert (kind.__module__, kind.__qualname__) == (f"ostinato.{home}", name)
    assert type(pickle.loads(pickle.dumps(kind(3, 4)))) is kind


@pytest.mark.parametrize("name", classes())
def test_the_docstring_of_a_class_tells_the_shapes_and_has_an_example_that_runs(
    name: str,
) -> None:
    told = getattr(ostinato, name).__doc__
    assert ("(T, B, I)" if "Cell" not in name else "(B, I)") in told
    example = doctest.DocTestParser().get_doctest(told, {"torch": torch, "ostinato": ostinato}, name, None, None)
    assert len(example.examples) == 3
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0


@pytest.mark.parametrize("name", classes())
def test_torchs_arguments_are_in_torchs_order(name: str) -> None:
    kind, torch_class = getattr(ostinato, name), getattr(torch.nn, name, None)
    assert kind.torch_class is torch_class
    if torch_class is not None:
        theirs, ours = torch_class(3, 4), kind(3, 4)
        assert issubclass(kind, torch_class)
        assert [*ours.state_dict()] == [*theirs.state_dict()]


def test_a_name_is_given_once() -> None:
    assert len({each.key for each in every()}) == len(every())
    with pytest.raises(
        CellError, match=r"expected a name that no other cell has, got 'Lstm', which ostinato\.cells\.lstm"
    ):

        @named("Lstm")
        def named_lstm() -> Cell:
            return lstm


def test_every_cell_says_where_it_is_from() -> None:
    """The table in docs/catalogue.md is among the stubs."""
    for name in ostinato.catalogue.names():
        assert ostinato.catalogue.cell(name).source, f"@cell(..., source=...) of {name}: expected a paper"


# The paper's own numbers were not at hand. Who has read one takes its cell off this list; a new cell comes with its number.
NO_EQUATION_YET = "atr brc hgrn janet ligru mgu mingru minimalrnn minlstm nbrc scrn star unicornn"


def test_every_source_names_its_equation() -> None:
    numbered = re.compile(r"\(\d+\)|\bunnumbered\b")
    without = {name for name in ostinato.catalogue.names() if not numbered.search(ostinato.catalogue.cell(name).source)}
    assert without == set(NO_EQUATION_YET.split()), (
        "@cell(..., source=...) expected the equation, as in '(3)' or '(1) to (4)', or 'unnumbered'"
    )


def test_the_guide_has_every_layer() -> None:
    guide = (ROOT / "docs/nn.md").read_text(encoding="utf-8")
    for each in declared():
        assert f"`{each.name}" in guide
        assert getattr(torch.nn, each.name, None) or f"| `{each.name}(" in guide, (
            f"docs/nn.md needs a row for {each.name}"
        )
