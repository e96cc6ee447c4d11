"""A stream gives what the layer's own step gives, for every cell, and never from weights that are no longer there."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils import prune

import ostinato
from ostinato import GRU, LSTM, RHN, RNN, MinGRU, MinLSTM, Recurrent, State, Stream, catalogue, cell
from ostinato.errors import ConfigError
from ostinato.kernels.cpu.stream import held, kernel
from ostinato.kernels.cpu.stream.kernel import StreamKernel

STEPS = 100
PLAIN: dict[str, Callable[[], Recurrent]] = {
    "rnn_tanh": lambda: RNN(3, 4),
    "rnn_relu": lambda: RNN(17, 16, 2, nonlinearity="relu"),
    "rnn_sigmoid": lambda: RNN(5, 63, nonlinearity="sigmoid"),
    "lstm": lambda: LSTM(7, 33, 3),
    "lstm_widths": lambda: LSTM(16, [48, 1, 20]),
    "lstm_no_bias": lambda: LSTM(1, 20, bias=False),
    "lstm_projected": lambda: LSTM(5, 33, 2, proj_size=17),
    "lstm_residual": lambda: LSTM(5, 20, 3, connection="residual"),
    "gru": lambda: GRU(5, 20, 2),
    "gru_reset_before": lambda: GRU(5, 20, 2, reset_after=False),
    "rhn": lambda: RHN(5, 20, 2, depth=3),
    "min_gru": lambda: MinGRU(5, 20, 2),
    "min_lstm": lambda: MinLSTM(5, 33, 2, positive=True),
}
# What normalises makes small differences large, so these are compared in float64.
OPTIONS: dict[str, Callable[[], Recurrent]] = {
    "zoneout": lambda: LSTM(5, 33, zoneout=(0.1, 0.3)),
    "layer_norm": lambda: LSTM(5, 33, 2, layer_norm=True),
    "layer_norm_projected": lambda: LSTM(5, 33, 2, layer_norm=True, proj_size=17),
    "peephole": lambda: LSTM(5, 33, peephole=True),
    "coupled_gates": lambda: LSTM(5, 33, coupled_gates=True),
    "dropouts": lambda: LSTM(5, 33, 2, dropout=0.5, variational_dropout=0.3, weight_dropout=0.2, recurrent_dropout=0.1),
    "gru_before_layer_norm": lambda: GRU(5, 20, 2, reset_after=False, layer_norm=True),
    "rhn_layer_norm": lambda: RHN(5, 20, depth=2, layer_norm=True),
    "min_gru_layer_norm": lambda: MinGRU(5, 20, 2, layer_norm=True),
    "learned": lambda: GRU(5, 20, initial_state="learned"),
}


def streamed(stream: Stream, inputs: torch.Tensor) -> torch.Tensor:
    return torch.stack([stream(x) for x in inputs])


def expected(layer: Recurrent, inputs: torch.Tensor, hx: Any = None) -> torch.Tensor:
    """The reference's outputs in float64."""
    with torch.no_grad(), ostinato.backend("reference"):
        return copy.deepcopy(layer).double()(inputs.double(), hx)[0]


def check(layer: Recurrent, tolerance: float, steps: int = STEPS) -> None:
    for parameter in layer.parameters():  # also those that begin at zero or one
        torch.nn.init.uniform_(parameter, -0.3, 0.3)
    layer.eval()
    inputs = torch.randn(steps, layer.input_size, dtype=layer.all_weights[0][0].dtype)
    got, want = streamed(Stream(layer), inputs), expected(layer, inputs)
    assert got.dtype == inputs.dtype
    assert (got - want).abs().max() <= tolerance * want.abs().max()


@pytest.mark.parametrize("name", PLAIN)
def test_every_cell_gives_what_its_layer_gives(name: str) -> None:
    torch.manual_seed(0)
    check(PLAIN[name](), 1e-5)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_in_evaluation(name: str) -> None:
    torch.manual_seed(0)
    check(OPTIONS[name]().double(), 1e-10)


@cell(gates="a b", states="h m", parameters={"decay": "H", "shift": "G"})
def own_cell(x: Any, s: Any, U: Any, *, decay: Any, shift: Any) -> State:
    """Two products, the second of a computed value, a sum and the largest of a row, a condition, and parameters of its own."""
    u = U.only("b")(s.h)
    m = torch.where(x.b + u.b > s.m, decay * s.m, torch.tanh(x.b + shift[: x.b.shape[1]]))
    v = U.only("a")(m - m.mean(-1, keepdim=True))
    return State(h=torch.exp(-torch.abs(v.a)) * x.a + m.amax(-1, keepdim=True), m=m)


