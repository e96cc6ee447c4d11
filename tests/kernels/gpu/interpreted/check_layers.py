"""Whole layers through their public classes, their loops in Triton's interpreter: what stands around the kernels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import ostinato
from ostinato import GRU, LSTM, Recurrent, State, backend, catalogue, cells, explain
from ostinato.errors import ConfigError
from ostinato.kernels import dispatch
from ostinato.kernels.gpu.code import operations
from ostinato.kernels.gpu.code.blocks import Blocks
from ostinato.kernels.gpu.code.kernel import emit
from ostinato.kernels.gpu.run import call, launch, trust
from ostinato.kernels.gpu.run.kernel import gpu_kernel
from ostinato.kernels.gpu.run.ways import Way, way
from ostinato.kernels.gpu.run.workspace import Recorder
from ostinato.kernels.on_gpu import OnGPU, interpreting
from ostinato.kernels.reference import Reference
from tests.contracts.menu import OPTIONS
from tests.contracts.test_compiled import everything
from tests.kernels.cpu.against import TOLERANCE, Example, assert_right, changed, error, leaves, outcome

D = torch.float64
BOTH = ("triton", "reference")


def same(make: Callable[[], Recurrent], lengths: list[int] | None, **tolerance: float) -> None:
    got, expected = (everything(make(), lengths, by) for by in BOTH)
    torch.testing.assert_close(got, expected, **(tolerance or {"rtol": 1e-11, "atol": 1e-12}))


def seeded(make: Callable[[], Recurrent]) -> Recurrent:
    torch.manual_seed(1)
    return make()


@pytest.mark.parametrize("lengths", [None, [4, 0, 6, 1]], ids=["whole", "lengths"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dropout": 0.5},
        {"bias": False, "proj_size": 4},
        OPTIONS["variational_dropout"] | OPTIONS["weight_dropout"],
        OPTIONS["highway"] | OPTIONS["learned"],
        OPTIONS["residual"] | OPTIONS["noisy"],
        {"checkpoint_segments": 2, "zoneout": 0.2},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_a_stack_in_both_directions_is_the_references(options: dict[str, Any], lengths: list[int] | None) -> None:
    same(lambda: seeded(lambda: LSTM(3, 6, 2, bidirectional=True, dtype=D, **options)), lengths)


def test_layers_of_several_widths() -> None:
    same(lambda: seeded(lambda: LSTM(3, [8, 20], proj_size=4, bidirectional=True, dtype=D)), [4, 0, 6, 1])


def test_a_packed_sequence() -> None:
    x = torch.randn(6, 4, 3, dtype=D, requires_grad=True)
    layer = GRU(3, 5, 2, bidirectional=True, zoneout=0.1, dtype=D).eval()
    found = []
    for by in BOTH:
        packed = pack_padded_sequence(x, torch.tensor([3, 6, 1, 4]), enforce_sorted=False)
        with backend(by):
            output, last = layer(packed)
        shown = pad_packed_sequence(output)[0]
        found.append([shown, last, *torch.autograd.grad(shown.square().sum() + last.sum(), [x, *layer.parameters()])])
    torch.testing.assert_close(found[0], found[1], rtol=1e-11, atol=1e-12)


def test_single_steps() -> None:
    cell = ostinato.LSTMCell(3, 5, peephole=True, dtype=D)
    x, state = torch.randn(4, 3, dtype=D), (torch.randn(4, 5, dtype=D), torch.randn(4, 5, dtype=D))
    found = []
    for by in BOTH:
        with backend(by):
            h, c = cell(x, state)
        found.append([h, c, *torch.autograd.grad((h * c).sum(), list(cell.parameters()))])
    torch.testing.assert_close(found[0], found[1], rtol=1e-11, atol=1e-12)


# -- dtypes ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", ["gru_reset_before", "min_lstm"])
def test_in_half_the_bits_sums_and_states_have_all(name: str, dtype: torch.dtype) -> None:
    from tests.kernels.compiler.test_trace import CELLS

    example = Example(CELLS[name], 5, 3, 3, 19, lengths=[5, 0, 3], every_state=True, reverse=True)
    expected = outcome(example, Reference().run, example.request())
    got = outcome(example, OnGPU().run, example.request(dtype, poison=True))
    rough = outcome(example, Reference().run, example.request(dtype))
    allowed = 2 ** (
        -5 if dtype is torch.bfloat16 else -9
    )  # the interpreter cuts bits off where a device rounds to bfloat16
    for key, wanted in expected.items():
        assert got[key].dtype is dtype
        off, of_reference = error(got[key], wanted), error(rough[key], wanted)
        assert off <= max(allowed, of_reference), f"{key}: off by {off:.1g}, the reference by {of_reference:.1g}"


def test_autocast_multiplies_in_the_small_dtype_alone() -> None:
    layer = LSTM(3, 5, layer_norm=True)
    x = torch.randn(4, 2, 3)
    expected = layer(x)[0]
    with torch.autocast("cpu", torch.bfloat16), backend("triton"):
        said = str(explain(layer, x))
        got = layer(x)[0]
        got.sum().backward()
    assert "matrices in bfloat16" in said
    assert got.dtype is torch.float32
    assert all(p.grad is not None and p.grad.dtype is torch.float32 for p in layer.parameters())
    torch.testing.assert_close(got, expected, rtol=0.05, atol=0.05)
    assert not torch.equal(got, expected)


def test_several_dtypes_are_refused() -> None:
    layer = LSTM(3, 5, zoneout=0.1, backend="triton")
    first = (torch.zeros(1, 2, 5, dtype=D),) * 2
    with pytest.raises(
        (ConfigError, ValueError, RuntimeError), match=r"expected torch\.float32, as the input is, got torch"
    ):
        layer(torch.randn(4, 2, 3), first)
    request = Example(cells.lstm, 3, 2).request()
    request = replace(request, first=State(h=request.first.h.float(), c=request.first.c))
    assert OnGPU().refusal(request) == "input, states and parameters have several dtypes"


def test_inputs_of_other_layouts() -> None:
    layer = GRU(3, 5, batch_first=True, zoneout=0.1, dtype=D).eval()
    x = torch.randn(3, 4, 2, dtype=D).permute(2, 1, 0).requires_grad_()
    found = []
    for by in BOTH:
        with backend(by):
            output, _ = layer(x)
        found.append(
            [output, *torch.autograd.grad(output.sum(), [x, *layer.parameters()])]
        )  # gradients of one number alone
    torch.testing.assert_close(found[0], found[1], rtol=1e-11, atol=1e-12)


# -- autograd -------------------------------------------------------------------------------------------------------------------


def test_gradients_of_some_only() -> None:
    example = Example(cells.lstm, 3, 2, 3, 5, lengths=[3, 1])
    names = list(leaves(example.request()))
    for name in names:
        assert_right(changed(example, frozen=frozenset({name})), D, OnGPU().run)
        assert_right(changed(example, frozen=frozenset(names) - {name}), D, OnGPU().run)


@pytest.mark.parametrize("wanted", [{"x"}, {"mask"}, {"x", "dt"}, {"dt", "mask"}, {"x", "mask", "dt"}], ids=sorted)
def test_gradients_of_some_of_the_extras_only(wanted: set[str]) -> None:
    layer = catalogue.make("grud", 4, 5, dtype=D)
    found: list[tuple[Tensor | None, ...]] = []
    for by in BOTH:
        generator = torch.Generator().manual_seed(0)
        x, mask, dt = (torch.randn(3, 2, 4, dtype=D, generator=generator) for _ in range(3))
        given = {"x": x, "mask": mask, "dt": dt}
        for name, v in given.items():
            v.requires_grad_(name in wanted)
        layer.zero_grad()
        with backend(by):
            layer(x, mask=mask, dt=dt)[0].square().sum().backward()
        found.append(tuple(v.grad for v in (*given.values(), *layer.parameters())))
    torch.testing.assert_close(*found, rtol=1e-11, atol=1e-12)


def test_an_extra_that_enters_the_heads_of_the_recurrent_matrix() -> None:
    @cells.cell(gates="a b", states="h", extras="drive:H")
    def driven(x: Any, s: State, U: Any, drive: Tensor) -> State:
        u, v = U(s.h), U.only("b")(drive)
        return State(h=torch.tanh(x.a + u.a + x.b * v.b) + 0.1 * u.b)

    layer = Recurrent(driven, 3, 12, num_heads=3, dtype=D)
    x, drive = torch.randn(5, 2, 3, dtype=D), torch.randn(5, 2, 12, dtype=D, requires_grad=True)
    found = []
    for by in BOTH:
        with backend(by):
            y, h = layer(x, drive=drive, lengths=[5, 2])
        found.append([y, *torch.autograd.grad(y.square().sum() + h.sum(), [drive, *layer.parameters()])])
    torch.testing.assert_close(*found, rtol=1e-11, atol=1e-12)


def test_gradients_of_gradients_are_the_references() -> None:
    layer = LSTM(3, 5, zoneout=0.1, dtype=D).eval()
    x = torch.randn(4, 2, 3, dtype=D, requires_grad=True)
    found = []
    for by in BOTH:
        with backend(by):
            output = layer(x, lengths=[4, 2])[0]
        (first,) = torch.autograd.grad(output.square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), [x, *layer.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-11)


def test_a_batch_of_gradients() -> None:
    layer = GRU(3, 4, zoneout=0.1, dtype=D, backend="triton").eval()
    x = torch.randn(3, 2, 3, dtype=D, requires_grad=True)
    output = layer(x)[0]
    each = torch.eye(output.numel(), dtype=D).view(-1, *output.shape)
    (got,) = torch.autograd.grad(output, x, each, is_grads_batched=True, retain_graph=True)
    (one,) = torch.autograd.grad(output, x, each[5])
    torch.testing.assert_close(got[5], one, rtol=1e-11, atol=1e-12)


def test_the_output_may_be_changed_in_place_and_a_graph_may_be_kept() -> None:
    layer = LSTM(3, 5, zoneout=0.1, dtype=D, backend="triton").eval()
    x = torch.randn(4, 2, 3, dtype=D, requires_grad=True)
    output, (h, c) = layer(x)
    expected = torch.autograd.grad(output.sum() + c.sum(), x, retain_graph=True)
    again = torch.autograd.grad(output.sum() + c.sum(), x, retain_graph=True)
    output.mul_(2)
    h.zero_()
    got = torch.autograd.grad(output.sum() / 2 + c.sum(), x)
    torch.testing.assert_close([*again, *got], [*expected, *expected])


def test_lengths_that_change_after_the_call_change_nothing() -> None:
    layer = LSTM(3, 5, zoneout=0.1, dtype=D, backend="triton").eval()
    x, lengths = torch.randn(4, 2, 3, dtype=D, requires_grad=True), torch.tensor([4, 2])
    (expected,) = torch.autograd.grad(layer(x, lengths=lengths)[0].sum(), x)
    output = layer(x, lengths=lengths)[0]
    lengths.fill_(1)
    torch.testing.assert_close(torch.autograd.grad(output.sum(), x)[0], expected)


def test_hooks_on_saved_tensors_may_take_them_elsewhere() -> None:
    layer = LSTM(3, 5, zoneout=0.1, dtype=D, backend="triton").eval()
    x = torch.randn(4, 2, 3, dtype=D, requires_grad=True)
    (expected,) = torch.autograd.grad(layer(x)[0].sum(), x)
    with torch.autograd.graph.saved_tensors_hooks(lambda v: v.clone(), lambda v: v.clone()):
        output = layer(x)[0]
    torch.testing.assert_close(torch.autograd.grad(output.sum(), x)[0], expected)


def test_where_all_rows_are_empty_gradients_are_zero_and_not_missing() -> None:
    layer = LSTM(3, 4, bidirectional=True, initial_state="learned", zoneout=0.1, backend="triton")
    output, last = layer(torch.randn(5, 2, 3), lengths=[0, 0])
    (output.sum() + sum(v.sum() for v in last)).backward()
    assert not output.any()
    for name, p in layer.named_parameters():
        assert p.grad is not None, name
        assert name.startswith("initial") or not p.grad.any(), name


def test_an_empty_batch_is_left_to_the_reference() -> None:
    with pytest.raises(ConfigError, match="there is nothing to compute"):
        LSTM(3, 4, zoneout=0.1, backend="triton")(torch.randn(5, 0, 3))


# -- ways to run ----------------------------------------------------------------------------------------------------------------


class Tape(Recorder):
    """A recording of launches as a GPU would make one: what is repeated has the addresses that it had, and no other."""

    def __init__(self) -> None:
        self.recorded = self.repeated = 0

    def record(self, launches: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1

        def repeat() -> None:
            self.repeated += 1
            launches()

        return repeat


def test_launches_are_recorded_once_and_repeated_on_memory_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    tape = Tape()
    monkeypatch.setattr(call, "recorder_of", lambda _device: tape)
    steps = Way("steps", Blocks(4, 4, 16, 1), Blocks(4, 4, 16, 1))
    layer = LSTM(3, 7, zoneout=(0.1, 0.2), dtype=D, backend="triton").eval()
    learned = list(layer.parameters())
    with way(steps):
        for n in range(5):
            x = torch.randn(6, 3, 3, dtype=D, requires_grad=True)
            results = []
            for by in BOTH:
                with backend(by):
                    output, last = layer(x)
                results.append([output, *last, *torch.autograd.grad(output.square().sum(), [x, *learned])])
                del output, last
            torch.testing.assert_close(results[0], results[1], rtol=1e-11, atol=1e-12)
            del results
            assert (tape.recorded, tape.repeated) == [(0, 0), (2, 2), (2, 4), (2, 6), (2, 8)][n]
        # Two calls at the same time do not share what they keep.
        xs = [torch.randn(6, 3, 3, dtype=D, requires_grad=True) for _ in range(2)]
        outputs = [layer(x)[0] for x in xs]
        got = [torch.autograd.grad(output.square().sum(), x)[0] for output, x in zip(outputs, xs, strict=True)]
        with backend("reference"):
            expected = [torch.autograd.grad(layer(x)[0].square().sum(), x)[0] for x in xs]
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)


def test_a_way_by_name() -> None:
    with pytest.raises(ConfigError, match="way expected one of auto, persistent, steps, got 'graphs'"), way("graphs"):
        pass


# -- trust ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells that nobody has compiled or tried yet; nothing is kept on disk."""
    monkeypatch.setenv("OSTINATO_CACHE_DIR", "")
    for known in (cells.lstm, cells.gru, cells.rnn_tanh):
        vars(known).pop("_readings", None)


