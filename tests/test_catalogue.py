"""The catalogue: cells by class and by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch

import ostinato
from ostinato import catalogue
from ostinato.cells.catalogue.janet import janet
from ostinato.cells.lstm import lstm
from ostinato.errors import ConfigError

untyped: Any = catalogue


def test_a_layer_and_a_single_step_by_class_and_by_name() -> None:
    torch.manual_seed(0)
    layer = catalogue.JANET(3, 4, num_layers=2, zoneout=0.1, beta=0.5)
    torch.manual_seed(0)
    named = catalogue.make("janet", 3, 4, num_layers=2, zoneout=0.1, beta=0.5)
    assert type(named) is type(layer) is ostinato.catalogue.JANET
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(named.eval()(x), layer.eval()(x))
    assert catalogue.JANETCell(3, 4)(torch.ones(2, 3)).shape == (2, 4)


def test_the_built_in_cells_have_names_too() -> None:
    assert catalogue.names()[:2] == ["lstm", "gru"]
    assert type(catalogue.make("lstm", 3, 4)) is ostinato.LSTM
    assert catalogue.cell("lstm") is lstm
    assert not hasattr(catalogue, "LSTM")  # which is where it always was


def test_a_cell_is_the_same_object_for_the_same_arguments() -> None:
    assert catalogue.cell("janet", beta=2) is janet(2.0) is catalogue.JANET(1, 1, beta=2).base_cell


@pytest.mark.parametrize("name", ["jannet", "JANET"])
def test_a_name_that_no_cell_has(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"cell: expected one of lstm, .*janet.*, got {name}; did you mean janet\?"):
        catalogue.make(name, 3, 4)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: untyped.JANET(3, 4, betta=1), r"keyword argument 'betta'; did you mean 'beta'\? .*: backend, beta,"),
        (
            lambda: catalogue.JANETCell(3, 4, betta=1),
            r"keyword argument 'betta'; did you mean 'beta'\? .*: backend, beta,",
        ),
        (lambda: catalogue.make("janet", 3, 4, betta=1), r"keyword argument 'betta'; did you mean 'beta'\?"),
        (lambda: catalogue.cell("janet", betta=1), r"'betta' of JANET: its own are beta; did you mean beta\?"),
        (lambda: catalogue.cell("lstm", beta=1), "'beta' of LSTM: it has none of its own$"),
    ],
)
def test_an_argument_that_a_cell_does_not_have(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        make()


def test_a_cell_is_named_by_a_text() -> None:
    with pytest.raises(ConfigError, match=r"module:cell, got 3$"):
        catalogue.cell(cast("Any", 3))


def test_names_and_dir_do_not_wait_for_torch() -> None:
    code = (
        "import sys, ostinato; assert 'janet' in ostinato.catalogue.names() and 'JANET' in dir(ostinato.catalogue); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(catalogue, "JANETT")
