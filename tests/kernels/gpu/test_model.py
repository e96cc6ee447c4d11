"""Which way a layer runs, on GPUs that need not be here."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ostinato import cells
from ostinato.cells import Cell, options
from ostinato.kernels.compiler.plan import plan
from ostinato.kernels.compiler.trace import trace
from ostinato.kernels.gpu.code.blocks import Blocks
from ostinato.kernels.gpu.run.model import DEVICES, MOST_TILES, Model, way_on
from ostinato.kernels.gpu.run.sizes import LayerSizes
from ostinato.kernels.gpu.run.ways import Way

BF16 = torch.bfloat16


def sizes(cell: Cell = cells.lstm, hidden: int = 512, inputs: int = 64) -> LayerSizes:
    projected = "P" in cell.states.values()
    return LayerSizes(cell, plan(trace(cell, True, projected)), True, inputs, hidden, hidden // 2 if projected else 0)


def model(hidden: int, rows: int, device: str = "sm_90", dtype: torch.dtype = BF16) -> Model:
    return Model(sizes(hidden=hidden), rows, dtype, DEVICES[device])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [BF16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("hidden", "rows"), [(1, 16), (64, 16), (128, 128), (512, 64), (768, 16), (1024, 32), (2048, 256)]
)
def test_what_is_chosen_fits(hidden: int, rows: int, dtype: torch.dtype, device: str) -> None:
    of = model(hidden, rows, device, dtype)
    way = way_on(sizes(hidden=hidden), rows, dtype, DEVICES[device])
    assert isinstance(way, Way)
    for part in ("training", "backward"):
        cost = of.cost(part, way.blocks(part), way.kind == "persistent")
        assert cost.shared <= DEVICES[device].shared
        if way.kind == "persistent":
            assert cost.programs <= DEVICES[device].processors


def test_one_launch_where_all_programs_are_on_the_device_and_steps_where_they_are_not() -> None:
    kinds = {}
    for rows in (16, 64, 256, 4096):
        way = way_on(sizes(), rows, BF16, DEVICES["sm_90"])
        assert isinstance(way, Way)
        kinds[rows] = way.kind
    assert kinds[16] == kinds[64] == "persistent"
    assert kinds[4096] == "steps"


def test_weights_that_do_not_fit_are_read_in_every_step() -> None:
    small = replace(DEVICES["sm_90"], shared=48 << 10)
    ways = Model(sizes(hidden=1024), 16, BF16, small).ways()
    assert not any(ways[kind][1].blocks(part).resident for kind in ways for part in ("training", "backward"))
    assert Model(sizes(hidden=1024), 16, BF16, DEVICES["sm_90"]).ways()["persistent"][1].forward.resident


def test_the_bytes_of_shared_memory_are_those_of_the_weights_and_of_what_enters() -> None:
    cost = model(512, 16).cost("training", Blocks(16, 16, 64, 4, resident=True), True)
    assert cost.shared == 4 * 16 * 512 * 2 + 16 * 256 * 2
    assert cost.programs == 32


def test_few_tiles_are_unrolled() -> None:
    of = model(1024, 16)
    assert not of.fits("training", Blocks(16, 16, 16, 2, resident=True), True)
    assert MOST_TILES < 1024 // 32


def test_a_step_costs_more_with_more_meetings() -> None:
    plain, normed = (
        Model(sizes(cell), 16, BF16, DEVICES["sm_90"]).cost("training", Blocks(), True).seconds
        for cell in (cells.lstm, options.layer_norm(cells.lstm))
    )
    assert normed > plain + 3e-6


def test_launches_cost_more_than_meetings() -> None:
    ways = model(512, 16).ways()
    assert ways["steps"][0] > ways["persistent"][0]


def test_a_way_that_failed_or_does_not_fit_is_not_taken() -> None:
    way = way_on(sizes(), 16, BF16, DEVICES["sm_90"], failed=["persistent"])
    assert isinstance(way, Way)
    assert way.kind == "steps"
    assert isinstance(way_on(sizes(), 16, BF16, DEVICES["sm_90"], failed=["persistent", "steps"]), str)
    said = way_on(sizes(), 1 << 14, BF16, DEVICES["sm_86"], "persistent")
    assert isinstance(said, str)
    assert said.startswith("the way 'persistent' does not fit A10 for 512 units and 16384 rows: 99 KB of shared memory")


def test_a_cell_with_many_gates_has_tiles_too() -> None:
    for cell in (cells.rhn(20), cells.min_lstm, options.projection(cells.lstm)):
        assert isinstance(way_on(sizes(cell, 256), 32, BF16, DEVICES["sm_80"]), Way)
