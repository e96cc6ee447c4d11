"""What `pip install ostinato` alone can do, and how it tells what it lacks."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from ostinato.extras import _PACKAGES

WITHOUT = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in LEFT_OUT else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)
"""
WORKS = """
import torch
import ostinato
from ostinato.insight import doctor, gradient_flow
from ostinato.training import chunks

x = torch.randn(7, 2, 3)
layer = ostinato.LSTM(3, 4, 2, layer_norm=True, zoneout=0.1)
assert "compiled" in ostinato.explain(layer, x).backends

@ostinato.cell(gates="z", states="h")
def mine(v, s, U):
    return ostinato.State(h=torch.tanh(v.z + U(s.h).z))

assert ostinato.Recurrent(mine, 3, 4)(x)[0].shape == (7, 2, 4)
assert ostinato.Stream(layer.eval())(x[0, 0]).shape == (4,)
ostinato.convert(torch.nn.LSTM(3, 4))
ostinato.catalogue.make("janet", 3, 4)(x)
for window in chunks((x, x), 3):
    window.run(layer)
print(gradient_flow(layer.train(), x, lambda layer, x: layer(x)[0][-1].square().sum()))
from ostinato.models import Classifier
print(doctor(Classifier(2, input_size=3), (x, torch.tensor([0, 1])), lambda m, b: torch.nn.functional.cross_entropy(m(b[0]), b[1])))
"""
LACKS = {
    "import ostinato; ostinato.load('runs/x')": "tasks",
    "import ostinato; ostinato.export": "export",
    "from ostinato.training import fit": "tasks",
    "from ostinato.cli.main import main; sys.exit(main(['train', 'lm']))": "tasks",
    "from ostinato.cli.main import main; sys.exit(main(['predict', 'runs/x', 'y']))": "tasks",
    "from ostinato.cli.main import main; sys.exit(main(['lab', 'list']))": "tasks",
    "from ostinato.cli.main import main; sys.exit(main(['sweep', 'lm']))": "sweep",
    "from ostinato.cli.main import main; sys.exit(main(['serve', 'runs/x']))": "serve",
    "from ostinato.data.sources.builtin import digits; digits()": "tasks",
    "from ostinato.data.sources.frames import read_frame; read_frame(FILE)": "tasks",
    "from ostinato.insight.plots import figure; figure()": "plots",
}
SERVE = "from ostinato.cli.main import main; sys.exit(main(['serve', 'runs/x']))"
SWEEP = "from ostinato.recipes.sweep.storage import open_study; open_study(None, None)"


def run_without(packages: set[str], code: str) -> subprocess.CompletedProcess[str]:
    program = f"LEFT_OUT = {packages!r}\nFILE = {__file__!r}\n{WITHOUT}\n{code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def told(packages: set[str], codes: Iterable[str]) -> list[str]:
    """The line that each gives without these packages; in one process, as imports take seconds."""
    attempt = "\ntry:\n    {}\nexcept (OstinatoError, SystemExit) as error:\n    print(error, file=sys.stderr)"
    program = "from ostinato.errors import OstinatoError" + "".join(attempt.format(code) for code in codes)
    done = run_without(packages, program)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if line != "2"]  # the status of the command


EVERY = {each for packages in _PACKAGES.values() for each in packages}


def test_what_works_without_any_extra() -> None:
    done = run_without(EVERY, WORKS)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("packages", "wanted"), [(EVERY, LACKS), ({"optuna", "starlette"}, {SWEEP: "sweep", SERVE: "serve"})]
)
def test_what_lacks_an_extra_is_told_in_one_line(packages: set[str], wanted: dict[str, str]) -> None:
    lines = told(packages, wanted)
    assert len(lines) == len(wanted), lines
    for line, (code, extra) in zip(lines, wanted.items(), strict=True):
        assert line.endswith(f"pip install 'ostinato[{extra}]'"), (code, line)


def test_every_package_of_an_extra_is_known() -> None:
    """Else its absence is a traceback."""
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]
    modules: dict[str, list[str]] = {}
    for module, names in packages_distributions().items():
        for name in names:
            modules.setdefault(_normal(name), []).append(module)
    for extra, packages in _PACKAGES.items():
        for requirement in project["optional-dependencies"][extra]:
            if ";" in requirement:  # not on every system
                continue
            name = _normal(re.split(r"[\[<>=;]", requirement)[0])
            if name not in ("ostinato", "fsspec") and name in modules:  # torch brings fsspec
                assert set(modules[name]) & set(packages), f"{requirement} of {extra}: its modules are {modules[name]}"


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-").strip()
