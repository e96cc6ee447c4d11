"""Every cell with every option as machine code, at awkward sizes, beside the reference in float64: results and every gradient.

Whatever must not be read holds NaN: the memory that the passes are given, inputs, masks and gradients past a row's end.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from ostinato import LSTM, Recurrent, backend, cells, explain
from ostinato.cells import Cell, Gates, State, cell
from ostinato.cells import options as option
from ostinato.kernels.compiled import Compiled
from ostinato.kernels.cpu.run.buffers import pool
from tests.contracts.menu import OPTIONS, PAIRS, layer
from tests.kernels.compiler.test_trace import CELLS, POINTWISE, SINGLE, TOGETHER, of_one, with_options, with_parameters
from tests.kernels.cpu.against import Example, assert_right, changed, leaves
from tests.kernels.cpu.random_cells import random_cell
from tests.support import tensors


@pytest.fixture(autouse=True)
def _poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "poison", True)


HIDDEN = (1, 7, 16, 63, 65, 100, 130)
ROWS = (1, 2, 3, 5, 8, 13, 33)
INPUTS = (1, 3, 64)
LENGTHS: dict[str, Callable[[random.Random, int, int], list[int] | None]] = {
    "whole": lambda r, rows, steps: None,
    "ragged": lambda r, rows, steps: [r.choice((0, r.randint(0, steps), steps)) for _ in range(rows)],
    "equal": lambda r, rows, steps: [max(1, steps - 1)] * rows,
    "nothing": lambda r, rows, steps: [0] * rows,
    "one": lambda r, rows, steps: [steps if b == rows // 2 else 0 for b in range(rows)],
}
NAMES: list[tuple[str, ...]] = [*((name,) for name in CELLS), *SINGLE, *TOGETHER]


def deck(of: tuple[Any, ...], r: random.Random) -> Iterator[Any]:
    """All of them in random order, again and again: no value is left out by chance."""
    while True:
        yield from r.sample(of, len(of))


def drawn() -> list[tuple[tuple[str, ...], Example, torch.dtype]]:
    """Two examples of each cell with its options: whole sequences or lengths, in one dtype or the other."""
    r = random.Random(0)
    hidden, rows, inputs = deck(HIDDEN, r), deck(ROWS, r), deck(INPUTS, r)
    steps, proj = deck((1, 2, 2, 5, 17), r), deck((1, 5, 16, 33, 70), r)
    lengths, flag = deck((*LENGTHS, "whole", "ragged", "ragged"), r), deck((True, False), r)
    found = []
    for at, (name, *options) in enumerate(NAMES):
        made = with_options(name, *options)
        assert made is not None
        dtypes = (torch.float32, torch.float64)
        for dtype in dtypes if not options else (dtypes[at % 2],):
            bias = next(flag)
            for _ in range(2):
                T, B, H, size_in = next(steps), next(rows), next(hidden), next(inputs)
                if "layer_norm" in options:
                    # A norm of what has one direction only leaves differences of numbers that are all but equal.
                    H, size_in = max(H, 7), max(size_in, 3)
                example = Example(
                    made,
                    T,
                    B,
                    size_in,
                    H,
                    next(proj) if "projection" in options else 0,
                    bias,
                    LENGTHS[next(lengths)](r, B, T),
                    reverse=next(flag),
                    every_state=next(flag),
                    seed=r.randrange(100),
                )
                found.append(((name, *options), example, dtype))
    return found


def identified(v: object) -> str:
    match v:
        case Example():
            ends = "" if v.lengths is None else f" lengths {sum(v.lengths)}"
            return f"T{v.steps} B{v.rows} I{v.inputs} H{v.hidden} P{v.proj}{ends}"
        case tuple():
            return "-".join(v)
    return str(v).removeprefix("torch.")


@pytest.mark.parametrize(("names", "example", "dtype"), drawn(), ids=identified)
def test_every_cell_with_every_option(names: tuple[str, ...], example: Example, dtype: torch.dtype) -> None:
    assert_right(example, dtype)


def test_what_was_drawn_leaves_nothing_out() -> None:
    examples = [example for _, example, _ in drawn()]
    for name, values in (("hidden", HIDDEN), ("rows", ROWS), ("inputs", INPUTS), ("steps", (1, 2, 5, 17))):
        assert {getattr(e, name) for e in examples} == set(values)
    for name in ("bias", "reverse", "every_state"):
        assert {getattr(e, name) for e in examples} == {True, False}
    assert {e.lengths is None for e in examples} == {True, False}
    assert {(name, dtype) for (name, *options), _, dtype in drawn() if not options} == {
        (name, dtype) for name in CELLS for dtype in (torch.float32, torch.float64)
    }


# One kernel, all sizes: what a thread, a tile, a vector and a panel have left over


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("name", ["lstm", "gru_reset_before"])
def test_every_width_with_every_number_of_rows(name: str, hidden: int) -> None:
    for at, rows in enumerate((*ROWS, 4, 6, 7, 12)):
        example = Example(CELLS[name], 2, rows, INPUTS[at % 3], hidden, lengths=[2, *[1] * (rows - 1)], seed=at)
        assert_right(example, torch.float32 if at % 2 else torch.float64)


def test_more_rows_in_all_than_a_block_of_a_weight_gradient_sums_over() -> None:
    example = Example(cells.rnn_tanh, 131, 8, 5, 20, seed=3)
    assert_right(example)
    assert_right(changed(example, lengths=[131, 0, 7, 130, 99, 131, 1, 120]))


def test_more_input_than_waits_for_the_loop_at_once() -> None:
    """A chunk of projected input holds 2^19 bytes: here there are several, the last one shorter."""
    assert_right(Example(cells.lstm, 33, 64, 3, 65, lengths=[33 - b // 2 for b in range(64)]), torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_evaluation_with_the_mean_of_every_mask(dtype: torch.dtype) -> None:
    for name in ("lstm", "gru"):
        made = with_options(name, "recurrent_dropout", "variational_dropout", "zoneout")
        assert made is not None
        example = Example(made, 4, 3, 2, 17, training=False)
        assert_right(example, dtype)
        assert_right(changed(example, lengths=[0, 4, 2]), dtype)


# What has a gradient


def wanted(example: Example) -> list[str]:
    return list(leaves(example.request()))


@pytest.mark.parametrize("lengths", [None, [3, 0, 1, 4]])
def test_gradients_of_some_only(lengths: list[int] | None) -> None:
    made = with_options("lstm", "peephole", "projection")
    assert made is not None
    example = Example(made, 4, 4, 3, 10, 6, lengths=lengths)
    names = wanted(example)
    assert len(names) == 11
    for name in names:
        assert_right(changed(example, frozen=frozenset({name})))
        assert_right(changed(example, frozen=frozenset(names) - {name}))


def test_nothing_has_a_gradient() -> None:
    example = Example(cells.gru, 3, 2)
    found = Compiled().run(changed(example, frozen=frozenset(wanted(example))).request())
    assert not found.output.requires_grad
    assert found.output.grad_fn is None
    with torch.no_grad():
        assert Compiled().run(example.request()).output.grad_fn is None


@pytest.mark.parametrize("of", ["output", "h", "c"])
def test_gradients_of_one_result_only(of: str) -> None:
    """No other result is part of the loss: what autograd gives for those is nothing, not zeros."""
    found = []
    for run in (Compiled().run, backend_of("reference")):
        request = Example(cells.lstm, 4, 3, lengths=[4, 0, 2]).request()
        result = run(request)
        v = result.output if of == "output" else getattr(result.last, of)
        v.square().sum().backward()
        found.append({name: leaf.grad for name, leaf in leaves(request).items()})
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)


def backend_of(name: str) -> Callable[..., Any]:
    from ostinato.kernels.dispatch import BACKENDS

    return BACKENDS[name].run


# Cells of a user's own


def test_every_pointwise_operation_in_a_users_own_cell() -> None:
    """All that the tracer takes, a few to a cell."""
    names = sorted(POINTWISE)
    for first in range(0, len(names), 8):
        some = [POINTWISE[name] for name in names[first : first + 8]]

        def together(v: Tensor, some: list[Callable[[Tensor], Tensor]] = some) -> Tensor:
            total = v * 0.5
            for function in some:
                total = total + torch.tanh(function(torch.tanh(v)))
            return total / len(some)

        assert_right(Example(of_one(together), 3, 3, 3, 17, seed=first), torch.float32 if first % 16 else torch.float64)


@pytest.mark.parametrize("bias", [True, False])
def test_parameters_of_a_users_own_cell(bias: bool) -> None:
    example = Example(with_parameters, 5, 3, 3, 21, bias=bias, every_state=True)
    assert_right(example)
    assert_right(changed(example, lengths=[5, 0, 3]), torch.float32)


@cell(gates="a b", states="h k e one", inputs="b")
def many_states(x: Gates, s: State, U: Any) -> State:
    """States that depend on each other in a ring, one that is a number a row, and one that is a number."""
    energy = (s.h * s.k).mean(-1, keepdim=True)
    u = U(s.k)
    h = torch.tanh(u.a + s.e * 0.1)
    return State(h=h + s.one, k=torch.sigmoid(x.b + u.b) * s.h, e=energy.expand_as(h), one=torch.ones_like(h) * 0.5)


@cell(gates="a b c", states="h m")
def several_products(x: Gates, s: State, U: Any) -> State:
    """Products in a chain and side by side, some of all gates and some of a few, with a sum over the units between."""
    u = U(s.h)
    a = torch.tanh(x.a + u.a)
    again = U.only("a c")(a / (1 + a.square().mean(-1, keepdim=True)))
    b = torch.sigmoid(x.b + again.c + U.only("b")(s.m).b)
    return State(h=b * again.a + x.c + u.c, m=a * b)


@cell(gates="a", states="h")
def no_loop(x: Gates, s: State, U: Any) -> State:
    """Nothing of the past."""
    return State(h=torch.tanh(x.a))


@cell(gates="a b", states="h", inputs="a", recurrent=False, parameters={"decay": "H", "gain": "H"})
def scan(x: Gates, s: State, U: None, decay: Tensor, gain: Tensor) -> State:
    """A scan with parameters; a gate that nobody uses."""
    return State(h=torch.exp(-torch.exp(decay)) * s.h + gain * x.a)


@cell(gates="a b", states="h c")
def two_tracks(x: Gates, s: State, U: Any) -> State:
    """A product of one state, the output another."""
    c = torch.tanh(x.a + U(s.c).a)
    return State(h=c * torch.sigmoid(x.b), c=c)


@pytest.mark.parametrize("made", [many_states, several_products, no_loop, scan, two_tracks], ids=lambda c: c.name)
def test_cells_of_a_users_own(made: Cell) -> None:
    example = Example(made, 5, 4, 3, 19, every_state=True)
    assert_right(example)
    assert_right(changed(example, lengths=[2, 5, 0, 5], reverse=True), torch.float32)
    if made.recurrent:
        assert_right(Example(option.layer_norm(made), 4, 3, 3, 19))


@pytest.mark.parametrize("seed", [0, 4, 24, 52, 53, 121, *range(1000, 1006)])
def test_cells_that_nobody_would_write(seed: int) -> None:
    """The first few were wrong once: each for another reason, and none of them in a cell that has a name."""
    r = random.Random(seed)
    lengths = LENGTHS[r.choice(("whole", "ragged"))](r, 3, 3)
    assert_right(Example(random_cell(seed), 3, 3, 2, 9, lengths=lengths, every_state=True, seed=seed))


@pytest.mark.parametrize("detached", ["first", "later", "a part of it"])
def test_what_enters_two_products_may_be_the_same_and_its_gradient_not(detached: str) -> None:
    @cell(gates="a b", states="h")
    def twice(x: Gates, s: State, U: Any) -> State:
        whole, other = s.h + x.a, s.h.detach() + (x.a if detached == "a part of it" else x.a.detach())
        u, v = (U(other), U(whole)) if detached == "first" else (U(whole), U(other))
        return State(h=torch.tanh(u.a + x.b * torch.sigmoid(v.b)))

    made = Recurrent(twice, 3, 5, 2, bidirectional=True, dtype=torch.float64)
    got, expected = (everything(made, [4, 0, 6, 1], by) for by in ("compiled", "reference"))
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("seed", [*range(7), 326])
def test_cells_whose_units_move_in_ways_that_nobody_would_write(seed: int) -> None:
    r = random.Random(seed)
    lengths = LENGTHS[r.choice(("whole", "ragged"))](r, 3, 3)
    hidden = r.choice((3, 9, 16, 21))
    assert_right(Example(random_cell(seed, moves=True), 3, 3, 2, hidden, lengths=lengths, every_state=True, seed=seed))


# Whole layers, by their public classes


def everything(made: Recurrent, lengths: list[int] | None, by: str) -> dict[str, Tensor]:
    made.zero_grad()
    x = torch.randn(6, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    torch.manual_seed(5)
    with backend(by):
        output, last, states = made(x, lengths=lengths, return_states=True)
    found = tensors({"output": output, "last": last})
    found |= {f"every {name} {n}": v for name, layers in states.items() for n, v in enumerate(layers)}
    generator = torch.Generator().manual_seed(2)
    loss = [(v * torch.randn(v.shape, dtype=v.dtype, generator=generator)).sum() for v in found.values()]
    torch.stack(loss).sum().backward()
    gradients = {f"d {name}": p.grad for name, p in [("input", x), *made.named_parameters()] if p.grad is not None}
    return {name: v.detach().clone() for name, v in (found | gradients).items()}


@pytest.mark.parametrize("option", [name for name in OPTIONS if name not in ("xavier", "orthogonal", "chrono")])
def test_a_stack_in_both_directions_is_the_references(option: str) -> None:
    """Plain layers of every cell, and the LSTM's with every option."""
    for name in ["lstm"] if option != "plain" else sorted({n for n, o in PAIRS if o == option}):
        torch.manual_seed(1)
        made = layer(name, 3, 6, 2, bidirectional=True, dtype=torch.float64, **OPTIONS[option])
        assert explain(made, torch.zeros(2, 1, 3, dtype=torch.float64)).backends == {"compiled"}
        for lengths in (None, [4, 0, 6, 1]):
            got, expected = (everything(made, lengths, by) for by in ("compiled", "reference"))
            torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)


def test_projected_layers_of_several_widths_without_biases() -> None:
    made = LSTM(3, [8, 20], proj_size=4, bidirectional=True, bias=False, dtype=torch.float64)
    got, expected = (everything(made, [4, 0, 6, 1], by) for by in ("compiled", "reference"))
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)


def test_first_states_that_are_given_have_gradients() -> None:
    made = LSTM(3, 5, 2, dtype=torch.float64)
    found = []
    for by in ("compiled", "reference"):
        torch.manual_seed(3)
        hx = tuple(torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
        with backend(by):
            output, (h, c) = made(torch.randn(3, 4, 3, dtype=torch.float64), hx)
        (output.square().sum() + h.sum() + c.sin().sum()).backward()
        found.append([v.grad for v in hx])
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)
