"""Recurrent layers as C: every cell, with options, compared with the layer itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.utils import prune

import ostinato
from ostinato import Recurrent
from ostinato.exporting.c.models import network_of
from tests.cells.language import COMPILED, extras
from tests.contracts.menu import CATALOGUE, CELLS, cell_of, layer
from tests.exporting.c.compiled import compiled
from tests.kernels.cpu.random_cells import random_cell
from tests.kernels.test_heads import OPERATIONS, of_heads
from tests.kernels.test_units import MOVES, moving

STEPS = 12
SEVERAL_DIMENSIONS = {"mlstm"}  # which the compiler does not take


def assert_computes_the_same(whole: Recurrent, folder: Path, **how: Any) -> None:
    """float32 to 1e-5 of the layer; int8 to 1e-5 of what PyTorch makes of the rounded weights."""
    whole.eval()
    x, more = torch.randn(STEPS, 1, whole.input_size), extras(whole, STEPS, 1, torch.float32)
    row = {name: v[:, 0] for name, v in more.items()}
    got = compiled(whole, folder, **how)(x[:, 0], row)
    if how.get("weights") == "int8":
        want = network_of(whole, "net", "int8").run(x[:, 0], row)
    else:
        with torch.no_grad(), ostinato.backend("reference"):
            want = whole(x, **more)[0][:, 0]
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("name", [*CELLS, "slstm", "mgu"])
def test_a_stack_of_two(name: str, weights: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    assert_computes_the_same(layer(name, 5, 6, 2), tmp_path, weights=weights)


@pytest.mark.parametrize(
    ("name", "weights"),
    # Each other one with rounded weights: `python -m tests.exporting.c.every` has them all both ways.
    [(name, ("float32", "int8")[at % 2]) for at, name in enumerate(CATALOGUE) if name not in SEVERAL_DIMENSIONS],
)
def test_every_cell_of_the_catalogue(name: str, weights: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = 1 if cell_of(name).extras else 2
    assert_computes_the_same(layer(name, 5, 6, layers), tmp_path, weights=weights)


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_cells_with_matrices_extras_and_states_of_other_widths(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    assert_computes_the_same(Recurrent(COMPILED[name], 5, 6), tmp_path)


OPTIONS: dict[str, Callable[[], Recurrent]] = {
    "no biases": lambda: ostinato.LSTM(5, 6, 2, bias=False),
    "one unit": lambda: ostinato.LSTM(1, 1, 2, layer_norm=True),
    "layer_norm": lambda: ostinato.LSTM(5, 6, 2, layer_norm=True),
    "layer_norm between two products": lambda: ostinato.GRU(5, 6, 2, layer_norm=True, reset_after=False),
    "layer_norm of a scan": lambda: ostinato.MinLSTM(5, 6, 2, layer_norm=True),
    "peephole, projection": lambda: ostinato.LSTM(5, 6, 2, peephole=True, proj_size=4),
    "layer_norm, coupled, zoneout": lambda: ostinato.LSTM(
        5, 6, 2, layer_norm=True, coupled_gates=True, zoneout=(0.05, 0.5)
    ),
    "all dropouts": lambda: ostinato.LSTM(
        5, 6, 2, dropout=0.5, variational_dropout=0.5, recurrent_dropout=0.5, weight_dropout=0.5
    ),
    "residual": lambda: ostinato.GRU(5, 6, 4, connection="residual"),
    "highway": lambda: ostinato.GRU(5, 6, 4, connection="highway"),
    "widths, learned first state": lambda: ostinato.GRU(5, [8, 3, 6], initial_state="learned"),
    "heads": lambda: ostinato.LSTM(5, 12, 2, num_heads=4, proj_size=8),
    "heads, layer_norm": lambda: ostinato.GRU(5, 12, 2, num_heads=3, layer_norm=True),
    "a deep transition": lambda: ostinato.RHN(5, 7, 2, depth=5, layer_norm=True),
}


@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("option", OPTIONS)
def test_every_option(option: str, weights: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = OPTIONS[option]()
    for parameter in whole.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, std=0.3)
    assert_computes_the_same(whole, tmp_path, weights=weights, work="state" if weights == "int8" else "stack")


@pytest.mark.parametrize("name", MOVES)
def test_units_that_move(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    assert_computes_the_same(Recurrent(moving(MOVES[name]), 4, 5, 2), tmp_path)


@pytest.mark.parametrize("name", OPERATIONS)
def test_units_by_heads(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    assert_computes_the_same(Recurrent(of_heads(name), 4, 10, num_heads=2), tmp_path)


@pytest.mark.parametrize("seed", range(16))
def test_steps_that_nobody_would_write(seed: int, tmp_path: Path) -> None:
    torch.manual_seed(seed)
    assert_computes_the_same(Recurrent(random_cell(seed, moves=seed % 2 == 1), 4, 7, 2), tmp_path)


@pytest.mark.parametrize(
    "whole",
    [
        ostinato.LSTM(5, 6, layer_norm=True),
        ostinato.MinLSTM(5, 6, positive=True),
        ostinato.catalogue.make("slstm", 5, 8),
    ],
    ids=lambda whole: type(whole).__name__,
)
def test_own_functions_need_no_library(whole: Recurrent, tmp_path: Path) -> None:
    torch.manual_seed(0)
    assert_computes_the_same(whole, tmp_path, math="own")
    text = (tmp_path / "net.c").read_text()
    assert [line for line in text.splitlines() if line.startswith("#include")] in (
        ['#include "net.h"', "#include <stdint.h>"],
        ['#include "net.h"'],
    )


def weight_normed() -> Recurrent:
    whole = ostinato.GRU(5, 6)
    return torch.nn.utils.parametrizations.weight_norm(whole, "weight_hh_l0")  # pyright: ignore[reportReturnType]


def pruned() -> Recurrent:
    return prune.random_unstructured(ostinato.GRU(5, 6), "weight_hh_l0", 0.5)


@pytest.mark.parametrize("make", [weight_normed, pruned])
def test_weights_that_are_made_of_others(make: Callable[[], Recurrent], tmp_path: Path) -> None:
    torch.manual_seed(0)
    assert_computes_the_same(make(), tmp_path)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_another_dtype_becomes_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = ostinato.GRU(5, 6, dtype=dtype).eval()
    x = torch.randn(STEPS, 5)
    with torch.no_grad():
        plain = ostinato.GRU(5, 6).eval()
        plain.load_state_dict(whole.state_dict())
        want = plain(x)[0]
    torch.testing.assert_close(compiled(whole, tmp_path)(x), want, atol=1e-5, rtol=1e-5)


def test_nan_and_infinity_are_what_they_are_in_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = ostinato.RNN(2, 3, nonlinearity="relu").eval()
    x = torch.tensor([[1.0, 2.0], [torch.inf, 1.0], [torch.nan, 0.0], [1.0, 1.0]])
    with torch.no_grad():
        want = whole(x)[0]
    torch.testing.assert_close(compiled(whole, tmp_path)(x), want, atol=1e-5, rtol=1e-5, equal_nan=True)
