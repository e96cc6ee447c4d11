"""The compiled backend as dispatch sees it: what it takes, what it refuses and why, in which precision it computes."""

from __future__ import annotations

import re
import sys
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch._subclasses import FakeTensorMode

import ostinato
from ostinato import cells
from ostinato.cells import Cell, State, cell
from ostinato.cells.options import layer_norm, projection, zoneout
from ostinato.kernels import dispatch
from ostinato.kernels.compiled import Compiled
from ostinato.kernels.cpu.code import tiles
from ostinato.kernels.reference import Reference
from ostinato.kernels.request import Request
from tests.kernels.requests import assert_same, request, tensors

compiled, reference = Compiled(), Reference()
SMALLER = "torch's kernel multiplies in the smaller dtype, which was measured to be faster"
ACCEPTED = r"the step of 'lstm' compiled for this CPU, \d+ numbers at a time"


def mapped(change: Any, value: Any) -> Any:
    """The same request with every tensor in it changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, State):
        return State(**{name: change(getattr(value, name)) for name in value.names})
    if isinstance(value, dict):
        return {name: change(v) for name, v in value.items()}
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, Cell):
        return replace(value, **{f.name: mapped(change, getattr(value, f.name)) for f in fields(value)})
    return value


def in_dtype(r: Request, dtype: torch.dtype) -> Request:
    return mapped(lambda v: v.to(dtype) if v.is_floating_point() else v, r)


# -- what it takes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [cells.lstm, projection(layer_norm(cells.lstm)), zoneout(cells.lstm, {"h": 0.5})])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_it_takes_a_cell_with_any_option(made: Cell, dtype: torch.dtype) -> None:
    r = in_dtype(request(made, proj=2 if "projection" in made.options else 0), dtype)
    assert compiled.refusal(r) is None
    assert re.fullmatch(ACCEPTED, compiled.acceptance(r))
    assert dispatch.choose(r).backend == "compiled"


def test_twice_as_many_float32_as_float64_are_worked_on_at_a_time() -> None:
    r = request(cells.lstm)
    single, double = (
        int(re.sub(r"\D+", "", compiled.acceptance(in_dtype(r, d)))) for d in (torch.float32, torch.float64)
    )
    assert single == 2 * double


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_the_bits_are_computed_in_float32_and_rounded_at_the_end(dtype: torch.dtype) -> None:
    r = in_dtype(request(layer_norm(cells.lstm), lengths=[5, 0, 3, 5], every_state=True), dtype)
    assert compiled.refusal(r) is None
    exact = compiled.run(in_dtype(r, torch.float32))
    got = compiled.run(r)
    assert_same(got, mapped(lambda v: v.to(dtype), exact), tolerance=0)
    assert_same(exact, reference.run(in_dtype(r, torch.float32)), tolerance=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64], ids=str)
def test_gradients_have_the_dtype_of_what_they_are_for(dtype: torch.dtype) -> None:
    layer = ostinato.GRU(3, 4, layer_norm=True, backend="compiled", dtype=dtype)
    x = torch.randn(5, 2, 3, dtype=dtype, requires_grad=True)
    output, last = layer(x)
    assert output.dtype == last.dtype == dtype
    output.sum().backward()
    for leaf in (x, *layer.parameters()):
        assert leaf.grad is not None
        assert leaf.grad.dtype == dtype
        assert leaf.grad.isfinite().all()


@pytest.mark.parametrize("backend", [each.name for each in dispatch.backends_for("cpu")])
@pytest.mark.parametrize("kind", [ostinato.RNN, ostinato.LSTM, ostinato.GRU])
def test_where_all_rows_are_empty_gradients_are_zero_and_not_missing(
    kind: type[ostinato.Recurrent], backend: str
) -> None:
    layer = kind(3, 4, bidirectional=True, initial_state="learned", backend=backend)  # pyright: ignore[reportArgumentType, reportCallIssue]
    x = torch.randn(5, 2, 3, requires_grad=True)
    output, last = layer(x, lengths=[0, 0])
    (output.sum() + sum(v.sum() for v in (last if isinstance(last, tuple) else (last,)))).backward()
    assert not output.any()
    for name, leaf in [("input", x), *layer.named_parameters()]:
        assert leaf.grad is not None, name
        # A first state is the last one too, in both rows.
        assert (leaf.grad == (2 if name.startswith("initial_") else 0)).all(), name


# -- what it refuses ----------------------------------------------------------------------------------------------------------


@cell(gates="a", states="h")
def summed(x: Any, s: Any, U: Any) -> State:
    return State(h=torch.cumsum(torch.tanh(x.a + U(s.h).a), 1))


@cell(gates="a", states="h")
def sorted_units(x: Any, s: Any, U: Any) -> State:
    return State(h=torch.sort(torch.tanh(x.a + U(s.h).a))[0])


@cell(gates="a", states="h")
def guarded(x: Any, s: Any, U: Any) -> State:
    a = torch.tanh(x.a + U(s.h).a)
    return State(h=a if bool((a == a).all()) else -a)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (summed, "the step uses aten.cumsum, which the compiler does not know"),
        (sorted_units, "the step uses aten.sort, which the compiler does not know"),
        (zoneout(summed, {"h": 0.5}), "the step uses aten.cumsum, which the compiler does not know"),
    ],
)
def test_an_operation_that_it_does_not_know_is_named_and_the_reference_runs(made: Cell, reason: str) -> None:
    r = request(made)
    said = re.sub(r" \(test_\w+\.py:\d+\)$", "", compiled.refusal(r) or "")
    assert said == reason
    choice = dispatch.choose(r)
    assert choice.backend == "reference"
    assert f"; not compiled: {compiled.refusal(r)}; not vendor: " in choice.reason
    assert_same(dispatch.run(r), reference.run(r), tolerance=0)


def test_a_step_that_asks_for_values_goes_to_the_reference() -> None:
    r = request(guarded)
    assert compiled.refusal(r)
    assert dispatch.choose(r).backend == "reference"


@pytest.mark.parametrize("device", ["meta", "cuda"])
def test_it_leaves_other_devices_to_torch(device: str) -> None:
    with FakeTensorMode():  # tensors that say they are on a GPU, and need none
        r = mapped(lambda v: torch.empty(v.shape, dtype=v.dtype, device=device), request(cells.gru))
        assert compiled.refusal(r) == f"it compiles for the CPU, and the input is on {device}"
        assert not Compiled.is_faster(r.cell, r.input)
        assert dispatch.BACKENDS["vendor"].refusal(r) is None
        choice = dispatch.choose(replace(r, cell=cells.gru_reset_before))
    assert choice.backend == "reference"
    assert f"not compiled: it compiles for the CPU, and the input is on {device}; not " in choice.reason
    assert ("not triton: it is no operator that torch.compile" in choice.reason) == (device == "cuda")


@pytest.mark.parametrize("where", ["weights", "first"])
def test_every_tensor_must_be_on_the_cpu(where: str) -> None:
    r = request(cells.gru)
    elsewhere = mapped(lambda v: v.to("meta"), getattr(r, where))
    assert "it compiles for the CPU" in str(compiled.refusal(replace(r, **{where: elsewhere})))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_plain_cell_in_half_the_bits_is_left_to_torch(dtype: torch.dtype) -> None:
    plain = in_dtype(request(cells.lstm), dtype)
    assert compiled.reluctance(plain) == SMALLER
    assert dispatch.choose(plain).backend == "vendor"
    assert dispatch.choose(plain, "compiled").backend == "compiled", "but not where it is asked for by name"
    for r in (in_dtype(request(cells.lstm, every_state=True), dtype), in_dtype(request(cells.gru_reset_before), dtype)):
        assert compiled.reluctance(r) is None, "torch cannot"
        assert dispatch.choose(r).backend == "compiled"


def test_under_autocast_a_plain_cell_is_left_to_torch_where_there_are_no_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    single = in_dtype(request(cells.lstm), torch.float32)
    monkeypatch.setattr(tiles, "has_tiles", lambda: True)
    with torch.autocast("cpu", torch.bfloat16):
        assert compiled.reluctance(single) is None
        assert compiled.reluctance(replace(single, input=single.input.bfloat16())) is None, "as from a layer below"
    with torch.autocast("cpu", torch.float16):
        assert compiled.reluctance(single) is None, "torch's kernel has no gradient there"
        with torch.no_grad():
            assert compiled.reluctance(single) == SMALLER
    monkeypatch.setattr(tiles, "has_tiles", lambda: False)
    with torch.autocast("cpu", torch.bfloat16):
        assert not Compiled.is_faster(single.cell, single.input)
        assert compiled.reluctance(single) == SMALLER
        assert compiled.reluctance(in_dtype(request(layer_norm(cells.lstm)), torch.float32)) is None
    assert Compiled.is_faster(single.cell, single.input)
    assert compiled.reluctance(single) is None


def test_other_numbers_are_refused() -> None:
    r = request(cells.gru)
    wrong = mapped(lambda v: v.to(torch.complex64), r)
    assert compiled.refusal(wrong) == "it computes in float32 and float64, not in torch.complex64"
    several = replace(r, first=State(h=r.first.h.float()))
    assert compiled.refusal(several) == "input, states and parameters have several dtypes"


def test_a_subclass_of_tensor_keeps_what_it_means() -> None:
    class Marked(torch.Tensor):
        pass

    r = request(cells.gru)
    assert compiled.refusal(replace(r, input=r.input.as_subclass(Marked))) == "the input or a parameter is a Marked"


def test_there_must_be_something_to_compute() -> None:
    for empty in (request(cells.gru, steps=0), request(cells.gru, rows=0)):
        assert compiled.refusal(empty) == "there is nothing to compute"


def test_without_llvmlite_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ostinato.kernels.cpu.code.kernel", None)
    r = request(cells.gru)
    assert str(compiled.refusal(r)).startswith("llvmlite cannot be imported (")
    assert dispatch.choose(r).backend == "vendor"
    assert dispatch.choose(request(cells.gru_reset_before)).backend == "reference"
    assert_same(dispatch.run(r), reference.run(r))


@pytest.mark.parametrize("lengths", [None, [5, 0, 3]])
@pytest.mark.parametrize("segment", [0, 2])
def test_what_it_gives_may_be_changed_in_place(segment: int, lengths: list[int] | None) -> None:
    r = request(cells.lstm, rows=3, lengths=lengths, every_state=True, segment=segment)
    leaves = [r.input, r.weights.ih, r.weights.hh, *r.first]
    for leaf in leaves:
        assert leaf is not None
        leaf.requires_grad_()

    def gradients(backend: Compiled | Reference, again: bool) -> tuple[torch.Tensor, ...]:
        result = backend.run(r)
        assert result.states is not None
        changed = [result.states.c.mul_(2), result.states.h.add_(1), result.last.h.sigmoid_()]
        total = sum(v.square().sum() for v in changed)
        before = [v.detach().clone() for v in changed]
        found = torch.autograd.grad(total, leaves, retain_graph=again)  # pyright: ignore[reportArgumentType]
        if again:
            found = torch.autograd.grad(total, leaves)  # pyright: ignore[reportArgumentType]
        assert all(torch.equal(a, b) for a, b in zip(changed, before, strict=True))
        return found

    expected = gradients(reference, again=False)
    for again in (False, True):
        for got, wanted in zip(gradients(compiled, again), expected, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-11)


def test_what_it_is_given_may_not_be_changed_before_the_backward_pass_has_read_it() -> None:
    layer = ostinato.LSTM(3, 4, backend="compiled")
    output, _ = layer(torch.randn(5, 2, 3))
    with torch.no_grad():
        layer.get_parameter("weight_hh_l0").mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


@pytest.mark.parametrize(("name", "shape"), [("weight_ih", (12, 3)), ("weight_hh", (8, 4)), ("bias_hh", (7,))])
def test_nothing_is_read_beside_a_parameter_of_another_shape(name: str, shape: tuple[int, ...]) -> None:
    layer = ostinato.LSTM(3, 4, 2, bidirectional=True)
    layer.register_parameter(f"{name}_l0_reverse", torch.nn.Parameter(torch.zeros(shape)))
    with pytest.raises(RuntimeError, match=rf"{name}_l0_reverse expected the shape \(16,.*got \({shape[0]},"):
        layer(torch.randn(5, 2, 3))


def test_without_gradients_there_is_no_graph() -> None:
    r = request(cells.lstm)
    assert not any(v.requires_grad for v in tensors(compiled.run(r)))
    r.weights.ih.requires_grad_()
    with torch.no_grad():
        assert not any(v.requires_grad for v in tensors(compiled.run(r)))
    with torch.inference_mode():
        assert all(v.is_inference() for v in tensors(compiled.run(r)))
    assert all(v.requires_grad for v in tensors(compiled.run(r)))
