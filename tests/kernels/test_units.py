"""Steps that take some units of a row, or give units the values of others: compiled, as the reference has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, sigmoid, tanh
from torch.nn import functional as F

import ostinato
from ostinato import Recurrent, State, backend, cell, explain
from ostinato.cells.spec import Cell

D = torch.float64

MOVES: dict[str, Callable[[Tensor], Tensor]] = {
    "roll": lambda v: torch.roll(v, 1, -1),
    "roll back": lambda v: torch.roll(v, -3, 1) * v,
    "roll, roll": lambda v: torch.roll(tanh(torch.roll(v, 2, 1)), -5, 1),
    "flip": lambda v: 0.5 * torch.flip(v, [-1]) + 0.1 * v,
    "neighbours": lambda v: 0.3 * torch.roll(v, 1, 1) + 0.4 * v + 0.3 * torch.roll(v, -1, 1),
    "shuffle": lambda v: torch.cat([v[:, 1:], v[:, :1]], -1),
    "the first unit": lambda v: tanh(v) * v[:, :1],
    "the third unit": lambda v: tanh(v) * v[:, 2].unsqueeze(-1),
    "the last unit": lambda v: 0.5 * v + 0.1 * v[:, -1:],
    "the last two": lambda v: torch.cat([v[:, :-2], tanh(v[:, -2:])], -1),
    "a shift": lambda v: F.pad(v[:, :-1], (1, 0)),
    "differences": lambda v: F.pad(v[:, 1:] - v[:, :-1], (0, 1)),
    "a sum of some": lambda v: tanh(v) * v[:, 2:].sum(-1, keepdim=True).tanh(),
    "a mean of some": lambda v: tanh(v) * v[:, :-2].mean(-1, keepdim=True),
    "a variance of some": lambda v: tanh(v) * v[:, 1:].var(-1, keepdim=True, unbiased=False),
    "the largest of some": lambda v: v + 0.1 * v[:, 1:].amax(-1, keepdim=True),
    "a softmax of some": lambda v: v + F.pad(torch.softmax(v[:, :-1], -1), (0, 1)),
    "each half backwards": lambda v: torch.cat([v[:, :2].flip(-1), v[:, 2:].flip(-1)], -1),
    "conditions": lambda v: torch.where((v > 0).roll(1, -1), v, 0.5 * v),
}


def moving(function: Callable[[Tensor], Tensor]) -> Cell:
    """Of what comes in, of a state and of what is computed."""

    @cell(gates="a z", states="h c")
    def made(x: Any, s: State, U: Any) -> State:
        u = U(s.h)
        v = function(x.a + u.a + 0.3 * function(s.c))
        z = sigmoid(x.z + u.z)
        return State(h=tanh(v) * z, c=z * s.c + (1 - z) * function(tanh(v)))

    return made


def results(layer: Recurrent, x: Tensor, by: str) -> list[Tensor]:
    with backend(by):
        output, last, states = layer(x, lengths=[7, 0, 4], return_states=True)
    found = [output, *last, *states.h, *states.c]
    torch.stack([(v * v.detach().cos()).sum() for v in found]).sum().backward()
    gradients = [p.grad for p in (x, *layer.parameters())]
    for p in (x, *layer.parameters()):
        p.grad = None
    return [*(v.detach() for v in found), *(v for v in gradients if v is not None)]


@pytest.mark.parametrize("hidden", [5, 16, 37])
@pytest.mark.parametrize("name", MOVES)
def test_it_is_compiled_with_lengths_and_gradients_and_streamed(name: str, hidden: int) -> None:
    of = moving(MOVES[name])
    torch.manual_seed(0)
    layer = Recurrent(of, 4, hidden, 2, bidirectional=True, dtype=D)
    x = torch.randn(7, 3, 4, dtype=D, requires_grad=True)
    assert explain(layer, x).backends == {"compiled"}
    got, expected = (results(layer, x, by) for by in ("compiled", "reference"))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11)

    one = Recurrent(of, 4, hidden, 2, dtype=D).eval()
    stream = ostinato.Stream(one)
    assert type(stream) is ostinato.Stream
    with torch.no_grad(), backend("reference"):
        whole = one(x[:, :1])[0]
    torch.testing.assert_close(torch.stack([stream(v[0]) for v in x.detach()]), whole[:, 0], rtol=1e-10, atol=1e-11)


# Numbers of units that some layers have not.
NUMBERED: dict[str, Callable[[Tensor], Tensor]] = {
    "the first 5": lambda v: v[:, :5].mean(-1, keepdim=True),
    "the last 2": lambda v: v[:, -2:].mean(-1, keepdim=True),
    "some between": lambda v: v[:, 3:7].mean(-1, keepdim=True),
    "the third": lambda v: v[:, 2].unsqueeze(-1) * 0.1,
    "some of some": lambda v: v[:, -5:][:, :1] + v[:, :5].flip(-1)[:, :1],
    "products of some": lambda v: (v[:, :2] * v[:, 1:3]).sum(-1, keepdim=True),
    "another order": lambda v: torch.cat([v[:, 5:], v[:, :5]], -1),
    "around several gates": lambda v: torch.cat([v, 0 * v + 2], -1).roll(20, -1).split(v.shape[-1], -1)[0],
    "the first 44": lambda v: v[:, :44].mean(-1, keepdim=True),
    "the first 128": lambda v: v[:, :128].mean(-1, keepdim=True),
    "the last 128": lambda v: v[..., -128:].mean(-1, keepdim=True),
    "all but 128": lambda v: v[:, 128:].sum(-1, keepdim=True),
    "three and three": lambda v: v.split(3, -1)[0].mean(-1, keepdim=True) + v.split(3, -1)[-1].mean(-1, keepdim=True),
}


@pytest.mark.parametrize("hidden", [1, 4, 16, 150])
@pytest.mark.parametrize("name", NUMBERED)
def test_a_slice_that_ends_past_the_units_of_a_layer_is_what_it_is_in_plain_python(name: str, hidden: int) -> None:
    @cell(gates="h", states="h")
    def numbered(x: Any, s: State, U: Any) -> State:
        return State(h=tanh(x.h + U(s.h).h + NUMBERED[name](s.h)))

    torch.manual_seed(0)
    layer = Recurrent(numbered, 4, hidden, dtype=D)
    x, h = torch.randn(3, 2, 4, dtype=D), torch.rand(1, 2, hidden, dtype=D)

    def run(by: str) -> list[Tensor] | str:
        leaf = x.clone().requires_grad_()
        try:
            with backend(by):
                output = layer(leaf, h)[0]
                output.sum().backward()
        except (IndexError, RuntimeError) as error:  # as PyTorch has it
            return type(error).__name__
        assert leaf.grad is not None
        return [output.detach(), leaf.grad]

    got, whole = run("auto"), run("reference")
    if isinstance(whole, str):
        assert got == whole
    else:
        torch.testing.assert_close(got, whole, rtol=1e-10, atol=1e-12, equal_nan=True)
        stream = ostinato.Stream(layer.eval())
        stream.state = h[:, 0]
        torch.testing.assert_close(stream(x[0, 0]), whole[0][0, 0], rtol=1e-10, atol=1e-12, equal_nan=True)


def test_why_it_is_not_compiled_is_told_with_the_number_of_units_that_it_wants() -> None:
    @cell(gates="h", states="h")
    def fifth(x: Any, s: State, U: Any) -> State:
        return State(h=tanh(x.h + U(s.h).h * s.h[:, :5].sum(-1, keepdim=True)))

    x = torch.randn(3, 2, 4)
    assert explain(Recurrent(fifth, 4, 5), x).backends == {"compiled"}
    said = str(explain(Recurrent(fifth, 4, 4), x))
    assert "the step takes units by numbers that H = 4 has not: its code is for H from 5 on" in said


@pytest.mark.parametrize("inputs", [3, 6, 8, 20, 107])
def test_all_but_a_few_of_one_width_are_not_those_of_another(inputs: int) -> None:
    @cell(gates="h", states="h m:M n:N_", widths={"M": 9, "N_": 12})
    def mixed(x: Any, s: State, U: Any, W: Any) -> State:
        seen = x[:, 6:].sum(-1, keepdim=True) + s.m[:, 6:].sum(-1, keepdim=True) + s.n[:, 3:].sum(-1, keepdim=True)
        return State(h=tanh(W(x).h + U(s.h).h + 0.1 * seen), m=s.m + 0.1, n=s.n - 0.1)

    layer = Recurrent(mixed, inputs, 8, dtype=D)
    x = torch.randn(5, 2, inputs, dtype=D)
    with torch.no_grad(), backend("reference"):
        expected = layer(x)[0]
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[0], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda v: v * v[:, ::2].sum(-1, keepdim=True), "takes every so many units"),
        (lambda v: v * v[:, :200].sum(-1, keepdim=True), "by numbers that are larger than the compiler follows"),
        (lambda v: torch.roll(v, 1), "rolls other than its units"),
        (lambda v: torch.roll(v, 1, 0), "takes some of the rows of a batch"),
        (lambda v: v.flip(0), "takes some of the rows of a batch"),
        (lambda v: v.roll(v.shape[-1] // 2, -1), "depends on the sizes"),
    ],
)
def test_what_else_units_do_is_told(function: Callable[[Tensor], Tensor], reason: str) -> None:
    layer = Recurrent(moving(function), 4, 5)
    assert reason in str(explain(layer, torch.randn(2, 3, 4)))


def test_units_of_heads_are_not_moved() -> None:
    @cell(gates="a", states="h")
    def turned(x: Any, s: State, U: Any, num_heads: int = 1) -> State:
        by_head = (x.a + U(s.h).a).unflatten(-1, (num_heads, -1))
        return State(h=tanh(by_head.roll(1, -1).flatten(-2)))

    said = str(explain(Recurrent(turned, 4, 6, num_heads=2), torch.randn(2, 3, 4)))
    assert "takes or moves some of the units of a head (aten.roll)" in said


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_with_units_of_their_own_wait_for_each_other(threads: int) -> None:
    layer = Recurrent(moving(MOVES["neighbours"]), 64, 300).eval()
    x = torch.randn(40, 2, 64)
    before = torch.get_num_threads()
    try:
        with torch.no_grad():
            torch.set_num_threads(1)
            alone = layer(x)[0]
            torch.set_num_threads(threads)
            assert all(torch.equal(layer(x)[0], alone) for _ in range(20))
    finally:
        torch.set_num_threads(before)


OF_A_ROW: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda v: v.square().mean(-1, keepdim=True),
    "amax": lambda v: v.amax(),
    "signs": lambda v: 0.1 * torch.sign(v).sum(),  # without a gradient
    "logsumexp": lambda v: torch.logsumexp(v, -1),
}


@pytest.mark.parametrize("name", OF_A_ROW)
def test_a_parameter_of_a_width_that_nothing_else_has_is_added_up(name: str) -> None:
    @cell(gates="a", states="h", parameters={"level": "M"}, widths={"M": 19}, starts={"level": "uniform(-1, 1)"})
    def step(x: Any, s: State, U: Any, level: Tensor) -> State:
        return State(h=tanh(x.a + U(s.h).a) * OF_A_ROW[name](level))

    layer = Recurrent(step, 3, 5, dtype=D)
    x = torch.randn(4, 2, 3, dtype=D, requires_grad=True)
    assert explain(layer, x).backends == {"compiled"}
    found: list[tuple[Tensor, ...]] = []
    for by in ("compiled", "reference"):
        with backend(by):
            y, _ = layer(x)
        leaves = [x, *layer.parameters()]
        found.append((y, *torch.autograd.grad(y.square().sum(), leaves, allow_unused=True, materialize_grads=True)))
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)
