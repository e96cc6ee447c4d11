"""Gradient flow against the equations written out, against closed forms, and against autograd's full Jacobian."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence

import ostinato
from ostinato.insight import Flow, gradient_flow
from tests.insight.models import KINDS, Loop, square_loss

DOUBLE: dict[str, Any] = {"dtype": torch.float64}


def lstm_by_hand(layer: Any, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
    """One layer, written out; h and c of every step keep their gradient."""
    H = layer.hidden_size
    h = c = torch.zeros(x.shape[1], H, **DOUBLE)
    hs, cs = [], []
    for v in x:
        a = v @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0
        i, f, g, o = a[:, :H].sigmoid(), a[:, H : 2 * H].sigmoid(), a[:, 2 * H : 3 * H].tanh(), a[:, 3 * H :].sigmoid()
        c = f * c + i * g
        h = o * c.tanh()
        c.retain_grad()
        h.retain_grad()
        hs.append(h)
        cs.append(c)
    return torch.stack(hs), hs, cs


@pytest.mark.parametrize("home", [torch.nn, ostinato], ids=["torch", "ours"])
def test_gradients_of_states_are_those_of_the_equations_written_out(home: Any) -> None:
    torch.manual_seed(0)
    layer = home.LSTM(3, 4, **DOUBLE)
    x = torch.randn(9, 2, 3, **DOUBLE)
    (flow,) = gradient_flow(layer, x, square_loss).layers
    output, hs, cs = lstm_by_hand(layer, x)
    output.square().sum().backward()
    for name, states in (("h", hs), ("c", cs)):
        expected = [float(s.grad.norm()) for s in states if s.grad is not None]
        assert flow.gradients[name] == pytest.approx(expected, rel=1e-10)
    assert len(hs) == len(flow.gradients["h"])


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "lstm_proj"])
def test_gains_are_the_norms_of_autograds_full_jacobian(kind: str) -> None:
    """d h_T / d h_k by running torch.nn's own layer over the rest of the sequence, from a state that is free."""
    torch.manual_seed(1)
    torch_class, _, own = KINDS[kind]
    layer = torch_class(3, 4, **own, **DOUBLE)
    x = torch.randn(7, 2, 3, **DOUBLE)
    (flow,) = gradient_flow(layer, x, square_loss).layers
    assert flow.method == "exact"
    for distance in range(1, 7):
        _, state = layer(x[: 7 - distance])
        states = state if isinstance(state, tuple) else (state,)

        def rest(*states: torch.Tensor, distance: int = distance) -> torch.Tensor:
            hx = states if len(states) > 1 else states[0]
            return layer(x[7 - distance :], hx)[0][-1]  # (B, H)

        whole: Any = torch.autograd.functional.jacobian(rest, tuple(s.detach() for s in states))
        for name, jacobian in zip(flow.gains, whole, strict=True):
            per_row = torch.stack([jacobian[b, :, 0, b] for b in range(2)])  # (B, H, H)
            expected = math.sqrt(float(per_row.square().sum()) / 2 / 4)
            assert flow.gains[name][distance] == pytest.approx(expected, rel=1e-6)
    assert flow.gains["h"][0] == pytest.approx(1.0, rel=1e-12)


@settings(max_examples=15, deadline=None)
@given(weight=st.floats(0.05, 1.5))
def test_one_linear_unit_shrinks_by_its_weight(weight: float) -> None:
    layer = torch.nn.RNN(1, 1, nonlinearity="relu", bias=False, **DOUBLE)
    with torch.no_grad():
        layer.weight_ih_l0.fill_(1.0)
        layer.weight_hh_l0.fill_(weight)
    (flow,) = gradient_flow(layer, torch.ones(20, 3, 1, **DOUBLE), lambda m, x: m(x)[0][-1].mean()).layers
    assert flow.gains["h"] == pytest.approx([weight**d for d in range(20)], rel=1e-9)
    # Three rows, each with a third of the loss.
    expected = [math.sqrt(3) / 3 * weight ** (19 - t) for t in range(20)]
    assert flow.gradients["h"] == pytest.approx(expected, rel=1e-9)
    assert flow.growth == pytest.approx(weight, rel=1e-9)
    assert flow.relative(5) == pytest.approx(weight**4, rel=1e-9)
    half_life = math.log(0.5) / math.log(weight) if weight < 1.0 else math.inf
    assume(abs(half_life - 18) > 1e-6)
    assert flow.half_life_steps == pytest.approx(half_life if half_life < 18 else math.inf, rel=1e-6)
    steps = math.log(1e-3) / math.log(weight) if weight < 1 else math.inf
    assume(abs(steps - round(steps)) > 1e-6 if steps < 100 else True)  # exactly on the threshold rounding decides
    assert flow.reach_steps == (1 + math.ceil(steps) if steps < 18 else None)


