"""The code of a streaming step: which passes it has, and that nothing but what it should read or write is read or written."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from ostinato.cells.gru import gru, gru_reset_before
from ostinato.cells.lstm import lstm
from ostinato.cells.minimal import min_gru
from ostinato.cells.options import layer_norm, projection
from ostinato.cells.spec import Cell
from ostinato.kernels.compiler.plan import plan
from ostinato.kernels.compiler.trace import trace
from ostinato.kernels.cpu.stream.kernel import StreamKernel, stream_kernel
from ostinato.kernels.cpu.stream.packed import LayerTensors, PackedStack
from ostinato.kernels.cpu.stream.passes import passes
from ostinato.kernels.cpu.stream.runner import Runner

INPUTS, HIDDEN, PROJECTED = 5, 37, 19


def stack(cell: Cell, layers: int = 2, held: torch.dtype | None = None) -> tuple[PackedStack, list[LayerTensors]]:
    kernel = stream_kernel(cell, True, double=False, held=held)
    assert isinstance(kernel, StreamKernel)
    tensors = []
    projected = PROJECTED if "P" in cell.states.values() else 0
    for layer in range(layers):
        size = INPUTS if layer == 0 else projected or HIDDEN
        made = {n: torch.randn(s) / math.sqrt(s[-1]) for n, s in cell.parameter_sizes(size, HIDDEN, projected).items()}
        weight_ih = made.pop("weight_ih")
        matrices = {name: v for name, v in made.items() if v.dim() == 2}
        vectors = {name: v for name, v in made.items() if v.dim() == 1}
        tensors.append(LayerTensors(weight_ih, matrices, vectors, {"H": HIDDEN, "P": projected or HIDDEN}))
    return PackedStack(kernel, tensors, residual=False), tensors


def run(runner: Runner, inputs: torch.Tensor) -> torch.Tensor:
    outputs = torch.full((len(inputs), runner.packed.widths[-1][_output_space(runner)]), torch.nan)
    for x, y in zip(inputs, outputs, strict=True):
        runner.step(x, y)
    return outputs


def _output_space(runner: Runner) -> str:
    cell = runner.packed.kernel.cell
    return cell.states[cell.output]


@pytest.mark.parametrize(
    ("cell", "expected", "kept"),
    [
        # (what is multiplied, whether it comes before sums), pass by pass
        (lstm, [({"x": 4, "0": 4}, False)], 0),
        (gru, [({"x": 3, "0": 3}, False)], 0),
        (min_gru, [({"x": 2}, False)], 0),
        (gru_reset_before, [({"x": 2, "0": 2}, False), ({"x": 1, "1": 1}, False)], 0),
        (projection(lstm), [({"x": 4, "0": 4}, False), ({"1": 1}, False)], 0),
    ],
    ids=lambda v: v.name if isinstance(v, Cell) else "",
)
def test_products_are_made_where_they_are_used(cell: Cell, expected: list[Any], kept: int) -> None:
    projected = "P" in cell.states.values()
    found = passes(plan(trace(cell, True, projected)), cell.states)
    assert [({s.source: len(s.pieces) for s in p.segments}, p.sums) for p in found.all] == expected
    assert sum(map(len, found.kept.values())) == kept


def test_what_is_summed_over_units_goes_through_memory() -> None:
    found = passes(plan(trace(layer_norm(lstm), True, False)), lstm.states)
    made = [(s.source, len(s.pieces)) for p in found.all if p.sums for s in p.segments]
    assert sorted(made) == [("0", 4), ("x", 4)]
    assert len(found.kept["H"]) == 8


@pytest.mark.parametrize("cell", [lstm, gru_reset_before, projection(lstm), layer_norm(lstm)], ids=lambda c: c.name)
def test_the_number_of_threads_changes_no_bit(cell: Cell) -> None:
    torch.manual_seed(0)
    packed, _ = stack(cell)
    inputs = torch.randn(3, INPUTS)
    alone, two, many = (run(Runner(packed, threads), inputs) for threads in (1, 2, 5))
    assert torch.equal(alone, two)
    assert torch.equal(alone, many)


@pytest.mark.parametrize("held", [None, torch.bfloat16, torch.int8])
@pytest.mark.parametrize("cell", [lstm, gru_reset_before, projection(lstm), layer_norm(lstm)], ids=lambda c: c.name)
def test_nothing_is_read_that_was_not_written_and_nothing_beside_is_touched(
    cell: Cell, held: torch.dtype | None
) -> None:
    torch.manual_seed(0)
    packed, _ = stack(cell, held=held)
    inputs = torch.randn(4, INPUTS)
    want = run(Runner(packed), inputs)
    poisoned = Runner(packed)
    for own, states in zip(poisoned._own, poisoned.states, strict=True):
        for buffer in own.values():
            buffer.view(torch.uint8).fill_(0xFF)  # of floats, NaN
        for name, pair in states.items():
            width = packed.widths[0][cell.states[name]]
            pair[1].fill_(torch.nan)
            pair[0, width:].fill_(torch.nan)
    around = torch.full((INPUTS + 4,), torch.nan)
    shown = torch.full((want.shape[1] + 32,), -7.0)
    for x, y in zip(inputs, want, strict=True):
        around[2:-2] = x
        poisoned.step(around[2:-2], shown[16:-16])
        assert torch.equal(shown[16:-16], y)
    assert (shown[:16] == -7.0).all()
    assert (shown[-16:] == -7.0).all()


def test_a_second_process_finds_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("OSTINATO_CACHE_DIR", str(tmp_path / "cache"))
    first = StreamKernel(gru_reset_before, True, double=False, held=None)
    monkeypatch.setattr(StreamKernel, "_module", None)  # it need not be made again
    second = StreamKernel(gru_reset_before, True, double=False, held=None)
    assert second.described == first.described
    torch.manual_seed(0)
    packed, tensors = stack(gru_reset_before)
    inputs = torch.randn(3, INPUTS)
    assert torch.equal(run(Runner(PackedStack(second, tensors, False)), inputs), run(Runner(packed), inputs))
