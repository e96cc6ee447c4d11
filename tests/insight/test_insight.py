"""The names of the room."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from ostinato import insight


@pytest.mark.parametrize("name", insight.__all__)
def test_every_public_name_is_there_and_is_no_module(name: str) -> None:
    __import__(f"ostinato.insight.{insight._HOMES[name]}")
    assert not isinstance(getattr(insight, name), ModuleType)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(insight, "gradient_flaw")


def test_importing_it_loads_neither_torch_nor_matplotlib() -> None:
    program = "import sys, ostinato.insight; print({'torch', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_looking_into_a_model_does_not_load_matplotlib() -> None:
    program = (
        "import sys, torch; from ostinato.insight import gradient_flow, saturation, parameters; m = torch.nn.GRU(2, 3); "
        "print(gradient_flow(m, torch.ones(3, 1, 2), lambda m, x: m(x)[0].sum()), saturation(m, torch.ones(3, 1, 2)), "
        "parameters(m), file=sys.stderr); print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
