"""`RNN`, `LSTM` and `GRU` in torch.nn's place: the same weights, the same module, whatever is done to it."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.rnn import pack_padded_sequence

import ostinato
from tests.support import LAYERS, assert_same, outcome, pair, results_and_gradients, tensors

BACKENDS = ["auto", "vendor", "reference"]
STACKS: list[dict[str, Any]] = [{}, {"num_layers": 3}, {"bidirectional": True}, {"num_layers": 2, "bias": False}]
OPTIONS: list[dict[str, Any]] = [
    {"zoneout": 0.1, "layer_norm": True, "init": "orthogonal"},
    {"variational_dropout": 0.2, "weight_dropout": 0.1, "forget_bias": 1.0, "connection": "highway"},
    {"peephole": True, "coupled_gates": True, "initial_state": "learned", "init": "chrono(9)"},
    {"recurrent_dropout": 0.3, "initial_state": "noisy(0.1)", "backend": "reference"},
]
kinds = pytest.mark.parametrize("kind", sorted(LAYERS))
backends = pytest.mark.parametrize("backend", BACKENDS)


def both(kind: str, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """torch.nn's layer and ours, each made from the same seed."""
    name, own = LAYERS[kind]
    made: list[Any] = []
    for library in (torch.nn, ostinato):
        torch.manual_seed(5)
        made.append(getattr(library, name)(*args, **own, **kwargs))
    return made[0], made[1]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(LAYERS)), st.integers(1, 3), st.booleans(), st.booleans(), st.integers(0, 99))
def test_the_same_seed_makes_the_same_weights(
    kind: str, layers: int, bidirectional: bool, bias: bool, seed: int
) -> None:
    name, own = LAYERS[kind]
    states = []
    for library in (torch.nn, ostinato):
        torch.manual_seed(seed)
        layer = getattr(library, name)(3, 5, layers, bidirectional=bidirectional, bias=bias, **own)
        states.append(layer.state_dict())
        states[-1]["what is drawn next"] = torch.rand(1)
        layer.reset_parameters()
        states[-1]["once more"] = layer.weight_hh_l0
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@kinds
@pytest.mark.parametrize("stack", STACKS, ids=str)
def test_state_dicts_go_both_ways_bit_for_bit(kind: str, stack: dict[str, Any]) -> None:
    name, own = LAYERS[kind]
    for source, target in ((torch.nn, ostinato), (ostinato, torch.nn)):
        old, new = getattr(source, name)(3, 5, **stack, **own), getattr(target, name)(3, 5, **stack, **own)
        assert new.load_state_dict(old.state_dict(), strict=True) == ([], [])
        got, expected = new.state_dict(), old.state_dict()
        assert list(got) == list(expected)
        assert got._metadata == expected._metadata
        assert all(torch.equal(got[n], expected[n]) for n in expected)
        assert [len(w) for w in new.all_weights] == [len(w) for w in old.all_weights]
        assert [n for n, _ in new.named_parameters()] == [n for n, _ in old.named_parameters()]


@kinds
def test_repr_and_attributes_are_torchs(kind: str) -> None:
    for stack in STACKS:
        theirs, ours = both(kind, 3, 5, batch_first=True, **stack)
        assert repr(ours) == repr(theirs)
        assert isinstance(ours, type(theirs))
        for name in theirs.__constants__:
            assert getattr(ours, name) == getattr(theirs, name), name
        assert ours._flat_weights_names == theirs._flat_weights_names
        assert ours._all_weights == theirs._all_weights


def test_arguments_have_torchs_order() -> None:
    assert repr(ostinato.RNN(3, 5, 2, "relu", False, True, 0.5, True, "cpu", torch.float64)) == repr(
        torch.nn.RNN(3, 5, 2, "relu", False, True, 0.5, True, device="cpu", dtype=torch.float64)
    )
    arguments: Any = (3, 5, 2, False, True, 0.5, True, 2, "cpu", torch.float64)
    assert repr(ostinato.LSTM(*arguments)) == repr(torch.nn.LSTM(*arguments))
    assert ostinato.LSTM(*arguments).weight_hh_l0.dtype is torch.float64
    assert repr(ostinato.GRU(3, 5, 2, False, True, 0.5, True)) == repr(torch.nn.GRU(3, 5, 2, False, True, 0.5, True))


