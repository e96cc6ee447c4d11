from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from ostinato import RHN, Recurrent, cells
from ostinato.cells import highway, rhn
from ostinato.errors import CellError
from tests.cells.equations import Array, Trial, Weights, normalised, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


def weights_of(trial: Trial, depth: int) -> Weights:
    return Weights(trial.layer, " ".join(f"h{n} t{n}" for n in range(1, depth + 1)), inputs="h1 t1")


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_the_equations_of_the_paper(depth: int) -> None:
    trial = Trial.of(RHN(3, 4, depth=depth))
    w = weights_of(trial, depth)

    def step(x: Array, s: Array, t: int, b: int) -> tuple[Array]:
        for n in range(1, depth + 1):
            h = w.h(f"h{n}") @ s + w.rows("bias_hh", f"h{n}")  # (7)
            transform = w.h(f"t{n}") @ s + w.rows("bias_hh", f"t{n}")  # (8)
            if n == 1:
                h = h + w.x("h1") @ x + w.rows("bias_ih", "h1")
                transform = transform + w.x("t1") @ x + w.rows("bias_ih", "t1")
            carry = 1 - sigmoid(transform)  # (9), coupled
            s = np.tanh(h) * sigmoid(transform) + s * carry  # (6)
        return (s,)

    trial.follows(step)


def test_every_layer_of_a_step_sees_the_same_mask(drawn: dict[str, Array]) -> None:
    trial = Trial.of(RHN(3, 4, depth=2, variational_dropout=(0, 0.5, 0), recurrent_dropout=0.3))
    w = weights_of(trial, 2)

    def step(x: Array, s: Array, t: int, b: int) -> tuple[Array]:
        into, of_step = drawn["variational_dropout"][b], drawn["recurrent_dropout"][t, b]
        transform = sigmoid(w.x("t1") @ x + w.h("t1") @ (s * into) + w.b("t1"))
        s = np.tanh(w.x("h1") @ x + w.h("h1") @ (s * into) + w.b("h1")) * of_step * transform + s * (1 - transform)
        transform = sigmoid(w.h("t2") @ (s * into) + w.rows("bias_hh", "t2"))
        proposed = np.tanh(w.h("h2") @ (s * into) + w.rows("bias_hh", "h2"))
        return (proposed * of_step * transform + s * (1 - transform),)

    trial.follows(step)


def test_layer_norm_acts_on_each_product_by_itself() -> None:
    trial = Trial.of(RHN(3, 4, depth=2, layer_norm=True))
    w = weights_of(trial, 2)
    assert (w["norm_ih"].shape, w["norm_hh"].shape) == ((8,), (16,))

    def step(x: Array, s: Array, t: int, b: int) -> tuple[Array]:
        for rows in (slice(0, 8), slice(8, 16)):
            a = normalised(w["weight_hh"][rows] @ s, w["norm_hh"][rows]) + w["bias_hh"][rows]
            if rows.start == 0:
                a = a + normalised(w["weight_ih"] @ x, w["norm_ih"]) + w["bias_ih"]
            transform = sigmoid(a[4:])
            s = np.tanh(a[:4]) * transform + s * (1 - transform)
        return (s,)

    trial.follows(step)


