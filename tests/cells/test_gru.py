from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import GRU, GRUCell
from tests.cells.equations import Array, Trial, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


def test_reset_after_the_product_and_an_open_z_keeps() -> None:
    trial = Trial.of(GRU(3, 4))
    w = Weights(trial.layer, "r z n")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        r = sigmoid(w.x("r") @ x + w.h("r") @ h + w.b("r"))
        z = sigmoid(w.x("z") @ x + w.h("z") @ h + w.b("z"))
        n = np.tanh(w.x("n") @ x + w.rows("bias_ih", "n") + r * (w.h("n") @ h + w.rows("bias_hh", "n")))
        return ((1 - z) * n + z * h,)

    trial.follows(step)


def test_reset_before_the_product_and_an_open_z_writes() -> None:
    trial = Trial.of(GRU(3, 4, reset_after=False))
    w = Weights(trial.layer, "r z n")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        # r_t = s(W_r x_t + U_r h_{t-1} + b_r), z_t = s(W_z x_t + U_z h_{t-1} + b_z),
        # h_t = (1 - z_t) h_{t-1} + z_t tanh(W_h x_t + U_h (r_t h_{t-1}) + b_h)
        r = sigmoid(w.x("r") @ x + w.h("r") @ h + w.b("r"))
        z = sigmoid(w.x("z") @ x + w.h("z") @ h + w.b("z"))
        return ((1 - z) * h + z * np.tanh(w.x("n") @ x + w.h("n") @ (r * h) + w.b("n")),)

    trial.follows(step)


@pytest.mark.parametrize("reset_after", [True, False])
def test_the_single_step_is_the_layer_s_step(reset_after: bool) -> None:
    trial = Trial.of(GRU(3, 4, reset_after=reset_after))
    step = GRUCell(3, 4, reset_after=reset_after).double()
    step.load_state_dict({name.removesuffix("_l0"): v for name, v in trial.layer.state_dict().items()})
    h = trial.first[0]
    with torch.no_grad():
        for t, x in enumerate(trial.input):
            h = step(x, h)
            np.testing.assert_allclose(h.numpy(), trial.states()[0][t], atol=1e-14)