def test_a_cell_of_ones_own() -> None:
    torch.manual_seed(0)
    check(Recurrent(own_cell, 6, [21, 16], dtype=torch.float64), 1e-10)


@cell(gates="a", states="h", recurrent=False)
def halving(x: Any, s: Any, U: Any) -> State:
    """Does not look at its input."""
    return State(h=s.h * 0.5)


def test_a_cell_that_does_not_look_at_its_input() -> None:
    check(Recurrent(halving, 6, 21, dtype=torch.float64), 1e-10)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 3), st.booleans(), st.booleans())
def test_every_size(inputs: int, hidden: int, layers: int, bias: bool, half: bool) -> None:
    torch.manual_seed(inputs)
    layer = LSTM(inputs, hidden, layers, bias).eval()
    if half:  # weights that bfloat16 can hold, so that nothing is lost
        for name, parameter in layer.named_parameters():
            if name.startswith("weight"):
                parameter.data = parameter.data.bfloat16().float()
    x = torch.randn(4, inputs)
    got = streamed(Stream(layer, torch.bfloat16 if half else None), x)
    torch.testing.assert_close(got.double(), expected(layer, x), rtol=1e-5, atol=1e-6)


# the state


@pytest.mark.parametrize("make", [lambda: LSTM(3, [5, 4]), lambda: GRU(3, 5, 2), lambda: LSTM(3, 5, 2, proj_size=2)])
def test_the_state_goes_over_to_the_layer_and_back(make: Callable[[], Recurrent]) -> None:
    layer = make().eval()
    inputs = torch.randn(9, 3)
    stream = Stream(layer)
    first = streamed(stream, inputs[:3])
    with torch.no_grad():
        middle, state = layer(inputs[3:6], stream.state)
    stream.state = state
    last = streamed(stream, inputs[6:])
    torch.testing.assert_close(torch.cat([first, middle, last]).double(), expected(layer, inputs), rtol=1e-5, atol=1e-6)


def test_a_state_with_a_batch_of_one_is_taken_too_and_what_is_given_is_a_copy() -> None:
    stream, x = Stream(GRU(3, 5).eval()), torch.randn(3)
    stream.state = torch.ones(1, 1, 5)
    before = stream.state
    assert torch.equal(before, torch.ones(1, 5))
    stream(x)
    assert torch.equal(before, torch.ones(1, 5))
    before.zero_()
    assert stream.state.abs().sum() > 0
    for wrong in (torch.ones(2, 5), torch.ones(1, 1, 6), torch.ones(2, 1, 5), (torch.ones(1, 5),) * 2, None):
        with pytest.raises((ValueError, RuntimeError)):
            stream.state = wrong


def test_reset_goes_back_to_the_first_state() -> None:
    layer: Any = GRU(3, 5, initial_state="learned").eval()
    torch.nn.init.normal_(layer.initial_h_l0)
    stream, inputs = Stream(layer), torch.randn(4, 3)
    first = streamed(stream, inputs)
    assert not torch.equal(streamed(stream, inputs), first)
    stream.reset()
    assert torch.equal(stream.state[0], layer.initial_h_l0)
    assert torch.equal(streamed(stream, inputs), first)


def test_copies_go_on_by_themselves_on_the_same_weights() -> None:
    layer: Any = LSTM(3, 20).eval()
    inputs = torch.randn(2, 6, 3)
    one = Stream(layer)
    one(inputs[0, 0])
    other = one.copy()
    got = torch.stack([torch.stack([one(a), other(b)]) for a, b in zip(inputs[0, 1:], inputs[1, 1:], strict=True)])
    for n in range(2):
        whole = torch.cat([inputs[0, :1], inputs[n, 1:]])
        torch.testing.assert_close(got[:, n].double(), expected(layer, whole)[1:], rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        layer.weight_ih_l0.add_(1.0)
    state = other.state
    one.refresh()  # for both
    other.check_weights = False
    want = expected(layer, inputs[0, :1], tuple(v.double() for v in state))[0]
    torch.testing.assert_close(other(inputs[0, 0]).double(), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda stream: pickle.loads(pickle.dumps(stream))])
