"""What a description can say beyond gates and states, against loops that are written again here."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn, sigmoid, tanh
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

import ostinato
from ostinato.cells import Gates, State, cell, identity
from ostinato.errors import CellError
from ostinato.models.parts.layers import make_layers
from tests.cells.language import (
    COMPILED,
    counting,
    decaying,
    extras,
    gating,
    matrix,
    remembering,
    skew,
    stabilised,
    timed,
)

T, B, FEATURES, H = 6, 3, 4, 6
D = torch.float64


def made(of: Any, **options: Any) -> Any:
    torch.manual_seed(0)
    layer = ostinato.Recurrent(of, FEATURES, H, dtype=D, **options)
    with torch.no_grad():
        for p in layer.parameters():
            if p.requires_grad:
                p.add_(0.2 * torch.randn_like(p))
    return layer


def weights(layer: Any) -> dict[str, Tensor]:
    return {name.removesuffix("_l0"): p.detach() for name, p in layer.named_parameters()}


@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_extras_and_the_input_itself(backend: Any) -> None:
    layer = made(decaying, backend=backend)
    x, more = torch.randn(T, B, FEATURES, dtype=D), extras(layer, T, B)
    w = weights(layer)
    h, last, want = torch.zeros(B, H, dtype=D), torch.zeros(B, FEATURES, dtype=D), []
    for t in range(T):
        m, dt = more["mask"][t], more["dt"][t]
        faded = torch.exp(-(w["decay"] * dt + w["decay_bias"]).clamp(min=0))
        seen = torch.where(m == 1, x[t], faded * last)
        h = h * torch.exp(-(dt @ w["weight_dt"].T + w["bias_dt"]).clamp(min=0))
        gx = seen @ w["weight_ih"].T + w["bias_ih"] + m @ w["weight_mask"].T
        gh = h @ w["weight_hh"].T + w["bias_hh"]
        z, r = sigmoid(gx[:, :H] + gh[:, :H]), sigmoid(gx[:, H : 2 * H] + gh[:, H : 2 * H])
        h = (1 - z) * h + z * tanh(gx[:, 2 * H :] + r * gh[:, 2 * H :])
        last = torch.where(m == 1, x[t], last)
        want.append(h)
    y, (h_n, last_n) = layer(x, **more)
    torch.testing.assert_close(y, torch.stack(want))
    torch.testing.assert_close(h_n[0], h)
    torch.testing.assert_close(last_n[0], last)


@pytest.mark.parametrize("backend", ["reference", "auto"])
@pytest.mark.parametrize("heads", [1, 2, 3])
def test_heads_are_blocks_on_the_diagonal(heads: int, backend: Any) -> None:
    layer = made(ostinato.cells.gru, num_heads=heads, backend=backend)
    dense = nn.GRU(FEATURES, H, dtype=D)
    with torch.no_grad():
        for name, p in dense.named_parameters():
            v = getattr(layer, name)
            if name == "weight_hh_l0":
                assert v.shape == (3 * H, H // heads)
                gates = v.view(3, heads, H // heads, H // heads)
                v = torch.cat([torch.block_diag(*gate) for gate in gates])
            p.copy_(v)
    x = torch.randn(T, B, FEATURES, dtype=D)
    torch.testing.assert_close(layer(x)[0], dense(x)[0])


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_states_of_several_dimensions(heads: int) -> None:
    layer, d = made(matrix, num_heads=heads), H // heads
    x = torch.randn(T, B, FEATURES, dtype=D)
    w = weights(layer)
    C, n = torch.zeros(B, heads, d, d, dtype=D), torch.zeros(B, heads, d, dtype=D)
    want = []
    for t in range(T):
        gates = (x[t] @ w["weight_ih"].T + w["bias_ih"]).view(B, 6, heads, d)
        h = torch.empty(B, heads, d, dtype=D)
        for b in range(B):
            for a in range(heads):
                q, k, v, i, f, o = gates[b, :, a]
                k, i, f = k / d**0.5, sigmoid(i.mean()), sigmoid(f.mean())
                C[b, a] = f * C[b, a] + i * torch.outer(v, k)
                n[b, a] = f * n[b, a] + i * k
                h[b, a] = sigmoid(o) * (C[b, a] @ q) / (1 + (n[b, a] @ q).abs())
        want.append(h.reshape(B, H))
    y, (h_n, C_n, n_n) = layer(x)
    assert C_n.shape == (1, B, heads, d, d)
    torch.testing.assert_close(y, torch.stack(want))
    torch.testing.assert_close(C_n[0], C)
    # The states go in as they came out.
    torch.testing.assert_close(layer(x[3:], list(layer(x[:3])[1]))[0], y[3:])
    single = ostinato.nn.step.Step(matrix, FEATURES, H, dtype=D, num_heads=heads)
    single.load_state_dict({name.removesuffix("_l0"): p for name, p in layer.state_dict().items()})
    state = None
    for t in range(T):
        state = single(x[t], state)
    torch.testing.assert_close(state, (h_n[0], C_n[0], n_n[0]))


def test_a_memory_of_its_own_width_is_linear() -> None:
    layer = made(remembering)
    w = weights(layer)
    x, memory, h = torch.randn(T, B, FEATURES, dtype=D), torch.zeros(B, 5, dtype=D), torch.zeros(B, H, dtype=D)
    for t in range(T):
        u = h @ w["e"] + memory @ w["e_memory"]
        memory = memory @ w["A"].T + u[:, None] * w["B"]
        gates = x[t] @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"]
        h = tanh(gates + memory @ w["W_memory"].T)
    torch.testing.assert_close(layer(x)[1], (h[None], memory[None]))


def test_how_parameters_start_and_which_are_not_learned() -> None:
    torch.manual_seed(0)
    layer = ostinato.Recurrent(remembering, FEATURES, H)
    assert [name for name, p in layer.named_parameters() if not p.requires_grad] == ["A_l0", "B_l0"]
    assert torch.all(layer.B_l0 == 1)
    torch.testing.assert_close(layer.A_l0 @ layer.A_l0.T, torch.eye(5))
    rates = ostinato.Recurrent(timed, FEATURES, 1000).a_l0
    assert 0.1 <= rates.min() < 0.12
    assert 0.88 < rates.max() <= 0.9
    bound = 1000**-0.5
    assert ostinato.Recurrent(remembering, FEATURES, 1000).W_memory_l0.abs().max() <= bound

    def halves(v: Tensor) -> None:
        v.fill_(0.5)

    @cell(gates="a", states="h", starts={"weight_hh": "identity(0.9)", "bias_ih": halves, "c": "log_uniform(1e-3, 1)"},
          parameters={"c": "H"})  # fmt: skip
    def irnn(x: Gates, s: State, U: Any, c: Tensor) -> State:
        return State(h=torch.relu(x.a + U(s.h).a) * c)

    layer = ostinato.Recurrent(irnn, FEATURES, 500)
    assert torch.equal(layer.weight_hh_l0, 0.9 * torch.eye(500))
    assert torch.all(layer.bias_ih_l0 == 0.5)
    assert layer.c_l0.median() < 0.1
    # Another init than torch's has its own weights.
    assert not torch.equal(ostinato.Recurrent(irnn, FEATURES, H, init="xavier").weight_hh_l0, 0.9 * torch.eye(H))


def test_a_weight_is_derived_once_a_call() -> None:
    layer = made(skew)
    w = weights(layer)
    A, x, h = w["weight_hh"] - w["weight_hh"].T, torch.randn(T, B, FEATURES, dtype=D), torch.zeros(B, H, dtype=D)
    for t in range(T):
        h = h + 0.1 * tanh(x[t] @ w["weight_ih"].T + w["bias_ih"] + h @ A.T + w["bias_hh"])
    torch.testing.assert_close(layer(x)[0][-1], h)
    assert torch.autograd.gradcheck(lambda w: torch.func.functional_call(layer, {"weight_hh_l0": w}, (x[:2],))[0],
                                    layer.weight_hh_l0.detach().clone().requires_grad_())  # fmt: skip


@pytest.mark.parametrize(
    ("name", "layers"), [(name, n) for name in COMPILED for n in (1, 2) if (name, n) != ("decaying", 2)]
)
def test_extras_in_every_layout(name: str, layers: int) -> None:
    torch.manual_seed(0)
    layer = ostinato.Recurrent(COMPILED[name], FEATURES, H, layers, bidirectional=name != "decaying", dtype=D)
    x, more = torch.randn(T, B, FEATURES, dtype=D), extras(layer, T, B)
    y, _ = layer(x, **more)
    turned = {n: v.transpose(0, 1) for n, v in more.items()}
    layer.batch_first = True
    torch.testing.assert_close(layer(x.transpose(0, 1), **turned)[0], y.transpose(0, 1))
    layer.batch_first = False
    torch.testing.assert_close(layer(x[:, 1], **{n: v[:, 1] for n, v in more.items()})[0], y[:, 1])
    lengths = torch.tensor([T, 2, 4])
    ragged, last = layer(x, lengths=lengths, **more)
    packed = {n: pack_padded_sequence(v, lengths, enforce_sorted=False) for n, v in more.items()}
    found, last_packed = layer(pack_padded_sequence(x, lengths, enforce_sorted=False), **packed)
    torch.testing.assert_close(found.data, pack_padded_sequence(ragged, lengths, enforce_sorted=False).data)
    torch.testing.assert_close(last_packed, last)
    for t in range(int(lengths[1]), T):
        x[t, 1] = float("nan")
        for v in more.values():
            v[t, 1] = float("nan")
    torch.testing.assert_close(layer(x, lengths=lengths, **more)[0], ragged)
    assert pickle.loads(pickle.dumps(layer)).state_dict().keys() == layer.state_dict().keys()


def test_a_truth_value_counts_as_a_number() -> None:
    layer = made(decaying)
    x, more = torch.randn(T, B, FEATURES, dtype=D), extras(layer, T, B)
    torch.testing.assert_close(layer(x, mask=more["mask"].bool(), dt=more["dt"])[0], layer(x, **more)[0])


def test_extras_that_are_wrong() -> None:
    layer, x = made(timed), torch.randn(T, B, FEATURES, dtype=D)
    dt = torch.rand(T, B, dtype=D)
    with pytest.raises(TypeError, match=r"expected the extras of cell 'timed' by name, \(dt=\.\.\.\); 'dt' is missing"):
        layer(x)
    with pytest.raises(TypeError, match="unexpected keyword argument 'time'; the extras of cell 'timed' are dt"):
        layer(x, time=dt)
    with pytest.raises(RuntimeError, match=r"dt expected one entry for each time step and row .*; got \(3, 6\)"):
        layer(x, dt=dt.T)
    with pytest.raises(RuntimeError, match=r"dt expected torch\.float64 on cpu, as the input is, got torch\.float32"):
        layer(x, dt=dt.float())
    with pytest.raises(TypeError, match="dt expected a tensor, got list"):
        layer(x, dt=[1.0] * T)
    with pytest.raises(ValueError, match="expected PackedSequences of the input's lengths"):
        layer(pack_padded_sequence(x, [6, 5, 4]), dt=dt)
    with pytest.raises(ValueError, match=r"num_layers expected 1, as layer 1 gets the extras mask, dt too, and for it"):
        ostinato.Recurrent(decaying, FEATURES, H, 2)
    with pytest.raises(TypeError, match="unexpected keyword argument 'dt'"):
        ostinato.LSTM(FEATURES, H)(x.float(), dt=dt)


def _step(x: Any, s: State, U: Any) -> State:
    return s


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"states": "h c:Q"}, r"the state 'c' expected letters of H, P, I, N, d, 1, got 'Q'; .* widths=\{\"Q\": 64\}"),
        ({"parameters": {"w": "Q"}}, "the parameter 'w' expected letters of G, G_ih, H, P, I, N, d, 1, got 'Q'"),
        ({"parameters": {"w": "H G"}}, "one letter for a vector or two for a matrix, its rows first; got 'H G'"),
        ({"parameters": {"w": "H H H"}}, "one letter for a vector or two for a matrix"),
        ({"widths": {"H": 3}}, "widths expected letters that have no meaning yet, got 'H'"),
        ({"widths": {"M": 0}}, "widths expected a number of at least 1 for 'M', got 0"),
        ({"starts": {"w": 1.0}}, "starts expected some of weight_ih, weight_hh, bias_ih, bias_hh, got 'w'"),
        ({"starts": {"bias_ih": "uniform(1)"}}, r"the start of bias_ih expected a number, one of uniform\(low, high\)"),
        ({"starts": {"bias_ih": "uniform(a, b)"}}, "the start of bias_ih expected a number"),
        ({"starts": {"bias_ih": True}}, "the start of bias_ih expected a number"),
        ({"fixed": "w"}, "fixed expected some of weight_ih"),
        ({"derived": {"w": len}}, "derived expected some of weight_ih"),
        ({"extras": "dt"}, r"must take \(x, s, U\), then its extras and parameters \(dt\)"),
        ({"states": "h:M c", "widths": {"M": 3}}, "the first one, which is the output, to have H units, got h:M"),
        ({"extras": "lengths"}, "extras expected other names than the layer's own arguments, got 'lengths'"),
        ({"extras": "dt:N,d"}, "extras expected one letter for the width of 'dt', got 'N d'"),
    ],
)
def test_descriptions_that_are_wrong(described: dict[str, Any], message: str) -> None:
    with pytest.raises(CellError, match=message):
        cell(**{"gates": "a", "states": "h", **described})(_step)


def test_heads_that_do_not_go() -> None:
    with pytest.raises(ValueError, match="num_heads expected a divisor of hidden_size=6, got 4"):
        ostinato.LSTM(FEATURES, H, num_heads=4)
    with pytest.raises(ValueError, match="num_heads expected a number of heads, at least 1, got 0"):
        ostinato.LSTM(FEATURES, H, num_heads=0)
    with pytest.raises(TypeError, match="num_heads expected a number of heads, at least 1, got: float"):
        ostinato.LSTM(FEATURES, H, num_heads=2.0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(CellError, match="num_heads needs a cell with a recurrent product; 'min_gru' has none"):
        ostinato.MinGRU(FEATURES, H, num_heads=2)
    with pytest.raises(ValueError, match="num_heads expected a divisor of hidden_size=6, got 4"):
        ostinato.LSTMCell(FEATURES, H, num_heads=4)


def test_a_step_that_splits_units_into_heads_is_tried_on_as_many() -> None:
    @cell(gates="a", states="h")
    def split(x: Gates, s: State, U: Any, num_heads: int) -> State:
        heads = F.layer_norm(s.h.unflatten(-1, (num_heads, -1)), [s.h.shape[-1] // num_heads])
        return State(h=tanh(x.a + U(heads.flatten(-2)).a))

    layer = ostinato.Recurrent(split, FEATURES, 8, num_heads=4)
    assert layer(torch.randn(T, B, FEATURES))[0].shape == (T, B, 8)


def test_options_act_on_a_step_that_multiplies_its_input_itself() -> None:
    for option in (
        {"layer_norm": True},
        {"peephole": True},
        {"coupled_gates": True},
        {"zoneout": 0.2},
        {"proj_size": 3},
    ):
        layer = made(gating, **option)
        x = torch.randn(T, B, FEATURES, dtype=D, requires_grad=True)
        layer(x)[0].sum().backward()
        assert x.grad is not None
    # Where input and state gate nothing, the cell is the LSTM, with every option.
    for option in ({}, {"peephole": True}, {"layer_norm": True}, {"coupled_gates": True}):
        ours, plain = made(gating, **option), ostinato.LSTM(FEATURES, H, dtype=D, **option)
        with torch.no_grad():
            ours.Q_l0.zero_(), ours.R_l0.zero_()
            for name, p in plain.named_parameters():
                p.copy_(getattr(ours, name))
        torch.testing.assert_close(ours(x)[0], plain(x)[0])


def test_a_number_a_row_goes_in_and_comes_out() -> None:
    layer = made(counting)
    x = torch.randn(T, B, FEATURES, dtype=D)
    y, (_, n) = layer(x)
    assert n.shape == (1, B, 1)
    first, state = layer(x[:2])
    torch.testing.assert_close(torch.cat([first, layer(x[2:], state)[0]]), y)
    assert layer(x, return_states=True)[2].n[0].shape == (T, B, 1)


def test_the_stabilised_cell_with_heads_is_its_heads_side_by_side() -> None:
    layer = made(stabilised, num_heads=2)
    x = torch.randn(T, B, FEATURES, dtype=D)
    parts = []
    for head in range(2):
        one = ostinato.Recurrent(stabilised, FEATURES, H // 2, dtype=D)
        with torch.no_grad():
            for name, p in one.named_parameters():
                p.copy_(getattr(layer, name).unflatten(0, (4, 2, H // 2))[:, head].flatten(0, 1))
        parts.append(one(x)[0])
    torch.testing.assert_close(layer(x)[0], torch.cat(parts, -1))


def test_a_step_may_take_as_many_parameters_as_the_description_has() -> None:
    @cell(gates="a", states="h", parameters={"v": "H", "w": "H"}, starts={"v": 1.0, "w": 2.0})
    def several(x: Gates, s: State, U: Any, **own: Tensor) -> State:
        return State(h=tanh(x.a + U(s.h).a) * sum(own.values()))

    layer, x = made(several), torch.randn(T, B, FEATURES, dtype=D)
    assert ostinato.explain(layer, x).backends == {"compiled"}
    torch.testing.assert_close(layer(x)[0], made(several, backend="reference")(x)[0])


def test_extras_that_are_packed_in_another_order_are_refused() -> None:
    layer, x, dt = made(timed), torch.randn(T, B, FEATURES, dtype=D), torch.rand(T, B, dtype=D)
    packed = pack_padded_sequence(x, [2, 6, 4], enforce_sorted=False)
    for other in ([6, 4, 2], [4, 2, 6]):
        with pytest.raises(ValueError, match="packed with the same enforce_sorted"):
            layer(packed, dt=pack_padded_sequence(dt, other, enforce_sorted=False))


def test_heads_of_no_rows() -> None:
    for backend in ("reference", "auto"):
        layer = made(ostinato.cells.lstm, num_heads=2, backend=backend)
        assert layer(torch.empty(T, 0, FEATURES, dtype=D))[0].shape == (T, 0, H)


def test_what_is_derived_has_the_shape_of_what_it_is_made_of() -> None:
    @cell(gates="h", states="h", derived={"weight_hh": lambda w: w[:2]})
    def cut(x: Gates, s: State, U: Any) -> State:
        return State(h=tanh(x.h + U(s.h).h))

    with pytest.raises(CellError, match=r"derived\['weight_hh'\] of cell 'cut' expected to give the shape \(6, 6\)"):
        made(cut)(torch.randn(T, B, FEATURES, dtype=D))


def test_a_model_has_no_extras_to_give() -> None:
    with pytest.raises(
        ostinato.errors.ConfigError, match="got gru_d, which needs mask, dt at every step: classify and tag have it"
    ):
        make_layers("grud", 4, 4)


def test_a_catalogued_cell_is_filled_whatever_the_default_device_is() -> None:
    with torch.device("meta"):
        ostinato.catalogue.make("lmu", 4, 4, theta=7.5)
    assert ostinato.catalogue.make("lmu", 4, 4, theta=7.5).A_l0.isfinite().all()


@pytest.mark.parametrize("name", ["lem", "cornn", "grud", "lmu", "unicornn"])
def test_a_cell_that_adds_its_output_to_what_is_wider_takes_no_projection(name: str) -> None:
    with pytest.raises(CellError, match=r"proj_size needs a step that .* Leave proj_size out, or use another cell"):
        ostinato.catalogue.make(name, FEATURES, H, proj_size=2)


@pytest.mark.parametrize("rank", [2, 3, 4, 5])
def test_a_width_of_its_own_is_taken_for_no_other(rank: int) -> None:
    def the_wrong_way_round(x: Gates, s: State, U: Any, A: Tensor) -> State:
        return State(h=tanh(x.a + s.h @ A))

    described: dict[str, Any] = {"parameters": {"A": "R H"}, "widths": {"R": rank}}
    with pytest.raises(CellError, match="cannot be multiplied"):
        made(cell(gates="a", states="h", **described)(the_wrong_way_round))
    with pytest.raises(CellError, match="cannot be multiplied"):
        made(cell(gates="a", states="h", parameters={"A": "I H"})(the_wrong_way_round))


def test_what_is_about_to_be_written_is_dropped_wherever_it_is_written() -> None:
    @cell(gates="a", states="h slow:M", widths={"M": 2}, parameters={"B": "M H"})
    def slow(x: Gates, s: State, U: Any, B: Tensor, candidate: Any = identity) -> State:
        new = candidate(torch.nn.functional.linear(x.a, B))
        return State(h=tanh(x.a + U(s.h).a), slow=s.slow + new)

    layer = made(slow, recurrent_dropout=0.5)
    torch.manual_seed(1)
    _, _, states = layer(torch.randn(T, B, FEATURES, dtype=D), return_states=True)
    written = states.slow[0].diff(dim=0)
    assert 0.2 < (written == 0).double().mean() < 0.8

    @cell(gates="a", states="h slow:M", widths={"M": 2, "R": 5}, parameters={"B": "R H"})
    def nowhere(x: Gates, s: State, U: Any, B: Tensor, candidate: Any = identity) -> State:
        new = candidate(torch.nn.functional.linear(x.a, B)).sum(-1, keepdim=True)
        return State(h=tanh(x.a + U(s.h).a), slow=s.slow + new)

    with pytest.raises(
        CellError, match=r"candidate at tensors of the shapes \(2, 5\) where its states have h \(2, 3\)"
    ):
        made(nowhere, recurrent_dropout=0.5)

    @cell(gates="a", states="h")
    def of_some(x: Gates, s: State, U: Any, candidate: Any = identity) -> State:
        return State(h=tanh(x.a + U(s.h).a + candidate(x.a[:, :1])))

    @cell(gates="a", states="h")
    def silent(x: Gates, s: State, U: Any, candidate: Any = identity) -> State:
        return State(h=tanh(x.a + U(s.h).a))

    with pytest.raises(CellError, match=r"candidate at tensors of the shapes \(2, 1\) where"):
        made(of_some, recurrent_dropout=0.5)
    with pytest.raises(CellError, match="'silent' takes candidate, and never calls it; leave it out, or call it"):
        made(silent, recurrent_dropout=0.5)


def test_a_memory_of_matrices_that_corrects_itself_has_lengths_and_streams() -> None:
    """The delta rule, beside a loop over rows, steps and heads."""

    @cell(gates="q k v b", states="h S:N,d,d", recurrent=False)
    def delta(x: Gates, s: State, U: Any, num_heads: int) -> State:
        q, k, v, b = (gate.unflatten(-1, (num_heads, -1)) for gate in (x.q, x.k, x.v, x.b))
        k, rate = torch.nn.functional.normalize(k, dim=-1), torch.sigmoid(b.mean(-1, keepdim=True))
        there = (s.S @ k.unsqueeze(-1)).squeeze(-1)
        S = s.S + (rate * (v - there)).unsqueeze(-1) * k.unsqueeze(-2)
        return State(h=(S @ q.unsqueeze(-1)).squeeze(-1).flatten(-2), S=S)

    layer = made(delta, num_heads=2)
    x, lengths = torch.randn(T, B, FEATURES, dtype=D), [T, 0, 2]
    output, (_, last) = layer(x, lengths=lengths)
    w, d = weights(layer), H // 2
    for b, length in enumerate(lengths):
        S = torch.zeros(2, d, d, dtype=D)
        for t in range(length):
            q, k, v, gate = (w["weight_ih"] @ x[t, b] + w["bias_ih"]).view(4, 2, d)
            for n in range(2):
                key, rate = k[n] / k[n].norm(), torch.sigmoid(gate[n].mean())
                S[n] += rate * torch.outer(v[n] - S[n] @ key, key)
                torch.testing.assert_close(output[t, b, n * d : (n + 1) * d], S[n] @ q[n], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(last[0, b], S, rtol=1e-10, atol=1e-12)
    stream = ostinato.Stream(layer.eval())
    for t in range(T):
        torch.testing.assert_close(stream(x[t, 0]), output[t, 0], rtol=1e-10, atol=1e-12)


def test_the_input_s_product_stands_behind_the_recurrent_one() -> None:
    with pytest.raises(CellError, match=r"must take \(x, s, U\).*; it takes \(x, s, W\)"):
        cell(gates="a", states="h", recurrent=False)(lambda x, s, W: s)


def test_an_extra_of_another_layout_is_told_the_layout_of_the_input() -> None:
    layer = made(timed, batch_first=True)
    with pytest.raises(RuntimeError, match=r"laid out like it, \(3, 6\); got \(6, 3\)"):
        layer(torch.randn(B, T, FEATURES, dtype=D), dt=torch.rand(T, B, dtype=D))
