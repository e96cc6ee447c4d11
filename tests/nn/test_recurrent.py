"""A stack of layers: what stands between them, against stacks written by hand of single torch.nn layers."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import sigmoid, tanh

import ostinato
from ostinato import State, cells
from ostinato.errors import CellError, ConfigError
from tests.support import LAYERS, assert_same, pair, results_and_gradients, tensors

BACKENDS = ["auto", "vendor", "reference"]
few = settings(max_examples=20, deadline=None)


@ostinato.cell(gates="f z", states="h", source="for these tests")
def leaky(x: Any, s: Any, U: Any) -> State:
    u = U(s.h)
    f = sigmoid(x.f + u.f)
    return State(h=f * s.h + (1 - f) * tanh(x.z + u.z))


def single_layers(kind: str, size_in: int, widths: list[int], bidirectional: bool) -> list[Any]:
    name, own = LAYERS[kind]
    directions = 2 if bidirectional else 1
    made = []
    for width in widths:
        made.append(getattr(torch.nn, name)(size_in, width, bidirectional=bidirectional, **own, dtype=torch.float64))
        size_in = (own.get("proj_size") or width) * directions
    return made


def copy_weights(singles: list[Any], stack: Any) -> None:
    for layer, single in enumerate(singles):
        for name, value in single.state_dict().items():
            stack.get_parameter(name.replace("_l0", f"_l{layer}")).data.copy_(value)


@few
@given(
    st.sampled_from(sorted(LAYERS)),
    st.lists(st.integers(3, 6), min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from([None, "residual", "highway"]),
    st.sampled_from(BACKENDS),
)
def test_widths_and_connections_are_those_of_a_stack_by_hand(
    kind: str, widths: list[int], bidirectional: bool, connection: str | None, backend: str
) -> None:
    if connection:
        widths = [widths[0]] * len(widths)
    singles = single_layers(kind, 3, widths, bidirectional)
    name, own = LAYERS[kind]
    stack = getattr(ostinato, name)(
        3, widths, bidirectional=bidirectional, connection=connection, **own, dtype=torch.float64
    )
    copy_weights(singles, stack)
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)

    def by_hand() -> Any:
        below, last = x, []
        for layer, single in enumerate(singles):
            out, states = single(below)
            last.append(states)
            if layer > 0 and connection == "residual":
                out = below + out
            elif layer > 0 and connection == "highway":
                weight, bias = getattr(stack, f"highway_weight_l{layer}"), getattr(stack, f"highway_bias_l{layer}")
                transform = 1 / (1 + torch.exp(-(below @ weight.T + bias)))
                out = transform * out + (1 - transform) * below
            below = out
        return below, last

    def as_lists() -> Any:
        out, last = stack(x)
        states = last if isinstance(last, tuple) else (last,)
        directions = 2 if bidirectional else 1
        rows: list[Any] = [v.split(directions) if isinstance(v, torch.Tensor) else v for v in states]
        each: list[Any] = [tuple(v[layer] for v in rows) for layer in range(len(widths))]
        return out, [v if len(v) > 1 else v[0] for v in each]

    with ostinato.backend(backend):
        assert_same(results_and_gradients(as_lists, {"input": x}), results_and_gradients(by_hand, {"input": x}))


def test_equal_widths_are_a_plain_stack() -> None:
    theirs = torch.nn.LSTM(3, 4, 2)
    ours = ostinato.LSTM(3, [4, 4])
    ours.load_state_dict(theirs.state_dict())
    assert ours.hidden_size == 4
    x = torch.randn(5, 2, 3)
    assert_same(tensors(ours(x)), tensors(theirs(x)), atol=1e-6)
    with ostinato.backend("vendor"):
        assert_same(tensors(ours(x)), tensors(theirs(x)), atol=0.0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_dropout_acts_between_layers_and_not_after_the_last(kind: str, backend: str) -> None:
    theirs, ours = pair(kind, 3, 5, 3, dropout=1.0, bidirectional=True)
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    with ostinato.backend(backend):
        assert_same(tensors(ours(x)), tensors(theirs(x)))  # at rate 1 every layer but the first sees zeros
        ours.eval()
        theirs.eval()
        assert_same(tensors(ours(x)), tensors(theirs(x)))


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_the_same_seed_drops_what_torch_drops(kind: str) -> None:
    theirs, ours = pair(kind, 3, 5, 3, dropout=0.4)
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    torch.manual_seed(3)
    expected = theirs(x)
    for backend in BACKENDS:
        torch.manual_seed(3)
        with ostinato.backend(backend):
            assert_same(tensors(ours(x)), tensors(expected))


def test_dropout_with_one_layer_warns_as_torch_does() -> None:
    said = []
    for library in (torch.nn, ostinato):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            library.GRU(3, 4, dropout=0.5)
        said.append([(w.category, str(w.message)) for w in caught])
    assert said[0] == said[1]
    assert len(said[0]) == 1


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_dropout_options_leave_evaluation_alone(kind: str) -> None:
    name, own = LAYERS[kind]
    noisy = getattr(ostinato, name)(
        3, 5, 2, **own, variational_dropout=(0.3, 0.4, 0.5), weight_dropout=0.5, initial_state="noisy(2)"
    ).double()
    plain = getattr(torch.nn, name)(3, 5, 2, **own).double()
    plain.load_state_dict(noisy.state_dict())
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    assert not torch.allclose(noisy(x)[0], noisy(x)[0])
    noisy.eval()
    assert_same(tensors(noisy(x)), tensors(plain(x)), atol=1e-12)
    assert ostinato.explain(noisy, x).backends == {"compiled"}
    with ostinato.backend("vendor"):
        assert_same(tensors(noisy(x)), tensors(plain(x)), atol=0.0)
        noisy.train()
        with pytest.raises(ConfigError, match="torch's kernels do not know variational_dropout"):
            noisy(x)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_batch_first_turns_input_and_output_and_nothing_else(kind: str, backend: str) -> None:
    _, time_first = pair(kind, 3, 5, 2, bidirectional=True)
    _, batch_first = pair(kind, 3, 5, 2, bidirectional=True, batch_first=True)
    batch_first.load_state_dict(time_first.state_dict())
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    with ostinato.backend(backend):
        for options in ({}, {"lengths": [1, 4]}):
            output, last = time_first(x, **options)
            turned, same_last = batch_first(x.transpose(0, 1), **options)
            assert_same({"output": turned.transpose(0, 1), **tensors(same_last)}, {"output": output, **tensors(last)})
            unbatched = {"lengths": 3} if options else {}
            assert_same(tensors(batch_first(x[:, 0], **unbatched)), tensors(time_first(x[:, 0], **unbatched)))


def test_a_cell_of_the_users_own_runs_as_its_equations_say() -> None:
    layer = ostinato.Recurrent(leaky, 3, 4, dtype=torch.float64)
    assert [tuple(v.shape) for v in layer.all_weights[0]] == [(8, 3), (8, 4), (8,), (8,)]
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    w_ih, w_hh, b_ih, b_hh = layer.all_weights[0]
    h = torch.zeros(2, 4, dtype=torch.float64)
    expected = []
    for step in x:
        f, z = (step @ w_ih.T + b_ih + h @ w_hh.T + b_hh).chunk(2, 1)
        h = sigmoid(f) * h + (1 - sigmoid(f)) * tanh(z)
        expected.append(h)
    output, last = layer(x)
    assert_same({"output": output, "last": last}, {"output": torch.stack(expected), "last": h[None]})
    assert ostinato.explain(layer, x).backends == {"compiled"}
    assert repr(layer) == "Recurrent(leaky, 3, 4)"


def test_the_reference_is_twice_differentiable() -> None:
    layer = ostinato.Recurrent(cells.gru_reset_before, 2, 3, bidirectional=True, dtype=torch.float64)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    h = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    call = lambda x, h: layer(x, h, lengths=[3, 1])  # noqa: E731
    assert torch.autograd.gradcheck(call, (x, h))
    assert torch.autograd.gradgradcheck(call, (x, h))


untyped: Any = ostinato  # what follows is wrong on purpose


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: untyped.LSTM(3, 4, zonout=0), TypeError, r"unexpected keyword argument 'zonout'; did you mean 'zoneout'\?"),
        (lambda: untyped.LSTM(3, 4, foo=1), TypeError, r"unexpected keyword argument 'foo'\. Beside torch.nn's .*: backend,"),
        (lambda: untyped.LSTM(3, 4, zoneout="0.1"), TypeError, r"zoneout expected a probability in \[0, 1\], got: str"),
        (lambda: untyped.LSTM(3, 4, zoneout=1.5), ValueError, r"zoneout expected a probability in \[0, 1\], got 1.5"),
        (lambda: untyped.LSTM(3, 4, zoneout=(0.1,) * 3), ValueError, "one for each of the states h, c, got 3"),
        (lambda: untyped.LSTM(3, 4, zoneout={"d": 0.1}), ValueError, "some of the states h, c, got 'd'"),
        (lambda: untyped.LSTM(3, 4, weight_dropout=True), TypeError, r"weight_dropout expected a probability .* got: bool"),
        (lambda: untyped.LSTM(3, 4, recurrent_dropout=-1), ValueError, r"recurrent_dropout expected .* got -1"),
        (lambda: untyped.LSTM(3, 4, variational_dropout=(0.1, 0.2)), ValueError, r"one rate or three .*, got 2"),
        (lambda: untyped.LSTM(3, 4, layer_norm=1), TypeError, "layer_norm should be of type bool, got: int"),
        (lambda: untyped.LSTM(3, 4, connection="skip"), ValueError, "connection expected None, 'residual' or 'highway'"),
        (lambda: untyped.LSTM(3, [4, 5], connection="residual"), ValueError, "layer 0 gives 4 units and layer 1 gives 5"),
        (lambda: untyped.LSTM(3, [4, 5], num_layers=3), ValueError, "one width for each of the num_layers=3 layers, got 2"),
        (lambda: untyped.LSTM(3, []), ValueError, "got 0 widths"),
        (lambda: untyped.LSTM(3, [4, "5"]), TypeError, "hidden_size should be of type int, got: str"),
        (lambda: untyped.LSTM(3, 4, init="glorot"), ValueError, "init expected one of torch, xavier, .* got 'glorot'"),
        (lambda: untyped.LSTM(3, 4, initial_state="random"), ValueError, "initial_state expected 'zeros', 'learned'"),
        (lambda: untyped.noisy(-1), ValueError, "noisy expected a standard deviation of at least 0, got -1"),
        (lambda: untyped.LSTM(3, 4, forget_bias="1"), TypeError, "forget_bias expected a number or None, got: str"),
        (lambda: untyped.LSTM(3, 4, bias=False, forget_bias=1.0), ValueError, "forget_bias sets a bias, but bias=False"),
        (lambda: untyped.LSTM(3, 4, backend="cuda"), ConfigError, "one of auto, compiled, triton, vendor, reference, got 'cuda'"),
        (lambda: untyped.GRU(3, 4, peephole=True), CellError, "peephole needs a cell with the gates 'f o'; 'gru' has"),
        (lambda: untyped.Recurrent(leaky, 3, 4, proj_size=2), CellError, "proj_size needs a cell with a memory"),
        (lambda: untyped.Recurrent("lstm", 3, 4), TypeError, "cell expected a Cell, made with the decorator"),
    ],
)  # fmt: skip
def test_wrong_options_are_told(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


def test_a_backend_asked_for_by_name_that_cannot_run_says_why() -> None:
    layer, x = ostinato.LSTM(3, 4, layer_norm=True, backend="vendor"), torch.randn(2, 1, 3)
    with pytest.raises(ConfigError, match="'vendor' was asked for by name, but torch's kernels do not know layer_norm"):
        layer(x)
    with (
        pytest.raises(ConfigError, match=r"all states were asked for\. Use backend='auto'"),
        ostinato.backend("vendor"),
    ):
        ostinato.LSTM(3, 4)(x, return_states=True)
    with pytest.raises(ConfigError, match="backend expected one of auto"), ostinato.backend("fast"):
        pass
    with ostinato.backend("reference"):
        layer(x)