def test_a_stream_is_copied_with_all_it_holds_and_pickled(again: Callable[[Stream], Stream]) -> None:
    layer, inputs = LSTM(3, 5).eval(), torch.randn(4, 3)
    one = Stream(layer, torch.bfloat16, check_weights=False)
    one(inputs[0])
    other = again(one)
    assert other.layer is not layer
    assert (other.streaming_dtype, other.check_weights) == (torch.bfloat16, False)
    want = streamed(one, inputs)
    torch.nn.init.zeros_(layer.get_parameter("weight_ih_l0"))
    one.refresh()
    assert torch.equal(streamed(other, inputs), want)


def test_a_weight_of_another_shape_is_told() -> None:
    layer = LSTM(3, 5, 2).eval()
    stream = Stream(layer)
    layer.register_parameter("weight_hh_l1", torch.nn.Parameter(torch.zeros(8, 5)))
    with pytest.raises(ConfigError, match=r"expected weight_hh_l1 of the shape \(20, 5\), got \(8, 5\)"):
        stream(torch.zeros(3))


# input and output


def test_each_output_is_a_tensor_of_its_own() -> None:
    stream, inputs = Stream(LSTM(3, 5).eval()), torch.randn(4, 3)
    outputs = [stream(x) for x in inputs]
    kept = [y.clone() for y in outputs]
    for y in outputs:
        assert not y.requires_grad
        y.fill_(torch.nan)  # the stream does not look at it again
    stream.reset()
    assert torch.equal(streamed(stream, inputs), torch.stack(kept))


def test_rows_and_strided_inputs() -> None:
    stream, x = Stream(LSTM(3, 5).eval()), torch.randn(3)
    want = stream(x)
    for given_x in (x[None], x.repeat_interleave(2)[::2], x[None].repeat_interleave(2, 1)[:, ::2]):
        stream.reset()
        assert torch.equal(stream(given_x), want if given_x.dim() == 1 else want[None])
    with torch.no_grad():
        stream.reset()
        assert torch.equal(stream(x.clone().requires_grad_()), want)
    with torch.inference_mode():
        stream.reset()
        assert torch.equal(stream(x.clone()), want)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(4), r"x expected a tensor of shape \(3,\) or \(1, 3\), torch.float32, on the CPU; got \(4,\)"),
        (torch.zeros(2, 3), r"got \(2, 3\)"),
        (torch.zeros(1, 1, 3), r"got \(1, 1, 3\)"),
        (torch.zeros(3, dtype=torch.float64), "torch.float64"),
        (torch.zeros(3, device="meta"), "on meta"),
        ([0.0, 0.0, 0.0], "got list"),
        (torch.zeros(3).numpy(), "got ndarray"),
        (torch.zeros(3, requires_grad=True), "x expected no gradient"),
    ],
)
def test_a_wrong_input_is_told_and_changes_nothing(x: Any, said: str) -> None:
    stream = Stream(LSTM(3, 5).eval())
    with pytest.raises(ConfigError, match=said):
        stream(x)
    assert stream.state[0].abs().sum() == 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: Stream(cast(Any, torch.nn.LSTM(3, 5).eval())),
            "recurrent layer of ostinato, got LSTM; ostinato.convert",
        ),
        (lambda: Stream(LSTM(3, 5)), r"evaluation mode, got one in training mode; use Stream\(layer.eval\(\)\)"),
        (lambda: Stream(LSTM(3, 5, bidirectional=True).eval()), "one direction"),
        (lambda: Stream(LSTM(3, 5, 2, connection="highway").eval()), "highway"),
        (lambda: Stream(LSTM(3, 5).eval().bfloat16()), "torch.bfloat16 on cpu"),
        (lambda: Stream(LSTM(3, 5, device="meta").eval()), "on meta"),
        (
            lambda: Stream(LSTM(3, 5).eval(), torch.float16),
            "streaming_dtype expected None, torch.bfloat16 or torch.int8",
        ),
        (lambda: Stream(LSTM(3, 5).eval().double(), torch.bfloat16), r"use layer.float\(\)"),
        (
            lambda: Stream(Recurrent(unknown_to_the_compiler, 3, 5).eval(), torch.bfloat16),
            "expected None, as nothing is packed",
        ),
        (lambda: Stream(Recurrent(unknown_to_the_compiler, 3, 5)), "evaluation mode, got one in training mode"),
    ],
)
def test_what_cannot_be_streamed_is_told(make: Callable[[], Stream], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()


@cell(gates="a", states="h")
def unknown_to_the_compiler(x: Any, s: Any, U: Any) -> State:
    return State(h=torch.cumsum(x.a + U(s.h).a, -1))


# in plain PyTorch


def plain(**options: Any) -> Recurrent:
    return Recurrent(unknown_to_the_compiler, 3, 5, **options).eval()


@pytest.mark.parametrize(
    "make",
    [
        lambda: plain(num_layers=2, layer_norm=True, connection="residual"),
        lambda: plain(initial_state="learned", zoneout=0.2),
        lambda: ostinato.catalogue.MLSTM(3, 6, 2, num_heads=2).eval(),
    ],
)
def test_a_cell_that_the_compiler_does_not_take_is_streamed_in_plain_pytorch(make: Callable[[], Recurrent]) -> None:
    check(make().double(), 1e-10)


def test_a_stream_in_plain_pytorch_is_used_as_every_other() -> None:
    layer = ostinato.catalogue.MLSTM(3, 6, num_heads=2).eval()
    inputs, stream = torch.randn(9, 3), Stream(layer)
    assert isinstance(stream, Stream)
    assert "in plain PyTorch, as its state C has the shape (B, N, d, d)" in repr(stream)
    assert stream.error_report is None
    assert stream.measure_error(inputs).outputs == 0
    assert stream.weight_bytes == 4 * sum(p.numel() for p in layer.parameters())
    first = streamed(stream, inputs[:3])
    with torch.no_grad():
        middle, state = layer(inputs[3:6], stream.state)
    stream.state = state
    others = stream.copy(), copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))
    want = expected(layer, inputs)
    for each in (stream, *others):
        each.refresh()
        got = torch.cat([first, middle, streamed(each, inputs[6:])])
        torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=1e-6)
        assert not got.requires_grad
        each.reset()
        assert all(v.shape == w.shape and not v.any() for v, w in zip(each.state, state, strict=True))
    assert stream(inputs[:1]).shape == (1, 6)
    with pytest.raises(ConfigError, match="x expected a tensor of shape"):
        stream(torch.zeros(4))
    with pytest.raises(TypeError, match="unexpected keyword argument 'dt'"):
        stream(inputs[0], dt=1.0)


