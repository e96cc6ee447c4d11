from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ostinato import catalogue
from tests.cells.equations import Array, Step, Trial, Weights, fill_with_waves, sigmoid, waves

pytestmark = pytest.mark.usefixtures("each_backend")


def by_the_paper(trial: Trial, heads: int) -> Step:
    """(8) to (17) with a sigmoid forget gate, where something was written before."""
    w, units = Weights(trial.layer, "i f z o"), trial.layer.hidden_size // heads

    def step(x: Array, h: Array, c: Array, n: Array, m: Array, t: int, b: int) -> tuple[Array, ...]:
        def gate(name: str) -> Array:
            rows = w.h(name).reshape(heads, units, units)
            seen = np.concatenate([block @ v for block, v in zip(rows, h.reshape(heads, units), strict=True)])
            return w.x(name) @ x + seen + w.b(name)

        log_f = -np.log1p(np.exp(-gate("f")))
        new_m = np.maximum(log_f + m, gate("i"))
        i, f = np.exp(gate("i") - new_m), np.exp(log_f + m - new_m)
        new_c, new_n = f * c + i * np.tanh(gate("z")), f * n + i
        return sigmoid(gate("o")) * new_c / new_n, new_c, new_n, new_m

    return step


@pytest.mark.parametrize("heads", [1, 2])
def test_the_equations_of_the_paper(heads: int) -> None:
    trial = Trial.of(catalogue.SLSTM(3, 4, num_heads=heads))
    trial.first[2].abs_().add_(0.3)  # a normaliser is positive
    step = by_the_paper(trial, heads)
    trial.follows(step)
    trial.has_the_gradients_of(step, "weight_hh", "bias_ih")
    trial.streams()


def test_what_the_authors_code_computes() -> None:
    """NX-AI/xlstm, xlstm/blocks/slstm/src/vanilla, commit 032a6fb, from states of zeros, on waves."""
    layer = catalogue.SLSTM(3, 4, num_heads=2, dtype=torch.float64)
    fill_with_waves(layer, weight_ih=1.1, weight_hh=1.3, bias_ih=0.9)
    output, states = layer(waves(0.7, 4, 1, 3))
    wanted = [
        [0.023633167325643408, 0.7319171289760106, -0.27656805494254644, 0.31687765113003713],
        [0.39462329408451957, -0.01680437014910772, -0.1598330322464637, -0.1980827025710474],
        [0.23231426257611576, 0.14106998407804486, -0.1816253793492316, -0.3629319554841898],
        [0.015004833917508094, 0.4076439118921853, -0.15578271427574544, -0.44145764284383904],
    ]
    last = [
        [0.1237207106580827, 0.6810342748587259, -1.0568634032163327, -0.641036615331249],
        [1.0439015713171078, 1.329392284291059, 1.5716038146453115, 1.3691829704341272],
        [2.329529446964699, 1.0630155165904154, 0.8621055429886106, 0.5752619768278683],
    ]
    torch.testing.assert_close(output[:, 0], torch.tensor(wanted, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    for got, expected in zip(states[1:], last, strict=True):
        torch.testing.assert_close(got[0, 0], torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [-1000.0, 1000.0])
def test_gates_of_any_size_stay_finite_with_their_gradients(size: float) -> None:
    layer: Any = catalogue.SLSTM(3, 4, forget_bias=1.0, dtype=torch.float64)
    with torch.no_grad():
        layer.bias_ih_l0[:4] = size
    output, _ = layer(torch.randn(6, 2, 3, dtype=torch.float64))
    output.square().sum().backward()
    assert output.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())
    assert output.abs().min() > 0


def test_forget_gates_start_from_open_to_closed_in_each_head() -> None:
    layer: Any = catalogue.SLSTM(3, 8, num_heads=2)
    bias = layer.bias_ih_l0.view(4, 2, 4)
    wanted = torch.tensor([5.0, 5 - 12 * (1 / 3) ** 0.3, 5 - 12 * (2 / 3) ** 0.3, -7.0])
    torch.testing.assert_close(bias[1], wanted.expand(2, 4))
    assert not any(v.any() for v in (bias[[0, 2, 3]], layer.weight_hh_l0, layer.bias_hh_l0))
    layer = catalogue.SLSTM(3, 8, forget_bias=2.0)
    assert (layer.bias_ih_l0[8:16] == 2).all()