def test_the_input_enters_the_first_layer_of_a_step_only() -> None:
    layer = RHN(7, 5, 2, depth=3, bidirectional=True)
    shapes = {name: tuple(v.shape) for name, v in layer.state_dict().items()}
    assert list(shapes)[:8] == [
        *("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"),
        *(f"{name}_l0_reverse" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
    ]
    for at, size_in in ((0, 7), (1, 10)):
        assert shapes[f"weight_ih_l{at}_reverse"] == (2 * 5, size_in)
        assert shapes[f"weight_hh_l{at}"] == (6 * 5, 5)
        assert (shapes[f"bias_ih_l{at}"], shapes[f"bias_hh_l{at}"]) == ((2 * 5,), (6 * 5,))
    # Zilly et al. count 2 H I for the input and 2 H H a layer of the step; and two biases, as torch.nn has them.
    of_one = [2 * 5 * size_in + 3 * 2 * 5 * 5 + 2 * 5 + 6 * 5 for size_in in (7, 10)]
    assert sum(p.numel() for p in layer.parameters()) == 2 * sum(of_one)


# -- what its gates keep ------------------------------------------------------------------------------------------------------


def bias_of(layer: Any, gate: str, depth: int) -> torch.Tensor:
    """The sum of the biases of one gate."""
    w = Weights(layer, " ".join(f"h{n} t{n}" for n in range(1, depth + 1)), inputs="h1 t1")
    of_input = w.rows("bias_ih", gate) if gate.endswith("1") else 0
    return torch.as_tensor(of_input + w.rows("bias_hh", gate))


@pytest.mark.parametrize("init", ["torch", "xavier", "orthogonal"])
def test_every_transform_gate_starts_closed(init: str) -> None:
    layer: Any = RHN(3, 4, depth=3, init=init)
    for n in (1, 2, 3):
        assert (bias_of(layer, f"t{n}", 3) == -2).all()
    assert (bias_of(RHN(3, 4, depth=3, forget_bias=4), "t3", 3) == -4).all()
    assert (bias_of(RHN(3, 4, depth=3, forget_bias=0), "t1", 3) == 0).all()
    assert layer.bias_hh_l0.view(3, 2, 4)[:, 0].any() == (init == "torch")
    assert "bias_ih_l0" not in RHN(3, 4, bias=False).state_dict()


def test_a_cell_made_by_hand_starts_as_the_layer_does() -> None:
    torch.manual_seed(1)
    one = RHN(3, 4, 2, depth=2)
    torch.manual_seed(1)
    other = Recurrent(rhn(2), 3, 4, 2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(("bias", "kept"), [(50.0, 0.5), (-50.0, 0.0)])
def test_a_large_forget_bias_keeps_and_a_small_one_forgets(bias: float, kept: float) -> None:
    layer = RHN(2, 3, depth=2, forget_bias=bias)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "weight" in name:
                parameter.zero_()
            else:  # the candidates are tanh(0)
                parameter.view(-1, 2, 3)[:, 0] = 0
    last = layer(torch.randn(1, 1, 2), torch.full((1, 1, 3), 0.5))[1]
    torch.testing.assert_close(last, torch.full((1, 1, 3), kept))


def test_chrono_shares_the_forgetting_among_the_layers_of_a_step() -> None:
    torch.manual_seed(2)
    layer = RHN(2, 400, depth=4, init="chrono(100)")
    gates = torch.stack([bias_of(layer, f"t{n}", 4) for n in range(1, 5)])
    assert (gates == gates[0]).all()
    assert all((bias_of(layer, f"h{n}", 4) == 0).all() for n in range(1, 5))
    # What a step keeps is (1 - t)^4. A memory of T steps keeps 1/e after them.
    lasting = -1 / (1 - torch.sigmoid(gates)).log().sum(0)
    assert 1 <= lasting.min() < 5
    assert 90 < lasting.max() < 101


# -- one cell a depth ---------------------------------------------------------------------------------------------------------


def test_a_depth_has_one_cell_which_is_pickled_by_name() -> None:
    assert rhn(3) is rhn(3) is rhn(depth=3) is highway.rhn_3
    assert rhn(3) is not rhn(4)
    assert (rhn(2).name, rhn(2).gates, rhn(2).write) == ("rhn_2", ("h1", "t1", "h2", "t2"), "t1 t2")
    for depth in (1, 12):
        assert pickle.loads(pickle.dumps(rhn(depth))) is rhn(depth)
        assert copy.deepcopy(rhn(depth)) is rhn(depth)


@pytest.mark.parametrize("name", ["rhn_0", "rhn_", "rhn_03", "rhn_-1", "rhn_x", "rhn2", "lstm"])
def test_the_module_has_no_other_names(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'ostinato.cells.highway' has no attribute '{name}'"):
        getattr(cells.highway, name)


@pytest.mark.parametrize("depth", [0, -1, 1.0, True, "2", None])
def test_a_depth_is_a_number_of_layers(depth: Any) -> None:
    with pytest.raises(
        CellError, match=r"depth expected the number of layers in a step, an integer of at least 1, got"
    ):
        RHN(3, 4, depth=depth)