@cell(gates="a", states="h", extras="dt mask:I")
def timed_but_unknown(x: Any, s: Any, U: Any, dt: Any, mask: Any) -> State:
    return State(h=torch.cumsum(x.a + dt * U(s.h).a, -1) * mask.sum(-1, keepdim=True))


def test_extras_in_plain_pytorch() -> None:
    layer = Recurrent(timed_but_unknown, 3, 5).eval()
    x, dt, mask = torch.randn(4, 3), torch.rand(4), torch.rand(4, 3).round()
    with torch.no_grad():
        want = layer(x, dt=dt, mask=mask)[0]
    stream = Stream(layer)
    got = [stream(x[t], dt=float(dt[t]), mask=mask[t]) for t in range(4)]
    torch.testing.assert_close(torch.stack(got), want)
    with pytest.raises(ConfigError, match=r"mask expected a tensor of shape \(3,\), got \(2,\)"):
        stream(x[0], dt=0.5, mask=torch.zeros(2))


def test_in_plain_pytorch_other_weights_are_there_at_once_and_another_dtype_is_told() -> None:
    layer = plain()
    stream = Stream(layer)
    stream.state = torch.ones(1, 5)
    assert_follows(stream, layer, _load_own)
    layer.train()
    stream(torch.randn(3))
    assert layer.training
    layer.double()
    with pytest.raises(ConfigError, match=r"the layer expected torch.float32, .*; make a new stream"):
        stream(torch.zeros(3))


def _load_own(layer: Recurrent) -> None:
    layer.load_state_dict(plain().state_dict())


# the weights


def _in_place(layer: Any) -> None:
    with torch.no_grad():
        layer.weight_hh_l0[2, 3] += 1.0


def _optimiser(layer: Recurrent) -> None:
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.Adam(layer.parameters(), lr=0.1).step()


def _load(layer: Recurrent) -> None:
    layer.load_state_dict(LSTM(3, 20).state_dict())


def _assign(layer: Recurrent) -> None:
    layer.load_state_dict(LSTM(3, 20).state_dict(), assign=True)


def _replace(layer: Recurrent) -> None:
    layer.bias_ih_l0 = torch.nn.Parameter(torch.randn(80))


