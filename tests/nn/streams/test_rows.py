"""Many rows on one set of weights: each is a stream of its own, to the last bit, whatever steps beside it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato import GRU, LSTM, RHN, MinGRU, Recurrent, Stream, catalogue, cell
from ostinato.cells.named import State
from ostinato.errors import ConfigError
from ostinato.nn import RowStream
from ostinato.nn.streams import PlainRows

INPUTS, ROWS = 7, 9
LAYERS: dict[str, Callable[[], Recurrent]] = {
    "two layers": lambda: LSTM(INPUTS, 37, 2),
    "float64": lambda: LSTM(INPUTS, 37, dtype=torch.float64),
    "widths": lambda: LSTM(INPUTS, [20, 5]),
    "projected": lambda: LSTM(INPUTS, 37, 2, proj_size=5),
    "layer norm, peephole": lambda: LSTM(INPUTS, 37, 2, layer_norm=True, peephole=True),
    "residual": lambda: GRU(INPUTS, [20, 20, 20], connection="residual"),
    "reset before": lambda: GRU(INPUTS, 37, reset_after=False, batch_first=True),
    "depth": lambda: RHN(INPUTS, 19, depth=3),
    "no product": lambda: MinGRU(INPUTS, 5, 2),
    "learned": lambda: GRU(INPUTS, 20, initial_state="learned"),
    "heads": lambda: catalogue.make("slstm", INPUTS, 24, num_heads=3),
    "extras": lambda: catalogue.make("cfc", INPUTS, 12),
    "units that move": lambda: catalogue.make("mogrifierlstm", INPUTS, 12),
    "no code": lambda: catalogue.make("mlstm", INPUTS, 8, num_heads=2),
}


def made(make: Callable[[], Recurrent]) -> Recurrent:
    torch.manual_seed(0)
    layer = make().eval()
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("initial"):
                parameter.uniform_(-1.0, 1.0)
    return layer


def inputs_of(layer: Recurrent, n: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    dtype = layer.all_weights[0][0].dtype
    return torch.randn(n, INPUTS, dtype=dtype), {name: torch.rand(n, 1, dtype=dtype) for name in layer.cell.extras}


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.int8], ids=str)
@pytest.mark.parametrize("output", [False, True], ids=["", "output"])
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_each_row_is_a_stream_of_its_own(
    make: Callable[[], Recurrent], output: bool, dtype: torch.dtype | None
) -> None:
    layer = made(make)
    kind = layer.all_weights[0][0].dtype
    head = torch.nn.Linear(layer.proj_size or layer.hidden_sizes[-1], 21, dtype=kind) if output else None
    if dtype is not None and (kind is torch.float64 or layer.base_cell.name.startswith("mlstm")):
        with pytest.raises(ConfigError, match="streaming_dtype"):
            Stream(layer, dtype, rows=ROWS)
        return
    stream = Stream(layer, dtype, rows=ROWS, output=head)
    alone = [Stream(layer, dtype, output=head) for _ in range(ROWS)]
    tolerance = {"rtol": 1e-6, "atol": 1e-6} if isinstance(stream, PlainRows) else {"rtol": 0, "atol": 0}
    for n in (3, ROWS, 1, 5, 0):
        rows = torch.randperm(ROWS)[:n]
        x, extras = inputs_of(layer, n)
        got = stream(x, rows, **extras)
        assert got.shape == (n, 21 if output else layer.proj_size or layer.hidden_sizes[-1])
        for at, row in enumerate(rows):
            want = alone[row](x[at], **{name: v[at] for name, v in extras.items()})
            torch.testing.assert_close(got[at], want, **tolerance)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 3), st.integers(1, 150))
def test_all_rows_are_a_batch_of_the_layer(inputs: int, hidden: int, layers: int, rows: int) -> None:
    torch.manual_seed(inputs)
    layer = LSTM(inputs, hidden, layers).eval()
    x = torch.randn(3, rows, inputs)
    stream = Stream(layer, rows=rows)
    with torch.no_grad():
        want, last = layer(x)
    torch.testing.assert_close(torch.stack([stream(step) for step in x]), want)
    torch.testing.assert_close(stream.state, last)


@pytest.mark.parametrize("name", ["two layers", "widths", "learned", "no code"])
def test_states_go_over_to_the_layer_and_back(name: str) -> None:
    layer = made(LAYERS[name])
    stream, other = Stream(layer, rows=ROWS), Stream(layer, rows=ROWS)
    x = torch.randn(4, ROWS, INPUTS)
    for step in x[:2]:
        stream(step)
    for at in range(2):
        other(x[at][[5, 2]], [5, 2])
    exact = {} if isinstance(stream, PlainRows) else {"rtol": 0, "atol": 0}
    torch.testing.assert_close(other.state_of([5, 2]), stream.state_of([5, 2]), **exact)
    with torch.no_grad():
        want, last = layer(x[2:], stream.state)
    torch.testing.assert_close(torch.stack([stream(step) for step in x[2:]]), want)
    torch.testing.assert_close(stream.state, last)
    stream.set_state(other.state_of([0]), [7])
    torch.testing.assert_close(stream(x[0][:1], [7]), other(x[0][:1], [0]), **exact)


@pytest.mark.parametrize("name", ["two layers", "learned"])
def test_any_rows_in_any_order_while_others_join(name: str) -> None:
    torch.manual_seed(0)
    layer, chance = made(LAYERS[name]), np.random.default_rng(0)
    stream, alone = Stream(layer, rows=2), [Stream(layer) for _ in range(150)]
    for _ in range(60):
        if stream.rows < len(alone) and chance.random() < 0.3:
            stream.grow(min(stream.rows + int(chance.integers(1, 40)), len(alone)))
        which = chance.permutation(stream.rows)[: chance.integers(1, stream.rows + 1)]
        x = torch.randn(len(which), INPUTS)
        want = [alone[row](step) for row, step in zip(which, x, strict=True)]
        assert torch.equal(stream(x, which), torch.stack(want))
    for row in range(stream.rows):
        torch.testing.assert_close(stream.state_tensors(row), alone[row].state_tensors(), rtol=0, atol=0)


def test_a_row_costs_the_memory_of_one_state() -> None:
    few, many = (Stream(LSTM(INPUTS, 64, 2).eval(), rows=rows) for rows in (1, 1001))  # units that fill whole registers
    kept = [sum(v.nbytes for each in stream._rows.states for v in each.values()) for stream in (few, many)]
    assert kept[1] - kept[0] == 1000 * sum(v.nbytes for v in few.state_tensors(0).values())


def test_one_row_that_is_given_as_a_number() -> None:
    layer = made(LAYERS["two layers"])
    stream, alone = Stream(layer, rows=3), Stream(layer)
    x = torch.randn(INPUTS)
    assert torch.equal(stream(x, 2), alone(x))


def test_reset_and_grow() -> None:
    layer = made(LAYERS["learned"])
    stream, fresh = Stream(layer, rows=3), Stream(layer)
    x = torch.randn(3, INPUTS)
    stream(x)
    before = stream.state_of([0, 2])
    stream.reset([1])
    assert torch.equal(stream.state_of([1])[:, 0], fresh.state)
    torch.testing.assert_close(stream.state_of([0, 2]), before, rtol=0, atol=0)
    stream.grow(100)
    assert stream.rows == 100
    torch.testing.assert_close(stream.state_of([0, 2]), before, rtol=0, atol=0)
    assert torch.equal(stream.state_of([99])[:, 0], fresh.state)
    want = fresh(x[0])
    assert torch.equal(stream(x[0], 99), want)
    stream.reset()
    assert torch.equal(stream(x[0], 0), want)
    with pytest.raises(ConfigError, match="rows expected a number, at least the 100 that are there, got 99"):
        stream.grow(99)


@pytest.mark.parametrize("name", ["two layers", "no code"])
@pytest.mark.parametrize("again", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s)), lambda s: s.copy()])
def test_copies_go_on_alone(name: str, again: Callable[[RowStream], RowStream]) -> None:
    layer = made(LAYERS[name])
    stream = Stream(layer, rows=3, output=torch.nn.Linear(layer.hidden_sizes[-1], 2))
    x = torch.randn(3, INPUTS)
    stream(x)
    other = again(stream)
    assert torch.equal(other(x), stream(x))
    other(x[:1], [0])
    assert not torch.equal(other.state_of([0])[0], stream.state_of([0])[0])
    assert "rows=3" in repr(other)


def test_changed_weights_are_taken() -> None:
    layer = made(LAYERS["two layers"])
    head = torch.nn.Linear(37, 4)
    stream, x = Stream(layer, rows=2, output=head), torch.randn(2, INPUTS)
    stream(x)
    with torch.no_grad():
        for parameter in (*layer.parameters(), *head.parameters()):
            parameter.mul_(0.5)
        want = head(layer(x[None], stream.state)[0])[0]
    torch.testing.assert_close(stream(x), want)


def test_the_step_of_a_cell_that_reads_another_number_now() -> None:
    setting = {"keep": 0.5}

    @cell(gates="a", states="h")
    def leaky(x: Any, s: Any, U: Any) -> State:
        """h' = k h + tanh(x + U h)."""
        return State(h=setting["keep"] * s.h + torch.tanh(x.a + U(s.h).a))

    layer = Recurrent(leaky, INPUTS, 5).eval()
    stream, alone, x = Stream(layer, rows=2), Stream(layer), torch.randn(2, INPUTS)
    stream(x), alone(x[1])
    setting["keep"] = 0.25
    assert torch.equal(stream(x)[1], alone(x[1]))