def made_of(cell: cells.Cell) -> Recurrent:
    return Recurrent(cell, 3, 5)


X = torch.randn(4, 2, 3)


@pytest.mark.usefixtures("fresh")
def test_a_cell_that_is_right_in_small_cases_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with interpreting(tried=True), backend("triton"):
        assert explain(made_of(cells.lstm), X).backends == {"triton"}
        monkeypatch.setattr(trust, "_compared", None)  # not again
        made_of(cells.lstm)(X)


@pytest.mark.usefixtures("fresh")
def test_a_cell_that_is_wrong_runs_on_the_reference_with_the_reason_and_one_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(operations.EXPRESSIONS, "sigmoid", "0.98 * tl.sigmoid({})")
    with interpreting(tried=True):
        request = Example(cells.gru, 3, 2).request()
        with pytest.warns(
            RuntimeWarning, match=r"'gru' runs on the reference on cpu: in a small case \(\w+\) h is off by"
        ):
            refusal = OnGPU().refusal(request)
        assert refusal is not None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert OnGPU().refusal(request) == refusal
        with pytest.raises(ConfigError, match="in a small case"):
            dispatch.run(request, "triton")


@pytest.mark.usefixtures("fresh")
def test_a_cell_that_does_not_compile_runs_on_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(operations.EXPRESSIONS, "tanh", "nowhere({})")
    with interpreting(tried=True), pytest.warns(RuntimeWarning, match="NameError: name 'nowhere' is not defined"):
        assert "nowhere" in str(OnGPU().refusal(Example(cells.rnn_tanh, 3, 2).request()))


