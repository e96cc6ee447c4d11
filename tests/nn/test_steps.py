"""`RNNCell`, `LSTMCell` and `GRUCell` in torch.nn's place, and their options against a layer of one step."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
import torch.nn.utils.prune
from hypothesis import given, settings
from hypothesis import strategies as st

import ostinato
from ostinato.errors import CellError, ConfigError
from tests.support import STEPS, assert_same, results_and_gradients, tensors

BACKENDS = ["auto", "reference"]
kinds = pytest.mark.parametrize("kind", sorted(STEPS))
backends = pytest.mark.parametrize("backend", BACKENDS)


def both(kind: str, *args: Any, seed: int = 5, **kwargs: Any) -> tuple[Any, Any]:
    """torch.nn's cell and ours, each made from the same seed, in float64."""
    name, own = STEPS[kind]
    made: list[Any] = []
    for library in (torch.nn, ostinato):
        torch.manual_seed(seed)
        made.append(getattr(library, name)(*args, dtype=torch.float64, **own, **kwargs))
    return made[0], made[1]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(STEPS)),
    st.integers(1, 5),
    st.integers(1, 5),
    st.one_of(st.none(), st.integers(0, 4)),
    st.booleans(),
    st.booleans(),
    st.sampled_from(BACKENDS),
    st.integers(0, 2**31),
)
def test_a_step_is_torchs(
    kind: str, size_in: int, hidden: int, rows: int | None, bias: bool, with_hx: bool, backend: str, seed: int
) -> None:
    theirs, ours = both(kind, size_in, hidden, bias=bias, seed=seed)
    batch = () if rows is None else (rows,)
    x = torch.randn(*batch, size_in, dtype=torch.float64, requires_grad=True)
    states = [torch.randn(*batch, hidden, dtype=torch.float64, requires_grad=True) for _ in "hc"]
    hx = None if not with_hx else tuple(states) if kind == "lstm" else states[0]
    leaves = {"input": x, **dict(zip("hc", states, strict=True))}
    expected = results_and_gradients(lambda: theirs(x, hx), {**leaves, **dict(theirs.named_parameters())})
    with ostinato.backend(backend):
        assert_same(results_and_gradients(lambda: ours(x, hx), {**leaves, **dict(ours.named_parameters())}), expected)


@kinds
@pytest.mark.parametrize("bias", [True, False])
def test_weights_names_and_repr_are_torchs(kind: str, bias: bool) -> None:
    theirs, ours = both(kind, 3, 5, bias)
    assert repr(ours) == repr(theirs)
    assert isinstance(ours, type(theirs))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert list(ours._parameters) == list(theirs._parameters)
    assert all(torch.equal(v, theirs.state_dict()[name]) for name, v in ours.state_dict().items())
    torch.manual_seed(1)
    theirs.reset_parameters()
    torch.manual_seed(1)
    ours.reset_parameters()
    for old, new in ((theirs, ours), (ours, theirs)):
        assert torch.equal(old.weight_hh, new.weight_hh)
        old.reset_parameters()
        assert new.load_state_dict(old.state_dict(), strict=True) == ([], [])


def test_no_units_are_no_units() -> None:
    theirs, ours = both("lstm", 3, 0)
    assert_same(tensors(ours(torch.ones(2, 3).double())), tensors(theirs(torch.ones(2, 3).double())))


@kinds
@pytest.mark.parametrize("options", [{}, {"zoneout": 0.2, "layer_norm": True, "init": "orthogonal"}], ids=str)
def test_copies_compute_the_same(kind: str, options: dict[str, Any]) -> None:
    name, own = STEPS[kind]
    step = getattr(ostinato, name)(3, 5, **own, **options)
    x = torch.randn(2, 3)
    for twin in (copy.copy(step), copy.deepcopy(step), pickle.loads(pickle.dumps(step))):
        assert repr(twin) == repr(step)
        for training in (True, False):
            torch.manual_seed(1)
            expected = tensors(step.train(training)(x))
            torch.manual_seed(1)
            assert_same(tensors(twin.train(training)(x)), expected, atol=0.0)


