"""Panels beside numpy's, and when they are made again."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from ostinato import LSTM, backend
from ostinato.kernels.cpu.code.kernel import shape
from ostinato.kernels.cpu.code.product import Shape
from ostinato.kernels.cpu.run import packing
from ostinato.kernels.cpu.run.library import library
from ostinato.kernels.cpu.run.packing import Packing, PackingJob, panels_of

FLOAT32 = shape(False)
FUNCTIONS = library(False)


def pack(weight: torch.Tensor, how: Packing, of: Shape, functions: Mapping[str, int]) -> torch.Tensor:
    job = PackingJob(weight, how, of, functions)
    job.run()
    return job.panels


def by_numpy(weight: torch.Tensor, how: Packing, lanes: int, panel: int) -> np.ndarray:
    """`[panel][k][column]`, zero past the last unit and column."""
    blocks = -(-how.units // lanes)
    rows = np.zeros((blocks, len(how.gates), lanes, weight.shape[1]), weight.numpy().dtype)
    for n, gate in enumerate(how.gates):
        for unit in range(how.units):
            rows[unit // lanes, n, unit % lanes] = weight[gate * how.units + unit].numpy()
    matrix = rows.reshape(-1, weight.shape[1])
    matrix = matrix if how.transposed else matrix.T
    depth, columns = matrix.shape
    panels = -(-columns // panel)
    padded = np.zeros((depth, panels * panel), matrix.dtype)
    padded[:, :columns] = matrix
    return padded.reshape(depth, panels, panel).transpose(1, 0, 2)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("units", [1, 7, 16, 33, 65])
@pytest.mark.parametrize("columns", [1, 5, 8, 31, 64, 130])
def test_panels(dtype: torch.dtype, units: int, columns: int, transposed: bool) -> None:
    double = dtype is torch.float64
    weight = torch.randn(3 * units, columns, dtype=dtype)
    for gates in ((0, 1, 2), (2, 0), (1,)):
        how = Packing(gates, units, transposed)
        got = pack(weight, how, shape(double), library(double))
        np.testing.assert_array_equal(got.numpy(), by_numpy(weight, how, shape(double).lanes, shape(double).panel))


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_panels_made_by_several_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.randn(4 * 70, 150)
    for transposed in (False, True):
        how = Packing((0, 1, 2, 3), 70, transposed)
        alone = pack(weight, how, FLOAT32, FUNCTIONS).clone()
        with monkeypatch.context() as patch:
            patch.setattr(packing, "threads_for", lambda bytes_: threads)
            assert torch.equal(pack(weight, how, FLOAT32, FUNCTIONS), alone)


HOW = Packing((0, 1), 5, False)


def packed(weight: torch.Tensor, how: Packing) -> torch.Tensor:
    return panels_of(weight, how, FLOAT32, FUNCTIONS).packed(weight).panels


def test_an_unchanged_weight_is_not_packed_again_once_its_bits_are_known() -> None:
    weight = torch.randn(10, 3)
    for how in (HOW, Packing((0, 1), 5, True)):
        # A weight that is used once, as in training, is packed and not looked at.
        panels = packed(weight, how)
        right = panels.clone()
        panels.zero_()
        assert torch.equal(packed(weight, how), right)
        panels.zero_()
        assert not packed(weight, how).any()


@pytest.mark.parametrize(
    "way", ["in place", "data", "numpy", "a new tensor in data", "one bit", "rows that change places"]
)
@pytest.mark.parametrize("uses", [1, 2, 3])
def test_a_weight_that_was_changed_is_packed_again(way: str, uses: int) -> None:
    weight = torch.nn.Parameter(torch.randn(10, 7))
    for _ in range(uses):
        packed(weight, HOW)
    match way:
        case "in place":
            with torch.no_grad():
                weight.mul_(2)
        case "data":
            weight.data[3, 2] += 1
        case "numpy":
            weight.detach().numpy()[9, 6] = 5
        case "a new tensor in data":
            weight.data = weight.data + 1
        case "one bit":
            weight.data.view(torch.int32)[0, 0] ^= 1
        case _:
            weight.data[[1, 4]] = weight.data[[4, 1]]
    after = packed(weight, HOW)
    np.testing.assert_array_equal(after.numpy(), by_numpy(weight.detach(), HOW, FLOAT32.lanes, FLOAT32.panel))


def test_panels_are_forgotten_with_their_weight() -> None:
    weight = torch.randn(10, 3)
    panels = weakref.ref(panels_of(weight, HOW, FLOAT32, FUNCTIONS))
    packed(weight, HOW)
    count = len(packing._panels)
    del weight
    gc.collect()
    assert len(packing._panels) < count
    assert panels() is None


def test_weights_made_in_inference_mode_follow_their_changes() -> None:
    with torch.inference_mode():  # such tensors have no version
        layer, x = LSTM(5, 7), torch.randn(6, 3, 5)
        for _ in range(3):
            with backend("compiled"):
                found = layer(x)[0]
            with backend("reference"):
                expected = layer(x)[0]
            torch.testing.assert_close(found, expected)
            layer.weight_hh_l0.mul_(0.5)


def test_training_steps_use_the_new_weights() -> None:
    """Two layers of one start, one compiled, through several steps of an optimiser and a change through `.data`."""
    found = []
    for by in ("compiled", "reference"):
        torch.manual_seed(0)
        layer = LSTM(3, 9, dtype=torch.float64)
        x = torch.randn(4, 2, 3, dtype=torch.float64)
        optimiser = torch.optim.Adam(layer.parameters(), 0.05)
        losses = []
        with backend(by):
            for step in range(4):
                loss = layer(x)[0].square().sum()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                if step == 2:
                    layer.get_parameter("weight_hh_l0").data[0] = 0.5
                losses.append(loss.item())
        found.append(losses)
    assert found[0] == pytest.approx(found[1], rel=1e-11)
    assert len(set(found[0])) == 4


def test_layers_that_share_a_weight() -> None:
    found = []
    for by in ("compiled", "reference"):
        torch.manual_seed(0)
        one, two = LSTM(9, 9, dtype=torch.float64), LSTM(9, 9, dtype=torch.float64)
        two.weight_hh_l0 = one.weight_hh_l0
        two.weight_ih_l0 = one.weight_hh_l0
        with backend(by):
            two(one(torch.randn(4, 2, 9, dtype=torch.float64))[0])[0].square().sum().backward()
        found.append([p.grad for p in (*one.parameters(), *two.parameters())])
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)