def saved_and_loaded(module: torch.nn.Module) -> torch.nn.Module:
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda m: pickle.loads(pickle.dumps(m)),
    "save": saved_and_loaded,
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("options", [{}, *OPTIONS], ids=str)
def test_copies_compute_the_same_and_are_their_own(options: dict[str, Any], how: str) -> None:
    layer = ostinato.LSTM(3, 5, 2, bidirectional=True, **options)
    twin = COPIES[how](layer)
    assert repr(twin) == repr(layer)
    x = torch.randn(4, 2, 3)
    for training in (True, False):
        layer.train(training)
        twin.train(training)
        torch.manual_seed(1)
        expected = tensors(layer(x, lengths=[4, 2]))
        torch.manual_seed(1)
        assert_same(tensors(twin(x, lengths=[4, 2])), expected, atol=0.0)
    if how != "copy":
        with torch.no_grad():
            twin.weight_hh_l1.zero_()
        assert bool((layer.get_parameter("weight_hh_l1") != 0).any())
    flat = [getattr(twin, name) for name in twin._flat_weights_names]
    assert all(a is b for a, b in zip(twin._flat_weights, flat, strict=True))


@pytest.mark.cross
@kinds
@backends
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_dtypes(kind: str, backend: str, dtype: torch.dtype) -> None:
    theirs, ours = pair(kind, 3, 5, 2, bidirectional=True)
    theirs, ours = theirs.to(dtype), ours.to(dtype)
    assert all(w.dtype is dtype for w in ours._flat_weights)
    x = torch.randn(4, 2, 3, dtype=dtype)
    with ostinato.backend(backend), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch says that oneDNN knows no projections
        atol = 1e-12 if dtype is torch.float64 else 2 * torch.finfo(dtype).eps
        assert_same(tensors(ours(x)), tensors(theirs(x)), atol=atol)
        assert_same(tensors(ours(x, lengths=[4, 4])), tensors(theirs(x)), atol=atol)


def test_float_and_half_methods_keep_the_flat_weights() -> None:
    layer: Any = ostinato.GRU(3, 5, 2)
    for turn, dtype in ((layer.half, torch.float16), (layer.bfloat16, torch.bfloat16), (layer.double, torch.float64)):
        turn()
        assert [w.dtype for w in layer._flat_weights] == [dtype] * 8
        assert all(w is p for w, p in zip(layer._flat_weights, layer.parameters(), strict=True))
    layer.flatten_parameters()
    layer.share_memory()
    assert layer(torch.randn(2, 1, 3, dtype=torch.float64))[0].dtype is torch.float64


@backends
@kinds
def test_meta_gives_shapes(kind: str, backend: str) -> None:
    theirs, ours = both(kind, 3, 5, 2, bidirectional=True, device="meta")
    x = torch.randn(4, 2, 3, device="meta")
    with ostinato.backend(backend):
        expected = {name: v.shape for name, v in tensors(theirs(x)).items()}
        assert {name: v.shape for name, v in tensors(ours(x)).items()} == expected
    lengths = torch.tensor([1, 4], device="meta")
    assert {name: v.shape for name, v in tensors(ours(x, lengths=lengths)).items()} == expected
    assert {name: v.shape for name, v in tensors(ours(x, lengths=[1, 4])).items()} == expected


def test_to_empty_and_skip_init_make_a_layer_without_numbers() -> None:
    layer = ostinato.LSTM(3, 5, device="meta", forget_bias=1.0).to_empty(device="cpu")
    layer.reset_parameters()
    assert (layer.get_parameter("bias_ih_l0")[5:10] == 1).all()
    assert layer(torch.randn(4, 2, 3))[0].isfinite().all()
    skipped: Any = torch.nn.utils.skip_init(ostinato.LSTM, 3, 5)
    assert [v.shape for v in skipped.parameters()] == [v.shape for v in layer.parameters()]