@kinds
@backends
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_functional_calls_use_what_they_are_given(kind: str, backend: str) -> None:
    theirs, ours = both(kind, 3, 5)
    x = torch.randn(2, 3, dtype=torch.float64)
    given = {name: torch.randn_like(p) for name, p in ours.named_parameters()}

    def loss(step: Any) -> Any:
        return lambda p: sum(v.square().sum() for v in tensors(torch.func.functional_call(step, p, (x,))).values())

    with ostinato.backend(backend):
        assert_same(torch.func.grad(loss(ours))(given), torch.func.grad(loss(theirs))(given))
        got = torch.func.jvp(loss(ours), (given,), (given,))
    assert_same(tensors(got), tensors(torch.func.jvp(loss(theirs), (given,), (given,))), atol=1e-9)


@kinds
@backends
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_dtypes(kind: str, backend: str, dtype: torch.dtype) -> None:
    theirs, ours = (step.to(dtype) for step in both(kind, 3, 5))
    x = torch.randn(2, 3, dtype=dtype)
    with ostinato.backend(backend):
        assert_same(tensors(ours(x)), tensors(theirs(x)), atol=2 * torch.finfo(dtype).eps)


@backends
def test_normalised_weights_are_used(backend: str) -> None:
    theirs, ours = both("gru", 3, 5)
    x = torch.randn(2, 3, dtype=torch.float64)
    for step in (theirs, ours):
        torch.nn.utils.parametrizations.weight_norm(step, "weight_hh")
        with torch.no_grad():
            step.parametrizations.weight_hh.original0.mul_(3)
    with ostinato.backend(backend):
        assert_same(tensors(ours(x)), tensors(theirs(x)))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LSTM", {"layer_norm": True, "peephole": True}),
        ("LSTM", {"coupled_gates": True, "zoneout": 0.3}),
        ("GRU", {"reset_after": False, "layer_norm": True}),
        ("RNN", {"nonlinearity": "sigmoid", "zoneout": 0.3}),
    ],
)
def test_options_do_in_a_step_what_they_do_in_a_layer(name: str, options: dict[str, Any]) -> None:
    layer = getattr(ostinato, name)(3, 4, **options, dtype=torch.float64).eval()
    step = getattr(ostinato, name + "Cell")(3, 4, **options, dtype=torch.float64).eval()
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -1, 1)
    step.load_state_dict({n.removesuffix("_l0"): v for n, v in layer.state_dict().items()})
    xs = torch.randn(5, 2, 3, dtype=torch.float64)
    output, last = layer(xs)
    state, seen = None, []
    for x in xs:
        state = step(x, state)
        seen.append(state[0] if isinstance(state, tuple) else state)
    closed = tuple(v[0] for v in last) if isinstance(last, tuple) else last[0]
    assert_same({"output": torch.stack(seen), **tensors(state)}, {"output": output, **tensors(closed)})
    assert ostinato.explain(step, xs[0]).backends == {"compiled"}


untyped: Any = ostinato  # what follows is wrong on purpose


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: untyped.LSTMCell(3, 4, zonout=0), TypeError, "unexpected keyword argument 'zonout'; did you mean 'zoneout'?"),
        (lambda: untyped.LSTMCell(3, 4, variational_dropout=0.1), TypeError, "unexpected keyword argument 'variational_dropout'"),
        (lambda: untyped.GRUCell(3, 4, peephole=True), CellError, "peephole needs a cell with the gates 'f o'"),
        (lambda: untyped.GRUCell(3, 4, backend="gpu"), ConfigError, "one of auto, compiled, triton, vendor, reference, got 'gpu'"),
        (lambda: untyped.LSTMCell(3, 4, layer_norm=True)(X, X), ValueError, "one tensor for each of the states h, c, got Tensor"),
        (lambda: untyped.LSTMCell(3, 4, layer_norm=True)(X, (X,)), ValueError, "for each of the states h, c, got 1 entries"),
        (lambda: untyped.GRUCell(3, 4, layer_norm=True)(X, (X, X)), ValueError, "hx expected a tensor for the state h, got tuple"),
        (lambda: untyped.GRUCell(3, 4, layer_norm=True)(X[0], torch.zeros(1, 4, 4)), ValueError, "to be 1D or 2D, got 3D"),
    ],
)  # fmt: skip
def test_wrong_options_and_states_are_told(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)


X = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (ostinato.RHNCell(3, 5, depth=2), "RHNCell(rhn_2, 3, 5)"),
        (
            ostinato.MinGRUCell(3, 5, positive=True, zoneout=0.5),
            "MinGRUCell(min_gru_positive, 3, 5, zoneout={'h': 0.5})",
        ),
        (ostinato.MinLSTMCell(3, 5, bias=False), "MinLSTMCell(min_lstm, 3, 5, bias=False)"),
    ],
)
def test_steps_without_a_peer_in_torch_nn(made: Any, shown: str) -> None:
    assert repr(made) == shown
    assert repr(pickle.loads(pickle.dumps(made))) == shown
    assert made(torch.zeros(3)).shape == (5,)
    assert made(torch.zeros(2, 3), torch.ones(2, 5)).shape == (2, 5)
    with pytest.raises(ValueError, match=rf"^{type(made).__name__}: Expected input to be 1D or 2D, got 3D instead"):
        made(torch.zeros(1, 2, 3))
    with pytest.raises(ValueError, match=rf"^{type(made).__name__}: Expected hidden to be 1D or 2D, got 3D instead"):
        made(torch.zeros(2, 3), torch.zeros(1, 2, 5))


@pytest.mark.parametrize(
    "options", [{"layer_norm": True}, {"zoneout": 0.4}, {"layer_norm": True, "zoneout": (0.2, 0.3)}]
)
def test_a_step_that_is_bound_is_the_step_of_the_reference(options: dict[str, Any]) -> None:
    step = ostinato.LSTMCell(3, 5, **options).double()
    x, hx = torch.randn(4, 3, dtype=torch.float64), tuple(torch.randn(2, 4, 5, dtype=torch.float64))
    for training in (True, False, True):
        found = []
        for backend in BACKENDS:
            torch.manual_seed(3)
            step.zero_grad()
            with ostinato.backend(backend):
                h, c = step.train(training)(x, hx)
            (h.square().sum() + c.sum()).backward()
            found.append([h, c, *(p.grad for p in step.parameters())])
        for ours, reference in zip(*found, strict=True):
            torch.testing.assert_close(ours, reference)
    assert step._bound


@pytest.mark.parametrize("kind", ["MinGRUCell", "RHNCell"])
def test_a_step_that_is_bound_has_gradients_of_gradients(kind: str) -> None:
    step = getattr(ostinato, kind)(3, 4).double()
    x, h = (torch.randn(2, n, dtype=torch.float64, requires_grad=True) for n in (3, 4))
    assert torch.autograd.gradgradcheck(step, (x, h))
    assert step._bound


def test_states_of_another_kind_are_told_before_torch_is_asked() -> None:
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    for step, hx, message in (
        (ostinato.LSTMCell(3, 4), h, "one tensor for each of the states h, c"),
        (ostinato.LSTMCell(3, 4), (h,), "one tensor for each of the states h, c"),
        (ostinato.GRUCell(3, 4), (h,), "a tensor for the state h"),
    ):
        with pytest.raises(ValueError, match=message):
            step(x, hx)
    with pytest.raises(RuntimeError, match="for the state c, expected torch"):
        ostinato.LSTMCell(3, 4)(x, (h, h.double()))


@pytest.mark.parametrize("name", ["weight_ih", "weight_hh", "bias_ih", "bias_hh"])
def test_a_parameter_that_is_computed_from_others(name: str) -> None:
    for kind in ("RNNCell", "GRUCell", "LSTMCell"):
        ours, theirs = getattr(ostinato, kind)(3, 4), getattr(torch.nn, kind)(3, 4)
        theirs.load_state_dict(ours.state_dict())
        x, h = torch.randn(2, 3), torch.randn(2, 4)
        hx = (h, h) if kind == "LSTMCell" else h
        for module in (ours, theirs):
            torch.nn.utils.prune.l1_unstructured(module, name, 0.5)
        assert torch.equal(*(v[0] if isinstance(v, tuple) else v for v in (ours(x, hx), theirs(x, hx))))