def test_random_vectors_estimate_what_the_exact_gains_are() -> None:
    torch.manual_seed(2)
    layer = torch.nn.GRU(3, 6, **DOUBLE)
    x = torch.randn(8, 20, 3, **DOUBLE)
    exact = gradient_flow(layer, x, square_loss).layers[0]
    estimate = gradient_flow(layer, x, square_loss, probes=200, seed=5).layers[0]
    assert estimate.method == "200 random vectors"
    assert estimate.gain == pytest.approx(exact.gain, rel=0.05)
    assert gradient_flow(layer, x, square_loss, probes=200, seed=5).layers[0].gain == estimate.gain
    few = [gradient_flow(layer, x, square_loss, probes=1, seed=seed).layers[0].gain[3] ** 2 for seed in range(60)]
    assert sum(few) / 60 == pytest.approx(exact.gain[3] ** 2, rel=0.05)  # no bias
    assert gradient_flow(layer, x, square_loss, probes=0).layers[0].gains == {}


def test_wide_layers_are_estimated() -> None:
    layer = torch.nn.RNN(2, 40)
    assert gradient_flow(layer, torch.randn(4, 2, 2), square_loss).layers[0].method == "4 random vectors"


@pytest.mark.parametrize("kind", KINDS)
def test_ours_torchs_batch_first_and_the_cell_in_a_loop_agree(kind: str) -> None:
    torch.manual_seed(3)
    torch_class, our_class, own = KINDS[kind]
    theirs = torch_class(3, 4, **own, **DOUBLE)
    ours = our_class(3, 4, batch_first=True, **own, **DOUBLE)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(6, 2, 3, **DOUBLE)
    expected = gradient_flow(theirs, x, square_loss).layers[0]
    assert_same(gradient_flow(ours, x.transpose(0, 1), square_loss).layers[0], expected)
    if kind != "lstm_proj":
        cell = getattr(torch.nn, f"{torch_class.__name__}Cell")(3, 4, **own, **DOUBLE)
        cell.load_state_dict({k.removesuffix("_l0"): v for k, v in theirs.state_dict().items()})
        assert_same(gradient_flow(Loop(cell), x, square_loss).layers[0], expected)


def assert_same(got: Flow, expected: Flow) -> None:
    for a, b in ((got.gradients, expected.gradients), (got.gains, expected.gains)):
        assert list(a) == list(b)
        for name, values in b.items():
            assert a[name] == pytest.approx(values, rel=1e-9, abs=1e-14)


def test_against_time_is_along_time_on_a_sequence_turned_around() -> None:
    torch.manual_seed(4)
    both = torch.nn.LSTM(3, 4, bidirectional=True, **DOUBLE)
    alone = torch.nn.LSTM(3, 4, **DOUBLE)
    weights = {k: v for k, v in both.state_dict().items() if k.endswith("_reverse")}
    alone.load_state_dict({k.removesuffix("_reverse"): v for k, v in weights.items()})
    x = torch.randn(6, 2, 3, **DOUBLE)
    got = gradient_flow(both, x, lambda m, x: m(x)[0][..., 4:].square().sum())["l0_reverse"]
    expected = gradient_flow(alone, x.flip(0), square_loss).layers[0]
    assert got.gains["c"] == pytest.approx(expected.gains["c"], rel=1e-9)
    assert got.gradients["h"] == pytest.approx(expected.gradients["h"][::-1], rel=1e-9)


@pytest.mark.parametrize("how", ["lengths", "packed"])
def test_padding_counts_nowhere(how: str) -> None:
    """Rows of their own lengths against each row alone."""
    torch.manual_seed(5)
    layer: Any = ostinato.GRU(3, 4, bidirectional=True, **DOUBLE)
    rows = [torch.randn(n, 3, **DOUBLE) for n in (6, 4, 2)]
    padded = torch.full((6, 3, 3), math.nan, **DOUBLE)
    for b, row in enumerate(rows):
        padded[: len(row), b] = row
    if how == "lengths":
        got = gradient_flow(layer, padded, lambda m, x: m(x, lengths=[6, 4, 2])[0].square().sum())
    else:
        got = gradient_flow(layer, pack_sequence(rows), lambda m, x: m(x)[0].data.square().sum())
    alone = [gradient_flow(layer, row[:, None], square_loss) for row in rows]
    for name in ("l0", "l0_reverse"):
        flows = [each[name] for each in alone]
        for t in range(6):
            norms = [flow.gradients["h"][t] for flow in flows if t < len(flow.gradients["h"])]
            assert got[name].gradients["h"][t] == pytest.approx(math.hypot(*norms), rel=1e-9)
            gains = [flow.gains["h"][t] for flow in flows if t < len(flow.gains["h"])]
            assert got[name].gains["h"][t] == pytest.approx(math.hypot(*gains) / math.sqrt(len(gains)), rel=1e-9)