def _data(layer: Recurrent) -> None:
    layer.weight_ih_l0.data = torch.randn(80, 3)


def _parametrize(layer: Any) -> None:
    torch.nn.utils.parametrizations.weight_norm(layer, "weight_hh_l0")
    with torch.no_grad():
        layer.parametrizations.weight_hh_l0.original0.mul_(2.0)


def _set(layer: Any) -> None:
    with torch.no_grad():
        layer.weight_hh_l0.set_(torch.randn(80, 20))


def _data_twice(layer: Any) -> None:
    """The second may come to lie where the first lay."""
    for _ in range(2):
        layer.weight_hh_l0.data = layer.weight_hh_l0.data * 1.5


def _vector(layer: Recurrent) -> None:
    for _ in range(2):
        vector = torch.nn.utils.parameters_to_vector(layer.parameters())
        torch.nn.utils.vector_to_parameters(torch.randn_like(vector), layer.parameters())


def _last_is_pruned(layer: Recurrent) -> None:
    """The parameters stay the same objects, in the same order."""
    prune.random_unstructured(layer, "bias_hh_l0", 0.5)
    with torch.no_grad():
        layer.get_buffer("bias_hh_l0_mask").copy_(torch.arange(80) % 2)


CHANGES = (
    *(_in_place, _optimiser, _load, _assign, _replace, _data, _parametrize),
    *(_set, _data_twice, _vector, _last_is_pruned),
)
ONCE = (_parametrize, _last_is_pruned)


