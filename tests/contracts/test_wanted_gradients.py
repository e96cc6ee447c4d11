"""What has no gradient is not computed, and what has one is what the reference gives, whatever else has none."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from ostinato import Cell, Recurrent, State, backend, catalogue, cell
from ostinato.kernels.cpu.run.bound import BoundCall
from ostinato.kernels.cpu.run.buffers import pool
from tests.kernels.cpu.random_cells import random_cell_of_inputs

T, B, INPUTS, H = 6, 5, 9, 11
NAMES = ("x", "mask", "dt")
SUBSETS: list[set[str]] = [set(names) for count in range(4) for names in itertools.combinations(NAMES, count)]


@pytest.fixture(autouse=True)
def _poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "poison", True)


def inputs(wanted: set[str], seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = {name: torch.randn(T, B, INPUTS, generator=generator, dtype=torch.float64) for name in NAMES}
    return {name: v.requires_grad_(name in wanted) for name, v in drawn.items()}


def everything(layer: Any, given: dict[str, Tensor], by: str, way: str = "whole") -> list[Tensor | None]:
    """What a layer gives, and the gradients of all parameters and of all that is given."""
    layer.zero_grad()
    lengths = [6, 2, 4, 1, 6]
    more: dict[str, Any] = {name: given[name] for name in NAMES[1:]}
    x: Any = given["x"]
    if way == "packed":
        x, *columns = (pack_padded_sequence(v, torch.tensor(lengths), enforce_sorted=False) for v in given.values())
        more = dict(zip(NAMES[1:], columns, strict=True))
    with backend(by):
        y, states = layer(x, **more, **({"lengths": lengths} if way == "lengths" else {}))
    results = [y.data if isinstance(y, PackedSequence) else y, *(states if isinstance(states, tuple) else (states,))]
    generator = torch.Generator().manual_seed(1)
    leaves = [*given.values(), *layer.parameters()]
    loss = torch.stack([(v * torch.randn(v.shape, generator=generator, dtype=v.dtype)).sum() for v in results]).sum()
    found = torch.autograd.grad(loss, [v for v in leaves if v.requires_grad], allow_unused=True)
    at = iter(found)
    return [*results, *(next(at) if v.requires_grad else None for v in leaves)]


def assert_same(got: Sequence[Tensor | None], expected: Sequence[Tensor | None]) -> None:
    for n, (a, b) in enumerate(zip(got, expected, strict=True)):
        if a is None or b is None:  # zeros that one of the two has left out
            assert not any(v is not None and v.any() for v in (a, b)), n
        else:
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("way", ["whole", "lengths", "packed", "bidirectional", "segments"])
@pytest.mark.parametrize("wanted", SUBSETS, ids=lambda names: "-".join(sorted(names)) or "none")
def test_of_grud(wanted: set[str], way: str) -> None:
    more = {"bidirectional": {"bidirectional": True}, "segments": {"checkpoint_segments": 4}}.get(way, {})
    layer = catalogue.make("grud", INPUTS, H, dtype=torch.float64, **more)
    got, expected = (everything(layer, inputs(wanted), by, way) for by in ("compiled", "reference"))
    assert_same(got, expected)


@pytest.mark.parametrize("wanted", SUBSETS, ids=lambda names: "-".join(sorted(names)) or "none")
def test_of_a_single_step(wanted: set[str]) -> None:
    step = catalogue.GRUDCell(INPUTS, H, dtype=torch.float64)
    given = {name: v[0].detach().requires_grad_(name in wanted) for name, v in inputs(wanted).items()}
    found: list[list[Tensor | None]] = []
    for by in ("compiled", "reference"):
        with backend(by):
            h, last = step(given["x"], mask=given["mask"], dt=given["dt"])
        leaves = [v for v in (*given.values(), *step.parameters()) if v.requires_grad]
        found.append([h, last, *torch.autograd.grad((h * h).sum() + last.sum(), leaves, allow_unused=True)])
    assert_same(*found)


@pytest.mark.parametrize("seed", range(16))
def test_of_cells_with_a_state_that_inputs_alone_reach(seed: int) -> None:
    """Products of such states, and of what is made of them and of inputs, in steps that nobody would write."""
    layer = Recurrent(random_cell_of_inputs(seed), INPUTS, H, dtype=torch.float64, bidirectional=seed % 3 == 0)
    wanted, way = SUBSETS[seed % len(SUBSETS)], ("whole", "lengths", "packed")[seed % 3]
    got, expected = (everything(layer, inputs(wanted, seed), by, way) for by in ("compiled", "reference"))
    assert_same(got, expected)


def user_cell() -> Cell:
    @cell(gates="a b", states="h seen:I", extras="mask:I dt:I", parameters={"blend": "I I"})
    def blended(x: Tensor, s: State, U: Any, W: Any, mask: Tensor, dt: Tensor, blend: Tensor) -> State:
        seen = mask * x + (1 - mask) * torch.tanh(torch.nn.functional.linear(s.seen, blend) + dt)
        w, u = W(seen), U(s.h)
        return State(h=torch.sigmoid(w.a + u.a) * s.h + torch.tanh(w.b + u.b), seen=seen)

    return blended


@pytest.mark.parametrize("wanted", SUBSETS, ids=lambda names: "-".join(sorted(names)) or "none")
def test_of_a_cell_that_multiplies_a_state_of_inputs_for_the_state_and_for_the_gates(wanted: set[str]) -> None:
    layer = Recurrent(user_cell(), INPUTS, H, dtype=torch.float64)
    got, expected = (everything(layer, inputs(wanted), by) for by in ("compiled", "reference"))
    assert_same(got, expected)


def test_what_nobody_wants_is_zero_and_the_rest_as_it_is() -> None:
    """The columns of the input's gradient itself, as the call gives them."""
    layer = catalogue.make("grud", INPUTS, H, dtype=torch.float64)
    calls: list[tuple[frozenset[str], Tensor]] = []
    before = BoundCall.backward

    def noting(call: BoundCall, *arguments: Any) -> Any:
        found = before(call, *arguments)
        assert found[0] is not None
        calls.append((arguments[-1], found[0]))
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BoundCall, "backward", noting)
        for wanted in SUBSETS[1:]:
            everything(layer, inputs(wanted), "compiled")
    _, whole = calls[-1]
    for (idle, dx), wanted in zip(calls, SUBSETS[1:], strict=True):
        assert idle == set(NAMES) - wanted
        for n, name in enumerate(NAMES):
            columns = slice(n * INPUTS, (n + 1) * INPUTS)
            expected = whole[..., columns] if name in wanted else torch.zeros(T, B, INPUTS, dtype=torch.float64)
            torch.testing.assert_close(dx[..., columns], expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_of_transformations_and_graphs(name: str) -> None:
    """Where gradients are wanted that no tensor tells."""
    layer = catalogue.make("grud", INPUTS, H, dtype=torch.float64)
    given = inputs(set())

    def loss(v: Tensor, model: Any = layer) -> Tensor:
        x, *extras = {**given, name: v}.values()
        return model(x, **dict(zip(NAMES[1:], extras, strict=True)))[0].square().sum()

    with backend("reference"):
        expected = torch.func.grad(loss)(given[name])
    torch.testing.assert_close(torch.func.grad(loss)(given[name]), expected, rtol=1e-12, atol=1e-12)
    v = given[name].clone().requires_grad_()
    in_graph = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for model in (layer, in_graph):
        (found,) = torch.autograd.grad(loss(v, model), v)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_of_a_gradient_of_a_gradient() -> None:
    layer = catalogue.make("grud", 3, 4, dtype=torch.float64)
    x, mask = (torch.rand(3, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    dt = torch.rand(3, 2, 3, dtype=torch.float64)
    found: list[tuple[Tensor, ...]] = []
    for by in ("compiled", "reference"):
        with backend(by):
            y = layer(x, mask=mask, dt=dt)[0]
        (dx,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(dx.square().sum(), (x, mask)))
    torch.testing.assert_close(*found, rtol=1e-11, atol=1e-12)
