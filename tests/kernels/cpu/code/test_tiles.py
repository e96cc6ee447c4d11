"""Products on the matrix unit, beside numpy in float64 on numbers rounded to bfloat16; where there is none, nobody may use it."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ostinato import cells
from ostinato.cells import State, cell, options
from ostinato.kernels import compiled
from ostinato.kernels.compiled import Compiled
from ostinato.kernels.cpu.code import tiles
from ostinato.kernels.cpu.code.kernel import shape
from ostinato.kernels.cpu.code.target import assembly
from ostinato.kernels.cpu.run.buffers import pool
from ostinato.kernels.cpu.run.library import tile_library
from ostinato.kernels.cpu.threads.openmp import run
from ostinato.kernels.reference import Reference
from tests.kernels.cpu.against import Example, outcome
from tests.kernels.cpu.code.test_product import panels_of
from tests.kernels.cpu.run.test_bfloat16 import errors

HERE = tiles.has_tiles()
LENGTHS = {"whole": None, "lengths": [7, 0, 3, 6, 1], "short": [2, 1, 2, 0, 1]}
CELLS = {
    "rnn_tanh": cells.rnn_tanh,
    "lstm": options.peephole(cells.lstm),
    "gru": options.zoneout(cells.gru, {"h": 0.4}),
    "gru_reset_before": cells.gru_reset_before,
    "rhn_2": options.variational_dropout(cells.rhn(2), 0.3),
    "min_lstm": cells.min_lstm,
    "norm": options.layer_norm(cells.gru),
    "projected": options.projection(cells.lstm),
}


@pytest.fixture(autouse=True)
def _as_autocast_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "has_fast_bf16", lambda: True)
    monkeypatch.setattr(
        compiled, "_shown_dtypes", lambda request, computed: dict.fromkeys(request.cell.states, computed)
    )
    monkeypatch.setattr(pool, "poison", True)


def rounded(v: np.ndarray) -> np.ndarray:
    return torch.from_numpy(np.ascontiguousarray(v)).bfloat16().double().numpy()


def paired(matrix: np.ndarray) -> np.ndarray:
    panels = panels_of(matrix, shape(False).panel)
    fields = (ctypes.c_int64 * 3)(panels.ctypes.data, len(panels), len(matrix))
    kernel = tile_library()["pair_share"]
    ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(kernel)(ctypes.addressof(fields), 0, 1)
    return panels


def multiply(*numbers: int) -> None:
    ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 12)(tile_library()["multiply_tiles"])(*numbers)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, panels, c = np.ascontiguousarray(a), paired(b), np.full((len(a), b.shape[1]), np.nan, np.float32)
    multiply(
        a.ctypes.data, a.strides[0], 1, len(b), 0, panels.ctypes.data, panels.strides[0], c.ctypes.data, c.strides[0],
        *c.shape, 0,
    )  # fmt: skip
    return c


def test_the_unit_is_used_where_the_processor_and_the_system_have_it() -> None:
    assert bool(torch.cpu.get_capabilities().get("amx_bf16")) == HERE


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 32, 33, 48, 49, 70, 300] * HERE)
def test_multiply(rows: int) -> None:
    r = np.random.default_rng(rows)
    for depth in (16, 17, 31, 32, 33, 64, 100, 1500):
        for columns, add in ((1, 0), (15, 1), (16, 0), (17, 1), (33, 0), (64, 1), (65, 0), (130, 1)):
            a = r.standard_normal((rows, depth + 3)).astype(np.float32)
            b = r.standard_normal((depth, columns)).astype(np.float32)
            c = r.standard_normal((rows, columns + 2)).astype(np.float32)
            expected = rounded(a[:, :depth]) @ rounded(b) + (c[:, :columns] if add else 0)
            beyond, panels = c[:, columns:].copy(), paired(b)
            if not add:
                c[:, :columns] = np.nan
            multiply(
                a.ctypes.data, a.strides[0], 1, depth, 0, panels.ctypes.data, panels.strides[0], c.ctypes.data,
                c.strides[0], rows, columns, add,
            )  # fmt: skip
            np.testing.assert_allclose(c[:, :columns], expected, rtol=0, atol=2e-6 * 8 * depth**0.5)
            np.testing.assert_array_equal(c[:, columns:], beyond)


@pytest.mark.parametrize(("runs", "run", "gap"), [(3, 16, 16), (2, 48, 16), (5, 32, 64)] * HERE)
def test_multiply_jumps_over_what_does_not_belong(runs: int, run: int, gap: int) -> None:
    r = np.random.default_rng(1)
    wide = r.standard_normal((21, runs, run + gap)).astype(np.float32)
    a, b = wide[:, :, :run].reshape(21, -1), r.standard_normal((runs * run, 70)).astype(np.float32)
    c, panels = np.full((21, 70), np.nan, np.float32), paired(b)
    multiply(
        wide.ctypes.data, wide.strides[0], runs, run, gap * 4, panels.ctypes.data, panels.strides[0], c.ctypes.data,
        c.strides[0], 21, 70, 0,
    )  # fmt: skip
    np.testing.assert_allclose(c, rounded(a) @ rounded(b), rtol=0, atol=1e-4)


@pytest.mark.parametrize("depth", [37, 200] * HERE)
def test_rows_and_columns_beside_change_no_bit(depth: int) -> None:
    r = np.random.default_rng(2)
    a, b = (r.standard_normal(size).astype(np.float32) for size in ((70, depth), (depth, 133)))
    whole = product(a, b)
    for rows in (1, 15, 16, 17, 31, 33, 50, 69):
        np.testing.assert_array_equal(product(a[:rows], b), whole[:rows])
    for columns in (1, 16, 31, 64, 65, 100):
        np.testing.assert_array_equal(product(a[5:49], b[:, :columns]), whole[5:49, :columns])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf] * HERE)
def test_what_is_not_finite_stays_so(bad: float) -> None:
    a, b = np.ones((20, 40), np.float32), np.ones((40, 20), np.float32)
    a[3, 5] = bad
    np.testing.assert_array_equal(product(a, b)[3], np.full(20, bad, np.float32))
    a[3, 5], b[7, 2] = 1, bad
    np.testing.assert_array_equal(product(a, b)[:, 2], np.full(20, bad, np.float32))


@pytest.mark.parametrize("threads", [1, 2, 3] * HERE)
def test_panels_are_paired_by_any_number_of_threads(threads: int) -> None:
    b = np.random.default_rng(3).standard_normal((33, 300)).astype(np.float32)
    expected, panels = paired(b), panels_of(b, shape(False).panel)
    fields = (ctypes.c_int64 * 3)(panels.ctypes.data, len(panels), len(b))
    from ostinato.kernels.cpu.run.library import library

    run(library(False)["region"], tile_library()["pair_share"], ctypes.addressof(fields), threads)
    used = -(-33 // 32) * 16  # rows of words of a panel
    np.testing.assert_array_equal(panels.view(np.int32)[:, :used], expected.view(np.int32)[:, :used])


def test_the_code_can_be_read_anywhere() -> None:
    assert "tdpbf16ps" in str(tiles.module(shape(False)))
    if HERE:
        assert "tdpbf16ps" in assembly(tiles.module(shape(False)))


# Cells


@cell(gates="a", states="h")
def linear(x: Any, s: Any, U: Any) -> State:
    return State(h=x.a + U(s.h).a)


def whole_numbers(example: Example, dtype: torch.dtype) -> Any:
    """Small whole numbers, which bfloat16 holds, and so do all sums of few of them: no product rounds."""
    generator = torch.Generator().manual_seed(example.seed)

    def few(v: Any) -> torch.Tensor:
        drawn = torch.randint(-1, 2, v.shape, generator=generator).to(dtype)
        return (drawn * (torch.rand(v.shape, generator=generator) < 2 / v.shape[-1])).requires_grad_()

    request = example.request(dtype)
    weights = replace(
        request.weights,
        ih=few(request.weights.ih),
        hh=few(request.weights.hh),
        bias_ih=few(request.weights.bias_ih),
        bias_hh=few(request.weights.bias_hh),
    )
    return replace(request, input=few(request.input), weights=weights, first=State(h=few(request.first.h)))


@pytest.mark.parametrize("lengths", LENGTHS)
def test_where_nothing_is_rounded_results_and_gradients_are_those_of_the_reference(
    lengths: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.kernels.cpu import against

    def signs(found: Any, example: Example) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(example.seed + 1)
        return [torch.randint(-1, 2, v.shape, generator=generator).to(v.dtype) for v in found.values()]

    monkeypatch.setattr(against, "cotangents", signs)
    for reverse, segment in ((False, 0), (True, 0), (False, 3)):
        example = Example(linear, 7, 5, 40, 50, lengths=LENGTHS[lengths], reverse=reverse)
        expected = outcome(example, Reference().run, whole_numbers(example, torch.float64))
        with torch.autocast("cpu", torch.bfloat16):
            request = replace(whole_numbers(example, torch.float32), segment=segment)
            found = outcome(example, Compiled().run, request)
        largest = max(float(v.abs().max()) for v in expected.values())
        assert 4 < largest <= 256, "else bfloat16 would not hold it, or nothing was seen"
        for name, v in expected.items():
            assert torch.equal(found[name].double(), v), name


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("name", CELLS)
def test_cells_are_right_up_to_the_rounding(name: str, lengths: str) -> None:
    proj = 18 if name == "projected" else 0
    for reverse, segment in ((False, 0), (True, 0), (False, 3)):
        example = Example(CELLS[name], 7, 5, 40, 50, proj, lengths=LENGTHS[lengths], reverse=reverse)
        found = errors(example, segment)
        assert max(found.values()) < 2.0**-5
        if HERE:
            assert found["output"] > 1e-5, "or nothing was computed in bfloat16"