def assert_follows(stream: Stream, layer: Recurrent, change: Callable[[Any], None]) -> None:
    """The step after the change has the layer's weights, and other outputs than it had without the change."""
    x, state = torch.randn(1, layer.input_size, dtype=layer.all_weights[0][0].dtype), stream.state
    unchanged = stream(x)
    stream.state = state
    change(layer)
    got = stream(x)  # before the layer, whose call would renew what hooks make
    with torch.no_grad(), ostinato.backend("reference"):
        want = layer(x, state)[0]
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(unchanged, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_changed_weights_are_noticed_at_the_next_call(change: Callable[[Recurrent], None]) -> None:
    layer = LSTM(3, 20).eval()
    stream = Stream(layer)
    stream(torch.randn(3))
    for _ in range(1 if change in ONCE else 2):
        assert_follows(stream, layer, change)


def test_a_square_matrix_that_is_turned_over_where_it_lies_is_noticed() -> None:
    layer = RNN(3, 20).eval()
    stream = Stream(layer)
    stream.state = torch.ones(1, 20)
    assert_follows(stream, layer, lambda layer: setattr(layer.weight_hh_l0, "data", layer.weight_hh_l0.data.t()))


def _swap_data(layer: Any) -> None:
    one, other = layer.weight_ih_l0, layer.weight_hh_l0
    one.data, other.data = other.data, one.data


def test_parameters_whose_data_change_places_are_noticed() -> None:
    layer = RNN(20, 20).eval()
    stream = Stream(layer)
    stream.state = torch.ones(1, 20)
    assert_follows(stream, layer, _swap_data)


def test_weights_made_in_inference_mode_are_compared_number_by_number() -> None:
    with torch.inference_mode():
        layer = LSTM(3, 20).eval()
        stream = Stream(layer)
        for change in (lambda layer: layer.weight_ih_l0.neg_(), lambda layer: layer.bias_ih_l0.data.mul_(2.0)):
            assert_follows(stream, layer, change)


def pruned(layer: Recurrent) -> None:
    prune.l1_unstructured(layer, "weight_hh_l0", 0.5)
    prune.random_unstructured(layer, "weight_hh_l0", 0.3)
    prune.ln_structured(layer, "weight_ih_l0", 0.2, n=2, dim=0)


def weight_normed(layer: Recurrent) -> None:
    with pytest.warns(FutureWarning, match="weight_norm"):
        torch.nn.utils.weight_norm(layer, "weight_hh_l0")  # pyright: ignore[reportDeprecated]


def spectral_normed(layer: Recurrent) -> None:
    torch.nn.utils.spectral_norm(layer, "weight_hh_l0")


HOOKED: dict[str, tuple[Callable[[Recurrent], None], Callable[[Any], None]]] = {
    "prune": (pruned, lambda layer: layer.weight_hh_l0_orig.mul_(-2.0)),
    "prune's mask": (pruned, lambda layer: layer.weight_ih_l0_mask.fill_(1.0)),
    "prune again": (pruned, lambda layer: prune.random_unstructured(layer, "weight_ih_l0", 0.5)),
    "prune for good": (pruned, lambda layer: (prune.remove(layer, "weight_hh_l0"), layer.weight_hh_l0.neg_())),
    "weight_norm": (weight_normed, lambda layer: layer.weight_hh_l0_g.mul_(2.0)),
    "weight_norm's direction": (weight_normed, lambda layer: layer.weight_hh_l0_v.neg_()),
    "spectral_norm": (spectral_normed, lambda layer: layer.weight_hh_l0_orig.normal_()),
    "spectral_norm's vector": (spectral_normed, lambda layer: layer.weight_hh_l0_u.normal_()),
}


@pytest.mark.parametrize("name", HOOKED)
def test_weights_that_hooks_of_torch_make_are_followed(name: str) -> None:
    torch.manual_seed(0)
    make, change = HOOKED[name]
    layer = LSTM(3, 20)
    make(layer)
    layer.eval()
    stream = Stream(layer)
    stream.state = torch.ones(1, 20), torch.ones(1, 20)
    with torch.no_grad():
        assert_follows(stream, layer, change)


@pytest.mark.parametrize("with_kwargs", [False, True])
def test_weights_that_a_hook_of_ones_own_makes_are_followed(with_kwargs: bool) -> None:
    layer: Any = LSTM(3, 20).eval()
    base, settings_ = layer.weight_hh_l0, {"scale": 1.0}
    del layer.weight_hh_l0

    def hook(layer: Any, *_: Any) -> None:
        layer.weight_hh_l0 = base.detach() * settings_["scale"]

    hook(layer)
    layer.register_forward_pre_hook(hook, with_kwargs=with_kwargs)
    stream = Stream(layer)
    stream.state = torch.ones(1, 20), torch.ones(1, 20)
    assert_follows(stream, layer, lambda _: settings_.update(scale=2.0))
    assert_follows(stream, layer, lambda _: base.data.neg_())


def test_a_weight_that_is_a_plain_tensor_is_followed() -> None:
    layer: Any = LSTM(3, 20).eval()
    given_ = layer.weight_hh_l0.detach()
    del layer.weight_hh_l0
    layer.weight_hh_l0 = given_
    stream = Stream(layer)
    stream.state = torch.ones(1, 20), torch.ones(1, 20)
    assert_follows(stream, layer, lambda layer: layer.weight_hh_l0.neg_())
    assert_follows(stream, layer, lambda layer: setattr(layer, "weight_hh_l0", torch.randn(80, 20)))


def test_packing_leaves_a_layer_in_training_as_it_is() -> None:
    layer = LSTM(3, 20).eval()
    torch.nn.utils.parametrizations.spectral_norm(layer, "weight_hh_l0")
    layer.eval()
    stream = Stream(layer)
    layer.train()
    before = copy.deepcopy(layer.state_dict())
    stream.refresh()
    stream(torch.zeros(3))
    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)
    assert all(module.training for module in layer.modules())


@pytest.mark.parametrize("assign", [False, True])
def test_a_parametrization_that_is_loaded_or_put_in_place_of_another_is_noticed(assign: bool) -> None:
    layer: Any = LSTM(3, 20).eval()
    torch.nn.utils.parametrizations.weight_norm(layer, "weight_hh_l0")
    stream = Stream(layer)
    stream.state = torch.ones(1, 20), torch.ones(1, 20)
    other = {name: torch.randn_like(v) for name, v in layer.state_dict().items()}
    assert_follows(stream, layer, lambda layer: layer.load_state_dict(other, assign=assign))
    negative = torch.nn.utils.parametrizations.weight_norm(LSTM(3, 20), "weight_hh_l0").parametrizations.weight_hh_l0  # pyright: ignore
    assert_follows(stream, layer, lambda layer: setattr(layer.parametrizations, "weight_hh_l0", negative))


def test_weights_that_cannot_be_packed_are_told_at_every_call() -> None:
    layer = LSTM(3, 5).eval()
    stream = Stream(layer)
    layer.register_parameter("weight_hh_l0", torch.nn.Parameter(torch.zeros(8, 5)))
    for _ in range(3):
        with pytest.raises(ConfigError, match=r"expected weight_hh_l0 of the shape"):
            stream(torch.zeros(3))