def test_a_layer_below_gets_the_gradient_of_the_layer_above() -> None:
    """Two layers of one linear unit: dL/dh of the lower one sums over every path, closed form (t + 1 paths of each length)."""
    layer = torch.nn.RNN(1, 1, 2, nonlinearity="relu", bias=False, **DOUBLE)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(0.5)
    lower, upper = gradient_flow(layer, torch.ones(8, 1, 1, **DOUBLE), lambda m, x: m(x)[0][-1].sum()).layers
    assert upper.gradients["h"] == pytest.approx([0.5 ** (7 - t) for t in range(8)], rel=1e-9)
    assert lower.gradients["h"] == pytest.approx([(8 - t) * 0.5 ** (8 - t) for t in range(8)], rel=1e-9)


def test_dead_units_let_nothing_through() -> None:
    layer = torch.nn.RNN(1, 2, nonlinearity="relu", **DOUBLE)
    torch.nn.init.constant_(layer.bias_ih_l0, -100.0)
    (flow,) = gradient_flow(layer, torch.ones(5, 1, 1, **DOUBLE), square_loss).layers
    assert (flow.growth, flow.half_life_steps, flow.reach_steps, flow.relative(3)) == (0.0, 0.0, 1, 0.0)


@pytest.mark.parametrize(
    ("gain", "half_life", "said"),
    [
        # Of a trained LSTM: it falls at once and then levels out. A line through all of it halves every 40 steps.
        ([1, 1, 0.54, 0.42, 0.29, *[0.2 * 0.99**d for d in range(100)]], 1 + math.log(0.54 / 0.5) / math.log(0.54 / 0.42), "1.31"),
        ([1, 1, 1, 1, 0.25, 0.25], 2.5, "2.5"),  # it stays, and then falls to a quarter within one step
        ([1, 4, 8, 2, 1], 1.5 + 0.5, "2"),  # half of distance 1, not of the largest nor of distance 0
        ([1, 1, 0], 1.0, "1"),
        ([1, 1, 0.9, 0.8, 0.7], math.inf, "over 3"),
        ([1, 1, 3, 9], math.inf, "over 2"),
        ([1, 0, 0], 0.0, "0"),
        ([1, 1], math.nan, "not known"),
    ],
)  # fmt: skip
def test_the_half_life_is_where_half_is_gone(gain: list[float], half_life: float, said: str) -> None:
    flow = Flow("l0", {}, {"h": gain}, "exact")
    assert flow.half_life_steps == pytest.approx(half_life, nan_ok=True)
    assert flow.half_life_text == said


def test_what_overflows_explodes() -> None:
    layer = torch.nn.RNN(1, 1, nonlinearity="relu", bias=False)
    with torch.no_grad():
        layer.weight_ih_l0.fill_(1.0)
        layer.weight_hh_l0.fill_(1e10)
    # Later inputs below zero would shut the unit; the loss of the first step keeps numbers finite.
    (flow,) = gradient_flow(layer, torch.full((8, 1, 1), 1e-30), lambda m, x: m(x)[0][0].sum()).layers
    assert flow.gain[-1] == math.inf
    assert flow.growth == pytest.approx(1e10, rel=1e-5)
    assert (flow.half_life_steps, flow.reach_steps) == (math.inf, None)
    json.dumps(gradient_flow(layer, torch.zeros(8, 1, 1), lambda m, x: m(x)[0][0].sum()).to_dict(), allow_nan=False)
    at_once = Flow("l0", {}, {"h": [1.0, math.inf, math.inf]}, "exact")
    assert at_once.growth == math.inf


@pytest.mark.parametrize("steps", [1, 2])
def test_too_few_steps_say_that_nothing_is_known(steps: int) -> None:
    (flow,) = gradient_flow(torch.nn.GRU(2, 3), torch.randn(steps, 1, 2), square_loss).layers
    assert math.isnan(flow.growth)
    assert math.isnan(flow.half_life_steps)
    assert math.isnan(flow.relative(7))


def test_it_can_be_read_by_people_and_programs() -> None:
    flow = gradient_flow(torch.nn.LSTM(2, 3, 2), torch.randn(30, 4, 2), square_loss)
    told = json.loads(json.dumps(flow.to_dict(), allow_nan=False))
    assert [layer["name"] for layer in told["layers"]] == ["l0", "l1"]
    assert len(told["layers"][0]["gradients"]["c"]) == 30
    assert told["layers"][1]["reach_steps"] == flow["l1"].reach_steps
    assert "half-life (steps)" in " ".join(str(flow).replace("┃", " ").split())
    with pytest.raises(KeyError, match="expected one of l0, l1"):
        flow["l2"]
    left, right = flow.plot().axes
    assert left.get_yscale() == right.get_yscale() == "log"
    assert "steps" in right.get_xlabel()
    drawn: Any = right.get_lines()[0].get_ydata()
    assert list(drawn) == pytest.approx([flow["l0"].relative(d) for d in range(1, 30)])
