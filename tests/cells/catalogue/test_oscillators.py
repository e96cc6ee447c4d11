from __future__ import annotations

import numpy as np
import pytest

from ostinato import catalogue
from tests.cells.catalogue.agreement import INPUT, agrees, figures, started, wave
from tests.cells.equations import Array, Step, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


@pytest.mark.parametrize("implicit", [False, True])
def test_the_equations_of_cornn(implicit: bool) -> None:
    dt, gamma, epsilon = 0.3, 2.0, 1.5

    def equations(w: Weights) -> Step:
        b = w["bias_ih"] + w["bias_hh"][:4] + w["bias_hh"][4:]

        def step(x: Array, y: Array, z: Array, t: int, _: int) -> tuple[Array, Array]:
            new = z + dt * (np.tanh(w.h("y") @ y + w.h("z") @ z + w["weight_ih"] @ x + b) - gamma * y)
            new = new / (1 + dt * epsilon) if implicit else new - dt * epsilon * z
            return y + dt * new, new

        return step

    layer = catalogue.CoRNN(3, 4, dt=dt, gamma=gamma, epsilon=epsilon, implicit=implicit)
    agrees(layer, "y z", equations, inputs="y", weights="weight_ih weight_hh")


def test_the_equations_of_unicornn() -> None:
    dt, alpha = 0.3, 2.0

    def equations(w: Weights) -> Step:
        def step(x: Array, y: Array, z: Array, t: int, b: int) -> tuple[Array, Array]:
            pace = dt * sigmoid(w["c"])
            new = z - pace * (np.tanh(w["w"] * y + w["weight_ih"] @ x + w["bias_ih"]) + alpha * y)
            return y + pace * new, new

        return step

    agrees(catalogue.UnICORNN(3, 4, dt=dt, alpha=alpha), "y", equations, weights="weight_ih w c")


def test_the_figures_of_the_authors_code() -> None:
    # tk-rusch/coRNN at afd81744, sMNIST/network.py, coRNNCell.
    wanted = [
        [0.020205573633, -0.035719441185],
        [0.042565923741, -0.064153173635],
        [0.085992304421, -0.043409688732],
        [0.118867272688, 0.019445393444],
    ]
    weights = {"weight_ih": wave(4, 0), "weight_hh": wave(8, 1), "bias_ih": wave(2, 2)}
    got = figures(catalogue.CoRNN(2, 2, dt=0.3), weights, INPUT)
    np.testing.assert_allclose(got, wanted, atol=1e-11)
    # tk-rusch/unicornn at 35b243d9, IMDB/network.py, the lines of the kernel unicornn_fwd evaluated in NumPy.
    wanted = [
        [-0.000156587003, 0.000132777717],
        [-0.00058829924, 0.000445335144],
        [-0.001515786337, 0.000775348389],
        [-0.003025494349, 0.000898511399],
    ]
    weights = {"weight_ih": wave(4, 0), "w": wave(2, 1), "bias_ih": wave(2, 2), "c": wave(2, 3)}
    got = figures(catalogue.UnICORNN(2, 2, dt=0.05, alpha=2.0), weights, INPUT)
    np.testing.assert_allclose(got, wanted, atol=1e-11)


def test_without_force_unicornn_keeps_its_energy() -> None:
    weights = {"weight_ih": [0.5], "bias_ih": [0.0], "w": [0.0], "c": [0.0]}
    pushed = figures(catalogue.UnICORNN(1, 1, dt=0.1, alpha=2.0), weights, [[1.0]] + [[0.0]] * 2000)
    first, last = np.abs(pushed[1:1000]).max(), np.abs(pushed[1000:]).max()
    assert abs(last / first - 1) < 1e-3


def test_what_unicornn_starts_with() -> None:
    layer = catalogue.UnICORNN(30, 500)
    assert 0 <= started(layer, "w").min() < 0.1
    assert started(layer, "w").max() <= 1
    assert 0.09 < started(layer, "c").abs().max() <= 0.1
    assert not started(layer, "bias_ih").any()
    assert 0.9 < started(layer, "weight_ih").abs().max() / np.sqrt(6 / (1 + 8**2) / 30) <= 1