@pytest.mark.usefixtures("fresh")
def test_what_passed_is_remembered_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("OSTINATO_CACHE_DIR", str(tmp_path))
    with interpreting(tried=True), backend("triton"):
        made_of(cells.rnn_tanh)(X)
        kernel = gpu_kernel(cells.rnn_tanh, True, False)
        kernel.tried.clear()  # pyright: ignore[reportAttributeAccessIssue]
        monkeypatch.setattr(trust, "_compared", None)
        made_of(cells.rnn_tanh)(X)


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("part", ["training", "backward"])
def test_a_launch_that_fails_is_made_good_by_the_reference(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    real = launch.load

    def broken(source: str) -> dict[str, Any]:
        found = dict(real(source))
        if part in found:
            found[part] = None
        return found

    layer = LSTM(3, 5, dtype=D, zoneout=0.1).eval()
    x = torch.randn(4, 2, 3, dtype=D, requires_grad=True)
    with backend("reference"):
        expected = torch.autograd.grad(layer(x)[0].square().sum(), x)
    monkeypatch.setattr(launch, "load", broken)
    way_of_all = Way("steps", Blocks(4, 16, 16, 1), Blocks(4, 16, 16, 1))
    with backend("triton"), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for kind in ("auto", way_of_all):
            with way(kind):
                got = torch.autograd.grad(layer(x)[0].square().sum(), x)
                torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)
        with pytest.raises(ConfigError, match=r"Triton failed for these sizes \(TypeError"):
            layer(x)
    assert [str(each.message) for each in told if "runs on the reference" in str(each.message)]