@pytest.mark.parametrize("kind", ["rnn_tanh", "rnn_relu", "lstm", "gru"])
def test_autocast_gives_the_dtypes_of_torch(kind: str) -> None:
    theirs, ours = both(kind, 3, 5, 2, bidirectional=True)
    x = torch.randn(4, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = tensors(theirs(x))
        with ostinato.backend("vendor"):
            assert_same(tensors(ours(x)), expected, atol=0.0)
        assert_same(tensors(ours(x)), expected, atol=0.02)
        assert_same(tensors(ours(x, lengths=[4, 4])), expected, atol=0.02)
        with ostinato.backend("reference"):
            for options in ({}, {"lengths": [4, 2]}):
                found = tensors(ours(x, **options))
                # torch's LSTM rounds the cell state, too; the reference keeps it as it is.
                dtype = torch.float32 if kind == "lstm" else expected["out[0]"].dtype
                assert {v.dtype for v in found.values()} == {dtype}
                torch.stack([v.float().sum() for v in found.values()]).sum().backward()
        torch.testing.assert_close(ours(x)[0].float(), expected["out[0]"].float(), rtol=0, atol=0.02)


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("options", [{"num_layers": 2}, {"proj_size": 2, "num_layers": 2}])
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_autocast_gives_the_dtypes_of_torchs_own_loop_where_onednn_has_none(
    options: dict[str, Any], is_packed: bool
) -> None:
    theirs = torch.nn.LSTM(3, 5, **options)
    ours = ostinato.LSTM(3, 5, **options)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(4, 2, 3)
    given: Any = pack_padded_sequence(x, [4, 3]) if is_packed else x
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same(tensors(ours(given)), tensors(theirs(given)), atol=0.02)


def test_an_lstm_trains_under_autocast_in_float16() -> None:
    layer, x = ostinato.LSTM(3, 5, num_layers=2, bidirectional=True), torch.randn(4, 2, 3)
    expected = torch.autograd.grad(layer(x)[0].sum(), list(layer.parameters()))
    with torch.autocast("cpu", torch.float16):
        for output in (layer(x)[0], layer(x, lengths=[4, 4])[0]):
            assert output.dtype is torch.float16
            found = torch.autograd.grad(output.float().sum(), list(layer.parameters()))
            torch.testing.assert_close(found, expected, rtol=0, atol=0.02)


NORMS: dict[str, Callable[[Any, str], Any]] = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "old_weight_norm": torch.nn.utils.weight_norm,
    "old_spectral_norm": torch.nn.utils.spectral_norm,
    "prune": lambda m, name: prune.ln_structured(m, name, amount=0.5, n=2, dim=0),
}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
@pytest.mark.filterwarnings("ignore:.*torch.nn.utils:FutureWarning", "ignore:.*torch.jit.*:DeprecationWarning")
def test_normalised_weights_are_used_and_trained(kind: str, norm: str) -> None:
    layers = [layer.double().eval() for layer in both(kind, 3, 5, 2, bidirectional=True)]
    for layer in layers:
        torch.manual_seed(7)
        NORMS[norm](layer, "weight_hh_l1_reverse")
    theirs, ours = layers
    assert list(theirs.state_dict()) == list(ours.state_dict())
    copied = outcome(lambda: copy.deepcopy(theirs))
    assert outcome(lambda: copy.deepcopy(ours)) == copied
    twin = copy.deepcopy(ours) if copied is None else None
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    expected = results_and_gradients(lambda: theirs(x), dict(theirs.named_parameters()))
    assert_same(results_and_gradients(lambda: ours(x), dict(ours.named_parameters())), expected)
    by_layer = results_and_gradients(lambda: ours(x, lengths=[4, 4]), dict(ours.named_parameters()))
    assert_same(by_layer, expected)
    with ostinato.backend("reference"):
        assert_same(results_and_gradients(lambda: ours(x), dict(ours.named_parameters())), expected)
    if twin is not None:
        assert_same(tensors(twin(x)), tensors(theirs(x)))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # jvp compiles its rules with it
@kinds
@backends
def test_functional_calls_use_what_they_are_given_and_leave_no_trace(kind: str, backend: str) -> None:
    theirs, ours = pair(kind, 3, 5, 2)
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    given = {name: torch.randn_like(p) for name, p in ours.named_parameters()}
    direction = {name: torch.randn_like(p) for name, p in ours.named_parameters()}

    def loss(layer: Any) -> Callable[[Any], torch.Tensor]:
        return lambda parameters: torch.func.functional_call(layer, parameters, (x,))[0].square().sum()

    before = tensors(ours(x))
    with ostinato.backend(backend):
        assert_same(torch.func.grad(loss(ours))(given), torch.func.grad(loss(theirs))(given), atol=1e-8)
        got = torch.func.jvp(loss(ours), (given,), (direction,))
    assert_same(tensors(got), tensors(torch.func.jvp(loss(theirs), (given,), (direction,))), atol=1e-8)
    assert_same(tensors(ours(x)), before, atol=0.0)


@kinds
def test_the_reference_runs_under_vmap(kind: str) -> None:
    theirs, ours = pair(kind, 3, 5, 2, bidirectional=True)
    xs = torch.randn(3, 4, 2, 3, dtype=torch.float64)
    with ostinato.backend("reference"):
        got = torch.func.vmap(lambda x: ours(x)[0])(xs)
    assert_same({"output": got}, {"output": torch.stack([theirs(x)[0] for x in xs])})


@kinds
@backends
def test_gradients_are_twice_differentiable(kind: str, backend: str) -> None:
    _, ours = pair(kind, 2, 3)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    with ostinato.backend(backend):
        assert torch.autograd.gradgradcheck(lambda x: ours(x, lengths=[3, 2])[0], (x,))


