"""What a step does to each head by itself, compiled and streamed, beside the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, tanh
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

from ostinato import Recurrent, Stream, backend, explain
from ostinato.cells import Cell, Gates, State, cell

UNITS, INPUTS, STEPS, ROWS = 5, 4, 6, 3

# Of v and w, (B, N, d).
OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "softmax": lambda v, w: F.softmax(v, -1),
    "log_softmax": lambda v, w: F.log_softmax(v, -1),
    "logsumexp": lambda v, w: v - torch.logsumexp(v, -1, keepdim=True),
    "norm": lambda v, w: v / v.norm(dim=-1, keepdim=True),
    "normalize": lambda v, w: F.normalize(v, dim=-1),
    "layer_norm": lambda v, w: F.layer_norm(v, v.shape[-1:]),
    "rms_norm": lambda v, w: F.rms_norm(v, v.shape[-1:]),
    "mean": lambda v, w: v - v.mean(-1, keepdim=True),
    "amax": lambda v, w: v - v.amax(-1, keepdim=True),
    "amin": lambda v, w: v * v.amin(-1, keepdim=True),
    "var": lambda v, w: v / (1 + v.var(-1, unbiased=False, keepdim=True)),
    "std": lambda v, w: v / (1 + v.std(-1, unbiased=False, keepdim=True)),
    "a gate of the head": lambda v, w: v * w.mean(-1, keepdim=True).sigmoid(),
    "a number of the head": lambda v, w: v * torch.exp(-w.sum(-1).square())[..., None],
    "all heads": lambda v, w: v * w.sum((-1, -2), keepdim=True).tanh(),
    "softmax over the heads": lambda v, w: v * F.softmax(w.mean(-1), -1)[..., None],
    "where": lambda v, w: torch.where(w.mean(-1, keepdim=True) > 0, v, -v),
}


def of_heads(*names: str) -> Cell:
    def operation(v: Tensor, w: Tensor) -> Tensor:
        return sum((OPERATIONS[name](v, w) for name in names[1:]), OPERATIONS[names[0]](v, w)) / len(names)

    def step(x: Gates, s: State, U: Any, num_heads: int) -> State:
        u = U(s.h)
        v, w = (each.unflatten(-1, (num_heads, -1)) for each in (x.a + u.a, x.b))
        return State(h=tanh(x.b + u.b) * 0.5 + 0.3 * operation(v, w).flatten(-2))

    return cell(gates="a b", states="h")(step)


@pytest.mark.cross(of=1)  # every operation meets every number of heads in the test below
@pytest.mark.parametrize("heads", [1, 2, 3, 13])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_on_heads_is_compiled(name: str, heads: int) -> None:
    is_compiled(of_heads(name), heads)


@pytest.mark.parametrize("heads", [1, 2, 3, 13])
@pytest.mark.parametrize("first", range(3))
def test_operations_on_heads_are_compiled_together(first: int, heads: int) -> None:
    is_compiled(of_heads(*[*OPERATIONS][first::3]), heads)


def is_compiled(each: Cell, heads: int) -> None:
    torch.manual_seed(0)
    compiled = Recurrent(each, INPUTS, heads * UNITS, num_heads=heads, dtype=torch.float64)
    reference = Recurrent(each, INPUTS, heads * UNITS, num_heads=heads, dtype=torch.float64, backend="reference")
    reference.load_state_dict(compiled.state_dict())
    x = torch.randn(STEPS, ROWS, INPUTS, dtype=torch.float64)
    assert explain(compiled, x).backends == {"compiled"}
    weight = torch.randn(STEPS, ROWS, heads * UNITS, dtype=torch.float64)
    found: list[list[Tensor]] = []
    for layer in (compiled, reference):
        leaf = x.clone().requires_grad_()
        y, _ = layer(leaf, lengths=[STEPS, 2, 0])
        (y * weight).sum().backward()
        found.append([y, *(v.grad for v in (leaf, *layer.parameters()) if v.grad is not None)])
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
    stream = Stream(compiled.eval())
    with torch.no_grad():
        whole, _ = compiled(x[:, :1])
    torch.testing.assert_close(torch.stack([stream(v) for v in x[:, 0]]), whole[:, 0])


@pytest.mark.parametrize("way", ["whole", "lengths", "packed"])
@pytest.mark.parametrize("heads", [1, 2, 3, 4, 13])
def test_an_extra_that_enters_the_heads_of_the_recurrent_matrix(heads: int, way: str) -> None:
    """As it came, beside a state that enters them too: what is made of many time steps at once knows no heads."""

    @cell(gates="a b", states="h", extras="drive:H")
    def driven(x: Gates, s: State, U: Any, drive: Tensor) -> State:
        u, v = U(s.h), U.only("b")(drive)
        return State(h=tanh(x.a + u.a + x.b * v.b) + 0.1 * u.b)

    torch.manual_seed(0)
    layer = Recurrent(driven, INPUTS, heads * UNITS, num_heads=heads, bidirectional=True, dtype=torch.float64)
    lengths = torch.tensor([STEPS, 2, 1][:ROWS])
    found: list[list[Tensor]] = []
    x, drive = (torch.randn(STEPS, ROWS, n, dtype=torch.float64, requires_grad=True) for n in (INPUTS, heads * UNITS))
    for by in ("compiled", "reference"):
        given: list[Any] = [x, drive]
        if way == "packed":
            given = [pack_padded_sequence(v, lengths) for v in given]
        with backend(by):
            y, h = layer(given[0], drive=given[1], lengths=lengths if way == "lengths" else None)
        y = y.data if way == "packed" else y
        grown = torch.autograd.grad((y * y.detach().sin()).sum() + h.sum(), [x, drive, *layer.parameters()])
        found.append([y, h, *grown])
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("heads", [2, 13])
def test_numbers_of_heads_are_states_and_enter_and_leave_products(heads: int) -> None:
    @cell(gates="a", states="h n:N", parameters={"e": "N", "E": "N H", "F": "H N"}, starts={"e": 0.4})
    def numbers(x: Gates, s: State, U: Any, e: Tensor, E: Tensor, F: Tensor, num_heads: int) -> State:
        v = tanh(x.a + U(s.h).a)
        n = 0.5 * s.n + e * v.unflatten(-1, (num_heads, -1)).amax(-1) + tanh(torch.nn.functional.linear(v, E))
        h = v * n.sigmoid().mean(-1, keepdim=True)
        return State(h=h + 0.1 * torch.nn.functional.linear(n.softmax(-1), F), n=n)

    is_compiled(numbers, heads)


def test_what_adds_up_heads_unit_by_unit_is_told() -> None:
    @cell(gates="a", states="h")
    def together(x: Gates, s: State, U: Any, num_heads: int) -> State:
        v = (x.a + U(s.h).a).unflatten(-1, (num_heads, -1))
        return State(h=tanh(v - v.mean(-2, keepdim=True)).flatten(-2))

    layer = Recurrent(together, INPUTS, 6, num_heads=2)
    assert "over the rows" not in (told := str(explain(layer, torch.randn(2, 1, INPUTS))))
    assert "heads" in told
    assert explain(layer, torch.randn(2, 1, INPUTS)).backends == {"reference"}