def test_a_parametrized_weight_is_followed() -> None:
    layer: Any = LSTM(3, 20).eval()
    torch.nn.utils.parametrizations.weight_norm(layer, "weight_hh_l0")
    stream, x = Stream(layer), torch.randn(3)
    before = stream(x), stream(x)
    with torch.no_grad():
        layer.parametrizations.weight_hh_l0.original0.mul_(2.0)
    stream.reset()
    assert torch.equal(stream(x), before[0])  # the state was zero
    assert not torch.equal(stream(x), before[1])


def test_without_the_look_old_weights_stay_until_refresh() -> None:
    layer = LSTM(3, 20).eval()
    stream, x = Stream(layer, check_weights=False), torch.randn(3)
    old = stream(x)
    _in_place(layer)
    _load(layer)
    stream.reset()
    assert torch.equal(stream(x), old)
    stream.reset()
    stream.refresh()
    torch.testing.assert_close(stream(x).double(), expected(layer, x[None])[0], rtol=1e-5, atol=1e-6)


def test_a_layer_of_another_dtype_is_told() -> None:
    layer = LSTM(3, 20).eval()
    stream = Stream(layer)
    layer.double()
    with pytest.raises(ConfigError, match=r"the layer expected torch.float32, .*; make a new stream"):
        stream(torch.zeros(3))


# bfloat16


def test_bfloat16_weights_are_half_the_size_and_their_error_is_told() -> None:
    torch.manual_seed(0)
    layer = LSTM(32, 64, 2).eval()
    exact, rounded = Stream(layer), Stream(layer, torch.bfloat16)
    assert exact.error_report is None
    assert rounded.weight_bytes * 2 == exact.weight_bytes
    report = rounded.error_report
    assert report is not None
    assert rounded.error_report is report
    matrices = torch.cat([p.detach().flatten() for n, p in layer.named_parameters() if n.startswith("weight")]).double()
    want = (matrices.float().bfloat16().double() - matrices).norm() / matrices.norm()
    assert report.weights == pytest.approx(float(want), rel=1e-3)
    assert 1e-5 < report.outputs < 2e-2
    assert report.steps == 100
    assert rounded.state[0].abs().sum() == 0  # measuring left it as it was
    inputs = torch.randn(20, 32)
    own = rounded.measure_error(inputs)
    reference = expected(layer, inputs)
    assert own.outputs == pytest.approx(
        float((streamed(rounded, inputs) - reference).abs().max() / reference.abs().max()), rel=1e-2
    )
    _in_place(layer)
    assert rounded.error_report is not report


# int8


def as_int8(layer: Recurrent) -> Recurrent:
    """The layer with every weight of a product as int8 holds it: rows of whole numbers up to 127 times a scale."""
    layer = copy.deepcopy(layer)
    for parameter in layer.parameters():
        if parameter.dim() > 1:
            scale = parameter.data.abs().amax(1, keepdim=True) / 127
            parameter.data = (parameter.data / scale.clamp_min(1e-30)).round() * scale
    return layer


@pytest.fixture(params=["pairs", "one by one"])
def tolerance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """Of both ways to add up int8, of which a processor takes one: what its rounding of what enters may change."""
    if request.param == "pairs":
        return 1e-4
    monkeypatch.setattr(held, "_has_pairs", lambda: False)
    monkeypatch.setattr(kernel, "stream_kernel", StreamKernel)  # makes it anew
    return 1e-5


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 3), st.booleans())
def test_int8_weights_of_every_size(inputs: int, hidden: int, layers: int, bias: bool) -> None:
    torch.manual_seed(inputs)
    layer = LSTM(inputs, hidden, layers, bias).eval()
    x = torch.randn(4, inputs)
    got = streamed(Stream(layer, torch.int8), x)
    torch.testing.assert_close(got.double(), expected(as_int8(layer), x), rtol=0, atol=1e-4)


INT8 = {
    "lstm": lambda: LSTM(7, 37, 2),
    "projection": lambda: LSTM(7, 37, 2, proj_size=5),
    "layer norm, peephole": lambda: LSTM(7, 37, layer_norm=True, peephole=True),
    "reset before": lambda: GRU(7, 37, reset_after=False),
    "residual, widths": lambda: GRU(7, [37, 37], connection="residual"),
    "depth": lambda: RHN(7, 19, depth=3),
    "heads": lambda: catalogue.make("slstm", 7, 24, num_heads=3),
    "matrices of its own": lambda: catalogue.make("lmu", 7, 12),
    "extras": lambda: catalogue.make("cfc", 7, 12),
}