@backends
def test_parameters_may_be_replaced_tied_and_taken_away(backend: str) -> None:
    theirs, ours = pair("lstm", 3, 5, bidirectional=True)
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    with ostinato.backend(backend):
        for layer in (theirs, ours):
            torch.manual_seed(2)
            layer.weight_hh_l0 = torch.nn.Parameter(torch.randn(20, 5, dtype=torch.float64))
            layer.bias_ih_l0_reverse = layer.bias_ih_l0
        expected = results_and_gradients(lambda: theirs(x), dict(theirs.named_parameters()))
        assert_same(results_and_gradients(lambda: ours(x), dict(ours.named_parameters())), expected)
        weight = ours.weight_hh_l0
        del ours.weight_hh_l0
        ours.to("cpu")
        ours.weight_hh_l0 = weight
        assert_same(tensors(ours(x)), tensors(theirs(x)))


@backends
def test_dropout_may_be_changed_later(backend: str) -> None:
    theirs, ours = pair("gru", 3, 5, 2)
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    with ostinato.backend(backend):
        for rate in (0.5, 1.0, 0.0, 0.3):
            theirs.dropout = ours.dropout = rate
            torch.manual_seed(1)
            expected = tensors(theirs(x))
            torch.manual_seed(1)
            assert_same(tensors(ours(x)), expected)


@kinds
@backends
def test_frozen_weights_still_pass_gradients_to_the_input(kind: str, backend: str) -> None:
    theirs, ours = (layer.requires_grad_(False) for layer in pair(kind, 3, 5, 2))
    x = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    with ostinato.backend(backend):
        got = results_and_gradients(lambda: ours.eval()(x), {"input": x})
    assert_same(got, results_and_gradients(lambda: theirs(x), {"input": x}))


def test_ours_may_stand_in_torchs_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RNN", "LSTM", "GRU"):
        monkeypatch.setattr(torch.nn, name, getattr(ostinato, name))
    untyped: Any = torch.nn
    for build in (untyped.RNN, untyped.GRU):
        with pytest.raises(ValueError, match="proj_size argument is only supported for LSTM"):
            build(3, 5, proj_size=2)
    with pytest.raises(ValueError, match="Unknown nonlinearity 'cosine'"):
        untyped.RNN(3, 5, nonlinearity="cosine")
    assert untyped.LSTM(3, 5)(torch.randn(2, 1, 3))[0].shape == (2, 1, 5)


# -- layers without a peer in torch.nn ----------------------------------------------------------------------------------------

NEW: dict[str, dict[str, Any]] = {"RHN": {"depth": 3}, "MinGRU": {"positive": True}, "MinLSTM": {"positive": True}}
news = pytest.mark.parametrize("name", NEW)


@news
def test_the_arguments_of_new_layers_have_torchs_order_too(name: str) -> None:
    make = getattr(ostinato, name)
    layer = make(3, 5, 2, False, True, 0.5, True, "cpu", torch.float64, zoneout=0.1, **NEW[name])
    cell = {"RHN": "rhn_3", "MinGRU": "min_gru_positive", "MinLSTM": "min_lstm_positive"}[name]
    arguments = "num_layers=2, bias=False, batch_first=True, dropout=0.5, bidirectional=True"
    assert repr(layer) == f"{name}({cell}, 3, 5, {arguments}, zoneout={{'h': 0.1}})"
    assert {p.dtype for p in layer.parameters()} == {torch.float64}
    output, last = layer(torch.randn(4, 6, 3, dtype=torch.float64))
    assert (output.shape, last.shape) == ((4, 6, 10), (4, 4, 5))


@news
@pytest.mark.parametrize("how", COPIES)
def test_copies_of_new_layers_compute_the_same(name: str, how: str) -> None:
    layer = getattr(ostinato, name)(3, [5, 4], **NEW[name])
    twin = COPIES[how](layer)
    assert twin.cell is layer.cell
    x = torch.randn(4, 2, 3)
    assert_same(tensors(twin(x, lengths=[4, 2])), tensors(layer(x, lengths=[4, 2])), atol=0.0)


@news
def test_new_layers_refuse_what_they_have_not(name: str) -> None:
    make = getattr(ostinato, name)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'zone_out'; did you mean 'zoneout'\?"):
        make(3, 5, zone_out=0.1)
    with pytest.raises(ostinato.errors.CellError, match="proj_size needs a cell with a memory beside its output"):
        make(3, 5, proj_size=2)
    with pytest.raises(ValueError, match=f"{name}: Expected input to be 2D or 3D, got 1D instead"):
        make(3, 5)(torch.zeros(3))
    with pytest.raises(ostinato.errors.ConfigError, match="backend 'vendor' was asked for by name, but torch has no"):
        make(3, 5, backend="vendor")(torch.zeros(2, 1, 3))