# -- the interpreter ------------------------------------------------------------------------------------------------------------


def test_source_says_that_it_is_interpreted() -> None:
    kernel = gpu_kernel(cells.lstm, True, False)
    emitted = emit(kernel.plan, "training", {"H": 5, "I": 3}, Blocks(), interpreted=True)  # pyright: ignore[reportAttributeAccessIssue]
    assert "INTERPRETED = tl.constexpr(True)" in emitted.source


def test_float32_is_held_to_its_own_tolerance() -> None:
    assert TOLERANCE[torch.float32] == 1e-5
    assert_right(Example(cells.lstm, 5, 17, 3, 63), torch.float32, OnGPU().run)


def test_a_memory_of_one_number_a_row_is_right_with_several_programs() -> None:
    from tests.cells import language

    made = Recurrent(language.counting, 3, 11, dtype=D)
    with way(Way("persistent", Blocks(2, 4, 16, 1), Blocks(2, 4, 16, 1))):
        found = []
        for by in BOTH:
            with backend(by):
                output, _ = made(torch.ones(4, 3, 3, dtype=D), lengths=[4, 1, 3])
            found.append([output, *torch.autograd.grad(output.square().sum(), list(made.parameters()))])
    torch.testing.assert_close(found[0], found[1], rtol=1e-11, atol=1e-12)


def test_tensors_are_unchanged_by_a_call() -> None:
    def copy(values: list[Tensor]) -> list[Tensor]:
        return [v.detach().clone() for v in values]

    layer = LSTM(3, 5, dtype=D, zoneout=0.1, backend="triton")
    x = torch.randn(4, 2, 3, dtype=D)
    before = copy([x, *layer.parameters()])
    layer(x, lengths=[4, 1])[0].sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(before, copy([x, *layer.parameters()]), strict=True))