@pytest.mark.parametrize("make", INT8.values(), ids=INT8)
def test_int8_weights_of_every_kind_of_product(tolerance: float, make: Callable[[], Recurrent]) -> None:
    torch.manual_seed(0)
    layer = make().eval()
    extras = {name: torch.rand(6, 1) for name in layer.cell.extras}
    x = torch.randn(6, 7)
    stream, plain = Stream(layer, torch.int8), as_int8(layer)
    got = torch.stack([stream(x[t], **{name: v[t] for name, v in extras.items()}) for t in range(len(x))])
    with torch.no_grad():
        want = plain(x, **extras)[0]
    torch.testing.assert_close(got, want, rtol=0, atol=5 * tolerance)


def test_int8_weights_are_a_quarter_of_the_size_and_their_error_is_told() -> None:
    torch.manual_seed(0)
    layer = LSTM(64, 64, 2).eval()
    exact, rounded = Stream(layer), Stream(layer, torch.int8)
    scales = 4 * sum(2 * p.shape[0] for n, p in layer.named_parameters() if n.startswith("weight_ih"))
    assert rounded.weight_bytes == exact.weight_bytes // 4 + scales
    report, plain = rounded.error_report, as_int8(layer)
    assert report is not None
    weights, held_weights = (
        torch.cat([p.detach().flatten() for n, p in each.named_parameters() if n.startswith("weight")])
        for each in (layer, plain)
    )
    assert report.weights == pytest.approx(float((held_weights - weights).norm() / weights.norm()), rel=1e-4)
    assert 1e-4 < report.outputs < 5e-2


@pytest.mark.parametrize("inputs", [1, 516, 517, 5000])
def test_int8_sums_do_not_overflow(inputs: int) -> None:
    layer = RNN(inputs, 4, bias=False, nonlinearity="relu").eval()
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.tensor([1.0, -1.0, 0.5, 0.0])[:, None].expand(4, inputs))
        layer.weight_hh_l0.zero_()
    stream = Stream(layer, torch.int8)
    torch.testing.assert_close(stream(torch.full((inputs,), 3.0)), inputs * torch.tensor([3.0, 0.0, 1.5, 0.0]))
    stream.reset()
    torch.testing.assert_close(stream(torch.full((inputs,), -3.0)), inputs * torch.tensor([0.0, 3.0, 0.0, 0.0]))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_int8_weights_hide_no_number_that_is_not_finite(wrong: float) -> None:
    stream = Stream(LSTM(5, 20).eval(), torch.int8)
    x = torch.zeros(5)
    stream(x)
    x[3] = wrong
    assert stream(x).isnan().all()


def test_int8_of_zeros() -> None:
    layer = GRU(3, 5).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    assert torch.equal(Stream(layer, torch.int8)(torch.ones(3)), torch.zeros(5))


@pytest.mark.parametrize("inputs", [torch.zeros(0, 3), torch.tensor(1.0), [[1.0, 2.0, 3.0]]])
def test_an_error_is_measured_on_a_sequence(inputs: Any) -> None:
    stream = Stream(LSTM(3, 5).eval(), torch.bfloat16)
    with pytest.raises(ConfigError, match=r"inputs expected a tensor of shape \(T, 3\), T at least 1; got "):
        stream.measure_error(inputs)


def test_it_says_what_it_is() -> None:
    text = repr(Stream(LSTM(3, 5).eval(), torch.bfloat16))
    assert text.startswith("Stream(LSTM(3, 5), streaming_dtype=torch.bfloat16, weight_bytes=")


def test_a_step_that_reads_a_number_that_always_changes_is_refused_at_every_call_and_never_answered_with_an_old_one() -> (
    None
):
    scale = 0.0

    @ostinato.cell(gates="a", states="h")
    def scaled(x: Any, s: Any, U: Any) -> Any:
        return ostinato.State(h=torch.tanh(x.a + U(s.h).a) * scale)

    layer = Recurrent(scaled, 3, 4).eval()
    stream, x = Stream(layer), torch.randn(3)
    for n in range(4):
        scale = 0.1 * (n + 1)
        stream.reset()
        if n == 3:
            break
        torch.testing.assert_close(stream(x), layer(x.view(1, 1, 3))[0].view(4))
    for n in range(3):
        scale = 0.5 + n
        with pytest.raises(ConfigError, match="scale changes between calls"):
            stream(x)
