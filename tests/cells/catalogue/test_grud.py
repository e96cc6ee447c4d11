from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import catalogue
from tests.cells.equations import Array, Trial, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


def trial_with_gaps() -> Trial:
    trial = Trial.of(catalogue.GRUD(3, 4))
    generator = torch.Generator().manual_seed(3)
    mask = torch.rand(5, 3, 3, generator=generator, dtype=torch.float64).round()
    trial.extras |= {"mask": mask, "dt": 2 * torch.rand(5, 3, 3, generator=generator, dtype=torch.float64)}
    assert 0.2 < mask.mean() < 0.8
    return trial


def test_the_equations_of_the_paper() -> None:
    trial = trial_with_gaps()
    w = Weights(trial.layer, "r z n")
    of_mask = {gate: w["weight_mask"][4 * n : 4 * n + 4] for n, gate in enumerate("rzn")}

    def step(x: Array, h: Array, last: Array, t: int, b: int) -> tuple[Array, Array]:
        m, dt, mean = trial.extras["mask"][t, b].numpy(), trial.extras["dt"][t, b].numpy(), w["mean"]
        g_x = np.exp(-np.maximum(0, w["decay_input"] * dt + w["decay_input_bias"]))
        g_h = np.exp(-np.maximum(0, w["decay_hidden"] @ dt + w["decay_hidden_bias"]))
        x_last = last + mean
        imputed = m * x + (1 - m) * (g_x * x_last + (1 - g_x) * mean)
        h = g_h * h
        a = {gate: w.x(gate) @ imputed + w.b(gate) + of_mask[gate] @ m for gate in "rzn"}
        r, z = sigmoid(a["r"] + w.h("r") @ h), sigmoid(a["z"] + w.h("z") @ h)
        n = np.tanh(a["n"] + w.h("n") @ (r * h))
        return (1 - z) * h + z * n, (m * x + (1 - m) * x_last) - mean

    trial.follows(step)
    trial.has_the_gradients_of(step, "decay_input", "decay_hidden", "weight_mask", "weight_ih")
    trial.streams()


def test_where_nothing_was_seen_yet_the_mean_stands() -> None:
    layer = trial_with_gaps().layer
    x, extras = torch.randn(4, 1, 3, dtype=torch.float64), {"dt": torch.rand(4, 1, 3, dtype=torch.float64)}
    unseen = layer(x, mask=torch.zeros(4, 1, 3, dtype=torch.float64), **extras)[0]
    torch.testing.assert_close(unseen, layer(-x, mask=torch.zeros(4, 1, 3, dtype=torch.float64), **extras)[0])
    # All values missing are as the mean given at every step, but for what the gates see of the mask.
    with torch.no_grad():
        layer.get_parameter("weight_mask_l0").zero_()
    mean = layer.get_parameter("mean_l0").detach().expand(4, 1, 3)
    seen = layer(mean, mask=torch.ones(4, 1, 3, dtype=torch.float64), **extras)[0]
    torch.testing.assert_close(layer(x, mask=torch.zeros(4, 1, 3, dtype=torch.float64), **extras)[0], seen)


def test_the_mean_is_not_learned_and_decays_start_where_they_have_a_slope() -> None:
    layer = catalogue.GRUD(3, 4)
    assert not layer.get_parameter("mean_l0").requires_grad
    for name in ("decay_input_l0", "decay_hidden_l0"):
        assert (layer.get_parameter(name) > 0).any()