X = torch.zeros(2, INPUTS)
WRONG: dict[str, tuple[Callable[[RowStream], object], str]] = {
    "not there": (lambda s: s(X, [0, 3]), r"rows expected numbers from 0 to 2, got 0 to 3; grow\(n\) adds more"),
    "negative": (lambda s: s(X, [0, -1]), "rows expected numbers from 0 to 2, got -1 to 0"),
    "twice": (lambda s: s(X, [1, 1]), "rows expected every number once"),
    "fractions": (lambda s: s(X, [0.5, 1.0]), r"rows expected whole numbers, \(n,\), got \(2,\) of float64"),
    "truth values": (lambda s: s(X, torch.tensor([True, False])), "rows expected whole numbers"),
    "a table": (lambda s: s(X, np.zeros((2, 1), int)), r"rows expected whole numbers, \(n,\), got \(2, 1\)"),
    "another number of inputs": (lambda s: s(X, [0]), r"x expected a tensor of shape \(1, 7\).*got \(2, 7\)"),
    "all of three": (lambda s: s(X), r"x expected a tensor of shape \(3, 7\)"),
    "float64": (lambda s: s(X.double(), [0, 1]), "torch.float32, on the CPU; got"),
    "a list": (lambda s: s([[0.0] * 7] * 2, [0, 1]), "got list"),
    "a gradient": (lambda s: s(X.clone().requires_grad_(), [0, 1]), "x expected no gradient"),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG)
