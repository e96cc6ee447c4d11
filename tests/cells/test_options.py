"""Each option against the equations of its paper, on single vectors; see `equations` for how a layer is compared with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import tanh

from ostinato import GRU, LSTM, RNN, Recurrent, State, backend, cell, cells
from ostinato.cells import options as transform
from ostinato.cells.trial import check
from ostinato.errors import CellError
from tests.cells.equations import Array, Trial, Weights, normalised, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


def test_peepholes_see_the_old_memory_and_the_output_gate_the_new() -> None:
    trial = Trial.of(LSTM(3, 4, peephole=True))
    w = Weights(trial.layer, "i f g o")

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        i = sigmoid(w.x("i") @ x + w.h("i") @ h + w["weight_ci"] * c + w.b("i"))  # Graves 2013, (7)
        f = sigmoid(w.x("f") @ x + w.h("f") @ h + w["weight_cf"] * c + w.b("f"))  # (8)
        c = f * c + i * np.tanh(w.x("g") @ x + w.h("g") @ h + w.b("g"))  # (9)
        o = sigmoid(w.x("o") @ x + w.h("o") @ h + w["weight_co"] * c + w.b("o"))  # (10)
        return o * np.tanh(c), c  # (11)

    trial.follows(step)


def test_coupled_gates_write_as_much_as_they_forget() -> None:
    trial = Trial.of(LSTM(3, 4, coupled_gates=True))
    assert trial.layer.weight_ih_l0.shape == (3 * 4, 3)
    w = Weights(trial.layer, "f g o")

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        f = sigmoid(w.x("f") @ x + w.h("f") @ h + w.b("f"))
        c = f * c + (1 - f) * np.tanh(w.x("g") @ x + w.h("g") @ h + w.b("g"))
        return sigmoid(w.x("o") @ x + w.h("o") @ h + w.b("o")) * np.tanh(c), c

    trial.follows(step)


def test_layer_norm_of_the_lstm_has_two_sums_and_the_memory() -> None:
    trial = Trial.of(LSTM(3, 4, layer_norm=True))
    w = Weights(trial.layer, "i f g o")

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        # Ba et al. 2016, (20) to (22)
        a = normalised(w["weight_hh"] @ h, w["norm_hh"]) + w["bias_hh"]
        a += normalised(w["weight_ih"] @ x, w["norm_ih"]) + w["bias_ih"]
        i, f, g, o = a.reshape(4, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(normalised(c, w["norm_c_weight"]) + w["norm_c_bias"]), c

    trial.follows(step)


def test_layer_norm_of_the_plain_network() -> None:
    trial = Trial.of(RNN(3, 4, layer_norm=True))
    w = Weights(trial.layer, "h")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        into, back = normalised(w["weight_ih"] @ x, w["norm_ih"]), normalised(w["weight_hh"] @ h, w["norm_hh"])
        return (np.tanh(into + w["bias_ih"] + back + w["bias_hh"]),)

    trial.follows(step)


def test_layer_norm_of_the_gru_that_resets_after_the_product() -> None:
    trial = Trial.of(GRU(3, 4, layer_norm=True))
    w = Weights(trial.layer, "r z n")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        into = (normalised(w["weight_ih"] @ x, w["norm_ih"]) + w["bias_ih"]).reshape(3, 4)
        back = (normalised(w["weight_hh"] @ h, w["norm_hh"]) + w["bias_hh"]).reshape(3, 4)
        r, z = sigmoid(into[0] + back[0]), sigmoid(into[1] + back[1])
        return ((1 - z) * np.tanh(into[2] + r * back[2]) + z * h,)

    trial.follows(step)


def test_layer_norm_of_the_gru_that_resets_before_the_product_norms_each_product() -> None:
    trial = Trial.of(GRU(3, 4, layer_norm=True, reset_after=False))
    w = Weights(trial.layer, "r z n")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        into = (normalised(w["weight_ih"] @ x, w["norm_ih"]) + w["bias_ih"]).reshape(3, 4)
        gates = (normalised(w["weight_hh"][:8] @ h, w["norm_hh"][:8]) + w["bias_hh"][:8]).reshape(2, 4)
        r, z = sigmoid(into[0] + gates[0]), sigmoid(into[1] + gates[1])
        back = normalised(w["weight_hh"][8:] @ (r * h), w["norm_hh"][8:]) + w["bias_hh"][8:]
        return ((1 - z) * h + z * np.tanh(into[2] + back),)

    trial.follows(step)


def test_projection_is_what_goes_out_and_back() -> None:
    trial = Trial.of(LSTM(3, 5, proj_size=2))
    w = Weights(trial.layer, "i f g o")

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        i, f, o = (sigmoid(w.x(gate) @ x + w.h(gate) @ h + w.b(gate)) for gate in "ifo")
        c = f * c + i * np.tanh(w.x("g") @ x + w.h("g") @ h + w.b("g"))
        return w["weight_hr"] @ (o * np.tanh(c)), c

    trial.follows(step)


@pytest.mark.parametrize("rates", [{"h": 0.4, "c": 0.3}, {"h": 0.4}, {"c": 0.3}])
def test_zoneout_of_the_lstm(rates: dict[str, float], drawn: dict[str, Array]) -> None:
    trial = Trial.of(LSTM(3, 4, zoneout=rates))
    w = Weights(trial.layer, "i f g o")

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        i, f, o = (sigmoid(w.x(gate) @ x + w.h(gate) @ h + w.b(gate)) for gate in "ifo")
        new_c = f * c + i * np.tanh(w.x("g") @ x + w.h("g") @ h + w.b("g"))
        new_h = o * np.tanh(new_c)  # of the memory before zoneout: Krueger et al. 2017, (5)
        for unit in range(4):
            if "h" in rates and drawn["zoneout_h"][t, b, unit] == 0:
                new_h[unit] = h[unit]
            if "c" in rates and drawn["zoneout_c"][t, b, unit] == 0:
                new_c[unit] = c[unit]
        return new_h, new_c

    trial.follows(step)
    assert set(drawn) == {f"zoneout_{name}" for name in rates}
    assert all(set(np.unique(mask)) == {0.0, 1.0} for mask in drawn.values())


def test_zoneout_of_the_lstm_in_evaluation_mixes_old_and_new_by_the_rate() -> None:
    trial = Trial.of(LSTM(3, 4, zoneout=(0.4, 0.3)).eval())
    w = Weights(trial.layer, "i f g o")

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        i, f, o = (sigmoid(w.x(gate) @ x + w.h(gate) @ h + w.b(gate)) for gate in "ifo")
        new_c = f * c + i * np.tanh(w.x("g") @ x + w.h("g") @ h + w.b("g"))
        return 0.4 * h + 0.6 * o * np.tanh(new_c), 0.3 * c + 0.7 * new_c

    trial.follows(step)


@pytest.mark.parametrize("training", [True, False])
def test_zoneout_of_a_cell_with_one_state(training: bool, drawn: dict[str, Array]) -> None:
    trial = Trial.of(RNN(3, 4, zoneout=0.4).train(training))
    w = Weights(trial.layer, "h")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        kept = drawn["zoneout_h"][t, b] if training else 0.6
        return (kept * np.tanh(w.x("h") @ x + w.h("h") @ h + w.b("h")) + (1 - kept) * h,)

    trial.follows(step)


def test_recurrent_dropout_of_the_lstm_drops_what_is_written_only(drawn: dict[str, Array]) -> None:
    trial = Trial.of(LSTM(3, 4, recurrent_dropout=0.4))
    w = Weights(trial.layer, "i f g o")

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        i, f, o = (sigmoid(w.x(gate) @ x + w.h(gate) @ h + w.b(gate)) for gate in "ifo")
        g = np.tanh(w.x("g") @ x + w.h("g") @ h + w.b("g"))
        c = f * c + i * (drawn["recurrent_dropout"][t, b] * g)  # Semeniuta et al. 2016, (7)
        return o * np.tanh(c), c

    trial.follows(step)
    np.testing.assert_allclose(np.unique(drawn["recurrent_dropout"]), [0, 1 / 0.6])


@pytest.mark.parametrize("reset_after", [True, False])
def test_recurrent_dropout_of_the_gru_drops_the_candidate_only(reset_after: bool, drawn: dict[str, Array]) -> None:
    trial = Trial.of(GRU(3, 4, recurrent_dropout=0.4, reset_after=reset_after))
    w = Weights(trial.layer, "r z n")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        r, z = (sigmoid(w.x(gate) @ x + w.h(gate) @ h + w.b(gate)) for gate in "rz")
        mask = drawn["recurrent_dropout"][t, b]
        into, bias = w.x("n") @ x + w.rows("bias_ih", "n"), w.rows("bias_hh", "n")
        if reset_after:
            return ((1 - z) * (mask * np.tanh(into + r * (w.h("n") @ h + bias))) + z * h,)
        return ((1 - z) * h + z * (mask * np.tanh(into + w.h("n") @ (r * h) + bias)),)

    trial.follows(step)


def test_variational_dropout_of_the_plain_network(drawn: dict[str, Array]) -> None:
    trial = Trial.of(RNN(3, 4, variational_dropout=(0, 0.4, 0)))
    w = Weights(trial.layer, "h")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        return (np.tanh(w.x("h") @ x + w.h("h") @ (drawn["variational_dropout"][b] * h) + w.b("h")),)

    trial.follows(step)


def test_variational_dropout_of_the_lstm_has_one_mask_for_all_gates(drawn: dict[str, Array]) -> None:
    trial = Trial.of(LSTM(3, 4, variational_dropout=(0, 0.4, 0)))
    w = Weights(trial.layer, "i f g o")

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        # Gal & Ghahramani 2016, (7)
        masked = drawn["variational_dropout"][b] * h
        i, f, o = (sigmoid(w.x(gate) @ x + w.h(gate) @ masked + w.b(gate)) for gate in "ifo")
        c = f * c + i * np.tanh(w.x("g") @ x + w.h("g") @ masked + w.b("g"))
        return o * np.tanh(c), c

    trial.follows(step)
    np.testing.assert_allclose(np.unique(drawn["variational_dropout"]), [0, 1 / 0.6])


@pytest.mark.parametrize("reset_after", [True, False])
def test_variational_dropout_of_the_gru_acts_on_every_product(reset_after: bool, drawn: dict[str, Array]) -> None:
    trial = Trial.of(GRU(3, 4, variational_dropout=(0, 0.4, 0), reset_after=reset_after))
    w = Weights(trial.layer, "r z n")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        mask = drawn["variational_dropout"][b]
        r, z = (sigmoid(w.x(gate) @ x + w.h(gate) @ (mask * h) + w.b(gate)) for gate in "rz")
        into, bias = w.x("n") @ x + w.rows("bias_ih", "n"), w.rows("bias_hh", "n")
        if reset_after:
            return ((1 - z) * np.tanh(into + r * (w.h("n") @ (mask * h) + bias)) + z * h,)
        return ((1 - z) * h + z * np.tanh(into + w.h("n") @ (mask * r * h) + bias),)

    trial.follows(step)


@pytest.mark.parametrize("proj_size", [0, 2])
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_all_options_at_once(proj_size: int, coupled: bool, training: bool, drawn: dict[str, Array]) -> None:
    """What each option acts on when the others are there."""
    layer = LSTM(
        3,
        4,
        proj_size=proj_size,
        coupled_gates=coupled,
        peephole=True,
        layer_norm=True,
        recurrent_dropout=0.3,
        variational_dropout=(0, 0.3, 0),
        zoneout=(0.4, 0.2),
    )
    trial = Trial.of(layer.train(training))
    w = Weights(trial.layer, "f g o" if coupled else "i f g o")

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        into, write, keep_h, keep_c = 1.0, 1.0, 0.6, 0.8
        if training:
            into, write = drawn["variational_dropout"][b], drawn["recurrent_dropout"][t, b]
            keep_h, keep_c = drawn["zoneout_h"][t, b], drawn["zoneout_c"][t, b]
        a = normalised(w["weight_ih"] @ x, w["norm_ih"]) + w["bias_ih"]
        a += normalised(w["weight_hh"] @ (into * h), w["norm_hh"]) + w["bias_hh"]
        *i, f, g, o = a.reshape(-1, 4)
        f = sigmoid(f + w["weight_cf"] * c)
        i = 1 - f if coupled else sigmoid(i[0] + w["weight_ci"] * c)
        new_c = f * c + i * write * np.tanh(g)
        out = sigmoid(o + w["weight_co"] * new_c) * np.tanh(normalised(new_c, w["norm_c_weight"]) + w["norm_c_bias"])
        if proj_size:
            out = w["weight_hr"] @ out
        return keep_h * out + (1 - keep_h) * h, keep_c * new_c + (1 - keep_c) * c

    trial.follows(step)


# -- what the transformations say about the cell that they make ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "base"),
    [
        (transform.coupled_gates, cells.gru),
        (transform.coupled_gates, cells.rnn_tanh),
        (transform.peephole, cells.gru),
        (transform.peephole, cells.gru_reset_before),
        (transform.peephole, cells.rnn_relu),
        (lambda c: transform.recurrent_dropout(c, 0.5), cells.rnn_tanh),
        (lambda c: transform.zoneout(c, {"c": 0.5}), cells.gru),
    ],
)
def test_a_cell_that_cannot_take_an_option_says_so(option: Any, base: cells.Cell) -> None:
    with pytest.raises(CellError, match=rf"needs a cell with .*; '{base.name}' has .*another cell") as caught:
        option(base)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("one", "other"), [("i f", "g"), ("i", "f g"), ("f g", "i")])
def test_gates_of_several_products_cannot_be_coupled(one: str, other: str) -> None:
    @cell(gates="i f g", states="h")
    def own(x: Any, s: Any, U: Any) -> State:
        u = U.only(one)(s.h).with_(**{gate: getattr(U.only(other)(s.h), gate) for gate in other.split()})
        return State(h=torch.sigmoid(x.f + u.f) * s.h + torch.sigmoid(x.i + u.i) * tanh(x.g + u.g))

    check(own)
    with pytest.raises(
        CellError, match=r"coupled_gates needs a step that asks .*; 'own' does not: .*another cell"
    ) as caught:
        Recurrent(own, 3, 4, coupled_gates=True)
    assert "\n" not in str(caught.value)


def test_an_option_leaves_the_cell_that_it_was_given_as_it_was() -> None:
    before = dict(vars(cells.lstm))
    made = transform.zoneout(transform.layer_norm(transform.peephole(transform.coupled_gates(cells.lstm))), {"h": 0.1})
    assert vars(cells.lstm) == before
    assert made.options == ("coupled_gates", "peephole", "layer_norm", "zoneout")
    assert (made.vendor, made.keep, made.write) == (None, "f", None)
    assert made.gates == ("f", "g", "o")


def test_a_projection_alone_keeps_torch_s_kernel() -> None:
    assert transform.projection(cells.lstm).vendor == "LSTM"
    assert transform.projection(transform.peephole(cells.lstm)).vendor is None
    with pytest.raises(CellError, match=r"proj_size needs a cell with a memory beside its output.*'gru' has one state"):
        transform.projection(cells.gru)


def test_a_step_with_peepholes_multiplies_once_though_it_is_evaluated_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = LSTM(3, 4, peephole=True, layer_norm=True, coupled_gates=True)
    products = []
    linear = torch.nn.functional.linear
    monkeypatch.setattr(torch.nn.functional, "linear", lambda *a: (products.append(a[1].shape), linear(*a))[1])
    with backend("reference"):
        layer(torch.zeros(5, 2, 3))
    assert products == [(12, 3)] + 5 * [(12, 4)]


def test_options_act_on_a_cell_of_the_user_s() -> None:
    @cell(gates="f c", states="h c")
    def own(x: Any, s: Any, U: Any, candidate: Any = cells.identity, memory: Any = cells.identity) -> State:
        u = U(s.h)
        f = torch.sigmoid(x.f + u.f)
        c = f * s.c + (1 - f) * candidate(tanh(x.c + u.c))
        return State(h=memory(c), c=c)

    trial = Trial.of(Recurrent(own, 3, 4, layer_norm=True, zoneout={"c": 0.25}, proj_size=2).eval())
    w = Weights(trial.layer, "f c")

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        a = normalised(w["weight_ih"] @ x, w["norm_ih"]) + w["bias_ih"]
        a += normalised(w["weight_hh"] @ h, w["norm_hh"]) + w["bias_hh"]
        f = sigmoid(a[:4])
        new = f * c + (1 - f) * np.tanh(a[4:])
        return w["weight_hr"] @ (normalised(new, w["norm_c_weight"]) + w["norm_c_bias"]), 0.25 * c + 0.75 * new

    trial.follows(step)
