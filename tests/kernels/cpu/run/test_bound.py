"""Passes that are run twice, cut into segments, and given tensors that lie anyhow in memory."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch

from ostinato import GRU, LSTM, backend, cells
from ostinato.cells import options
from ostinato.kernels.compiled import Compiled
from ostinato.kernels.cpu.run import bound, launch
from ostinato.kernels.cpu.run.buffers import Pool, pool
from ostinato.kernels.reference import Reference
from ostinato.kernels.request import Request
from tests.kernels.cpu.against import Example, leaves, outcome
from tests.kernels.cpu.random_cells import random_cell

CELLS = {
    "rnn_tanh": cells.rnn_tanh,
    "lstm": options.peephole(cells.lstm),
    "gru": options.zoneout(cells.gru, {"h": 0.4}),
    "gru_reset_before": cells.gru_reset_before,
    "rhn_2": options.variational_dropout(cells.rhn(2), 0.3),
    "min_lstm": cells.min_lstm,
    "norm": options.layer_norm(cells.lstm),
    "projected": options.projection(cells.lstm),
    "random": random_cell(24),
}
STEPS = 7
LENGTHS = {"whole": None, "lengths": [7, 0, 3, 6, 1], "short": [2, 1, 2, 0, 1]}


@pytest.fixture(autouse=True)
def _poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "poison", True)


def example_of(name: str, lengths: list[int] | None = None, **more: Any) -> Example:
    proj = 4 if name == "projected" else 0
    return Example(CELLS[name], STEPS, 5, 3, 9, proj, lengths=lengths, **more)


def assert_equal(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


# Segments


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("name", CELLS)
def test_segments_of_any_length_change_nothing(name: str, lengths: str) -> None:
    for reverse in (False, True):
        example = example_of(name, LENGTHS[lengths], reverse=reverse, every_state=name != "lstm")
        expected = outcome(example, Reference().run, example.request())
        for segment in (1, 2, 3, STEPS - 1, STEPS, STEPS + 5):
            request = replace(example.request(poison=True), segment=segment)
            assert_equal(outcome(example, Compiled().run, request), expected)


def test_segments_with_some_gradients_only() -> None:
    example = example_of("lstm", LENGTHS["lengths"])
    for name in leaves(example.request()):
        for frozen in (frozenset({name}), frozenset(leaves(example.request())) - {name}):
            some = replace(example, frozen=frozen)
            expected = outcome(some, Reference().run, some.request())
            assert_equal(outcome(some, Compiled().run, replace(some.request(poison=True), segment=3)), expected)


class Counted(Pool):
    """Knows how much is handed out at the same time, at most."""

    def __init__(self) -> None:
        super().__init__()
        self.held = self.most = 0

    def take(self, *shape: int, dtype: torch.dtype) -> torch.Tensor:
        made = torch.empty(shape, dtype=dtype)
        size = made.numel() * made.itemsize
        self.held += size
        self.most = max(self.most, self.held)
        # The array lives as long as any tensor on its memory.
        array = made.numpy()
        weakref.finalize(array, self._gone, size)
        return torch.from_numpy(array)

    def _gone(self, size: int) -> None:
        self.held -= size


def most_bytes(steps: int, segment: int, monkeypatch: pytest.MonkeyPatch) -> int:
    counted = Counted()
    for module in (bound, launch):
        monkeypatch.setattr(module, "pool", counted)
    request = replace(Example(cells.lstm, steps, 2, 1, 64).request(torch.float32), segment=segment)
    output = Compiled().run(request).output
    output.sum().backward()
    return counted.most - output.nbytes  # which is there in any case


def test_memory_grows_with_the_root_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    # Many enough that what the gradients of the weights need, which does not grow, is the smaller part.
    few, many = (most_bytes(steps, 0, monkeypatch) for steps in (512, 8192))
    assert many > 8 * few
    cut_few, cut_many = (most_bytes(steps, int(steps**0.5), monkeypatch) for steps in (512, 8192))
    assert cut_many < many / 10
    assert cut_many < 4 * cut_few


# Run twice


@pytest.mark.cross
@pytest.mark.parametrize("segment", [0, 2])
@pytest.mark.parametrize("lengths", ["whole", "lengths"])
@pytest.mark.parametrize("name", CELLS)
def test_a_second_backward_pass_gives_the_same_gradients(name: str, lengths: str, segment: int) -> None:
    """The first one has written over what the forward pass kept."""
    request = replace(example_of(name, LENGTHS[lengths]).request(), segment=segment)
    result = Compiled().run(request)
    loss = torch.stack([v.square().sum() for v in (result.output, *result.last)]).sum()
    wanted = list(leaves(request).values())
    one = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True)
    two = torch.autograd.grad(2 * loss, wanted, retain_graph=True, allow_unused=True)
    three = torch.autograd.grad(loss, wanted, allow_unused=True)
    for a, b, c in zip(one, two, three, strict=True):
        assert (a is None) == (b is None) == (c is None)
        if a is not None and b is not None and c is not None:
            assert torch.equal(a, c)
            torch.testing.assert_close(2 * a, b, rtol=1e-13, atol=1e-13)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, wanted, allow_unused=True)


def test_passes_of_one_layer_do_not_share_what_they_keep() -> None:
    found = []
    for by in ("compiled", "reference"):
        torch.manual_seed(0)
        layer = GRU(3, 9, dtype=torch.float64)
        x, y = torch.randn(2, 4, 3, 3, dtype=torch.float64)
        with backend(by):
            one, two = layer(x)[0], layer(y)[0]
            one.sum().backward()
            two.square().sum().backward()
        found.append({name: p.grad for name, p in layer.named_parameters()})
    assert_equal(*found)


@pytest.mark.parametrize("what", ["weight_hh_l0", "bias_ih_l0", "input"])
def test_what_the_backward_pass_reads_may_not_change_before(what: str) -> None:
    layer, x = LSTM(3, 4, backend="compiled"), torch.randn(5, 2, 3)
    output, _ = layer(x)
    with torch.no_grad():
        (x if what == "input" else layer.get_parameter(what)).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


@pytest.mark.parametrize("lengths", [None, [4, 0]])
def test_an_output_that_is_changed_in_place_takes_no_gradient_along(lengths: list[int] | None) -> None:
    found = []
    for by in ("compiled", "reference"):
        torch.manual_seed(0)
        layer = LSTM(3, 4, dtype=torch.float64)
        with backend(by):
            output, _ = layer(torch.randn(4, 2, 3, dtype=torch.float64), lengths=lengths)
        output.mul_(2).tanh_().sum().backward()
        found.append({name: p.grad for name, p in layer.named_parameters()})
    assert_equal(*found)


# Tensors that lie anyhow


def spread_out(v: torch.Tensor) -> torch.Tensor:
    """The same numbers, every second place in memory, the last dimension first."""
    wide = torch.full((*v.shape[::-1], 2), float("nan"), dtype=v.dtype)
    wide[..., 0] = v.detach().permute(*reversed(range(v.dim())))
    return wide[..., 0].permute(*reversed(range(v.dim()))).requires_grad_(v.requires_grad)


@pytest.mark.parametrize("segment", [0, 3])
@pytest.mark.parametrize("lengths", ["whole", "lengths"])
@pytest.mark.parametrize("name", ["norm", "projected", "gru"])
def test_tensors_that_are_not_contiguous(name: str, lengths: str, segment: int) -> None:
    example = example_of(name, LENGTHS[lengths])
    request = example.request()
    weights = request.weights

    def moved(v: Any) -> Any:
        return None if v is None else spread_out(v)

    strange: Request = replace(
        request,
        segment=segment,
        input=spread_out(request.input),
        first=type(request.first)(**{n: spread_out(getattr(request.first, n)) for n in request.cell.states}),
        masks={n: spread_out(v) for n, v in request.masks.items()},
        weights=replace(
            weights,
            ih=spread_out(weights.ih),
            hh=moved(weights.hh),
            bias_ih=moved(weights.bias_ih),
            bias_hh=moved(weights.bias_hh),
            own={n: spread_out(v) for n, v in weights.own.items()},
        ),
    )
    assert not any(v.is_contiguous() for v in leaves(strange).values())
    assert_equal(outcome(example, Compiled().run, strange), outcome(example, Reference().run, request))


def test_batch_first_and_gradients_that_are_not_contiguous() -> None:
    found = []
    for by in ("compiled", "reference"):
        torch.manual_seed(0)
        layer = LSTM(3, 4, batch_first=True, bidirectional=True, dtype=torch.float64)
        x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
        with backend(by):
            output, _ = layer(x, lengths=[5, 2])
        output.transpose(0, 2).expand(2, 8, 5, 2).cumsum(1).sum().backward()
        found.append({"x": x.grad, **{name: p.grad for name, p in layer.named_parameters()}})
    assert_equal(*found)