def test_wrong_calls_change_no_state(call: Callable[[RowStream], object], message: str) -> None:
    stream = Stream(made(LAYERS["two layers"]), rows=3)
    stream(torch.randn(3, INPUTS))
    before = stream.state
    with pytest.raises(ConfigError, match=message):
        call(stream)
    torch.testing.assert_close(stream.state, before, rtol=0, atol=0)


@pytest.mark.parametrize("rows", [0, -1, 2.0, True, "3"])
def test_a_wrong_number_of_rows(rows: Any) -> None:
    with pytest.raises(ConfigError, match="rows expected a number of at least 1, or None"):
        Stream(LSTM(3, 5).eval(), rows=rows)


class Doubled(torch.nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(input)


def with_hook() -> torch.nn.Linear:
    output = torch.nn.Linear(5, 2)
    output.register_forward_hook(lambda *_: None)
    return output


def with_parts(weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.nn.Linear:
    output = torch.nn.Linear(5, 2, bias=bias is not None)
    output.weight = torch.nn.Parameter(weight)
    output.bias = None if bias is None else torch.nn.Parameter(bias)
    return output


OUTPUTS: dict[str, tuple[Any, str]] = {
    "no layer": (torch.nn.Identity(), "output expected a torch.nn.Linear, whose forward is its own, got Identity"),
    "a forward of its own": (Doubled(5, 2), "output expected a torch.nn.Linear, whose forward is its own, got Doubled"),
    "width": (torch.nn.Linear(4, 2), r"output expected in_features=5, .*; got \(2, 4\)"),
    "a weight of another shape": (
        with_parts(torch.zeros(2, 5000)),
        r"output expected in_features=5, .*; got \(2, 5000\)",
    ),
    "nothing": (with_parts(torch.zeros(0, 5)), r"O at least 1; got \(0, 5\)"),
    "dtype": (torch.nn.Linear(5, 2).double(), r"output.weight expected \(2, 5\), torch.float32 on the CPU"),
    "another dtype of the bias": (
        with_parts(torch.zeros(2, 5), torch.zeros(2).double()),
        r"output.bias expected \(2,\), torch.float32 on the CPU, got \(2,\), torch.float64",
    ),
    "a bias of another width": (with_parts(torch.zeros(2, 5), torch.zeros(3)), r"output.bias expected \(2,\)"),
    "old weight_norm": (lambda: torch.nn.utils.weight_norm(torch.nn.Linear(5, 2)), "a layer without hooks"),
    "hook": (with_hook(), "a layer without hooks"),
}


@pytest.mark.parametrize("rows", [None, 2])
@pytest.mark.parametrize(("output", "message"), OUTPUTS.values(), ids=OUTPUTS)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
def test_a_wrong_output_layer(output: Any, message: str, rows: int | None) -> None:
    if not isinstance(output, torch.nn.Module):
        output = output()
    with pytest.raises(ConfigError, match=message):
        Stream(LSTM(3, 5).eval(), output=output, rows=rows)


@pytest.mark.parametrize("rows", [None, 2])
def test_an_output_layer_that_becomes_another(rows: int | None) -> None:
    head = torch.nn.Linear(5, 2)
    stream, x = Stream(LSTM(3, 5).eval(), output=head, rows=rows), torch.zeros(*(() if rows is None else (rows,)), 3)
    stream(x)
    bias, head.bias = head.bias, None
    with pytest.raises(ConfigError, match="a bias or none, as when the stream was made; make a new stream"):
        stream(x)
    head.bias = bias
    stream(x)
    head.weight = torch.nn.Parameter(torch.zeros(3, 5))
    head.bias = torch.nn.Parameter(torch.zeros(3))
    with pytest.raises(ConfigError, match="as many units"):
        stream(x)


# where it is made


def test_more_threads_than_when_it_was_made() -> None:
    layer, before = LSTM(256, 512).eval(), torch.get_num_threads()
    x = torch.randn(64, 256)
    try:
        torch.set_num_threads(1)
        stream, want = Stream(layer, torch.int8, rows=64), Stream(layer, torch.int8, rows=64)(x)
        torch.set_num_threads(4)
        for _ in range(3):
            stream.reset()
            assert torch.equal(stream(x), want)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("rows", [None, 3])
@pytest.mark.parametrize("name", ["two layers", "no code"])
def test_made_under_inference_mode_and_used_outside(name: str, rows: int | None) -> None:
    layer = made(LAYERS[name])
    x = torch.randn(*(() if rows is None else (rows,)), INPUTS)
    want = Stream(layer, rows=rows)(x)
    with torch.inference_mode():
        stream = Stream(layer, rows=rows)
        torch.testing.assert_close(stream(x), want)
        other = stream.copy()
        stream.reset()
    torch.testing.assert_close(stream(x), want)
    for each in (stream, other):
        each.reset()
        torch.testing.assert_close(each(x), want)
        data = each.state_bytes()
        each.state = each.state
        each.from_bytes(data)
    with torch.no_grad():
        next(layer.parameters()).mul_(2.0)
    stream(x)
    with torch.inference_mode():
        stream.from_bytes(data)
        stream.refresh()
        stream(x)


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    stream = Stream(made(LAYERS["two layers"]), rows=3)
    stream(torch.randn(3, INPUTS))
    before = stream.state
    h = torch.zeros(2, 2, 37)
    for hx in ((h, h[:1]), (h, h[:, :, :5]), (h, h.to("meta")), (h, h, h)):
        with pytest.raises((RuntimeError, ConfigError, ValueError)):
            stream.set_state(hx, [0, 1])
    torch.testing.assert_close(stream.state, before, rtol=0, atol=0)


def test_rows_for_which_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, x = Stream(made(LAYERS["two layers"]), rows=3), torch.randn(3, INPUTS)
    other = stream.copy()
    real, left = torch.zeros, [2]

    def zeros(*sizes: Any, **arguments: Any) -> torch.Tensor:
        left[0] -= 1
        if left[0] < 0:
            raise MemoryError
        return real(*sizes, **arguments)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "zeros", zeros)
        with pytest.raises(MemoryError):
            stream.grow(9)
    assert stream.rows == 3
    assert torch.equal(stream(x), other(x))


@pytest.mark.parametrize("again", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s)), lambda s: s.copy()])
def test_copies_of_a_layer_that_trains_again(again: Callable[[Any], Any]) -> None:
    layer = made(LAYERS["two layers"])
    for rows in (None, 2):
        stream = Stream(layer.eval(), rows=rows)
        layer.train()
        x = torch.randn(*(() if rows is None else (rows,)), INPUTS)
        assert torch.equal(again(stream)(x), stream(x))
        assert stream.measure_error(torch.randn(3, INPUTS)).outputs == 0
        assert layer.training


@pytest.mark.parametrize("row", [np.int64(2), np.array(2), torch.tensor(2)])
def test_a_number_of_any_kind_is_one_row(row: Any) -> None:
    stream, x = Stream(made(LAYERS["two layers"]), rows=3), torch.randn(INPUTS)
    assert stream(x, row).shape == (37,)


@pytest.mark.parametrize("row", [None, [1, 2], [], True, "1"])
def test_a_state_is_that_of_one_row(row: Any) -> None:
    stream = Stream(made(LAYERS["two layers"]), rows=3)
    with pytest.raises(ConfigError, match="row expected one number from 0 to 2"):
        stream.state_bytes(row)
