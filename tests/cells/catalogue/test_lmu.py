from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ostinato import catalogue
from ostinato.cells.catalogue.lmu import legendre
from ostinato.errors import CellError
from tests.cells.catalogue.agreement import INPUT, agrees, figures, started, wave
from tests.cells.equations import Array, Step, Weights

pytestmark = pytest.mark.usefixtures("each_backend")


def test_the_equations_of_the_paper() -> None:
    def equations(w: Weights) -> Step:
        def step(x: Array, h: Array, m: Array, t: int, b: int) -> tuple[Array, Array]:
            u = w["e_x"] @ x + w["e_h"] @ h + w["e_m"] @ m
            m = w["A"] @ m + w["B"] * u
            return np.tanh(w.x("h") @ x + w.h("h") @ h + w["W_m"] @ m + w.b("h")), m

        return step

    agrees(catalogue.LMU(3, 4, order=5, theta=8), "h", equations, weights="weight_ih e_x e_h e_m W_m")


# nengo/keras-lmu at a1669463, keras_lmu/layers.py, the lines of _gen_AB in NumPy, and scipy.signal.cont2discrete(method="zoh")
# after them, which that code says it agrees with: order 3, theta 5.
A = [
    [0.814514406127, -0.177575553511, -0.071153138076],
    [0.532726660533, 0.35294088367, -0.277312863489],
    [-0.355765690379, 0.462188105814, 0.274488056779],
]
B = [0.185485593873, -0.532726660533, 0.355765690379]


def test_the_figures_of_the_authors_code() -> None:
    got_A, got_B = legendre(3, 5.0)
    np.testing.assert_allclose(got_A, A, atol=1e-11)
    np.testing.assert_allclose(got_B, B, atol=1e-11)
    # The same repository at 28d1ea5b, lmu/lmu.py, the lines of LMUCell.call in NumPy.
    wanted = [
        [-0.46252088442, -0.565967906052],
        [-0.825241902034, -0.562987313211],
        [-0.829958641883, 0.095290441434],
        [-0.405243914982, 0.677146481373],
    ]
    weights = {
        "weight_ih": wave(4, 0),
        "weight_hh": wave(4, 1),
        "W_m": wave(6, 6),
        "A": [v for row in A for v in row],
        "B": B,
    }
    weights |= {"e_x": wave(2, 3), "e_h": wave(2, 4), "e_m": wave(3, 5)}
    got = figures(catalogue.LMU(2, 2, order=3, theta=5), weights, INPUT)
    np.testing.assert_allclose(got, wanted, atol=1e-10)


def test_the_memory_tells_the_signal_of_a_time_ago() -> None:
    order, theta = 12, 40.0
    A, B = (v.numpy() for v in legendre(order, theta))
    signal, m = np.sin(np.arange(200) * 0.07), np.zeros(order)
    for u in signal:
        m = A @ m + B * u
    for ago in (0, 10, 25, 40):
        read = np.polynomial.legendre.legval(2 * ago / theta - 1, m)  # (3) of the paper
        assert abs(read - np.sin((199.5 - ago) * 0.07)) < 0.02


def test_what_it_starts_with_and_what_is_learned() -> None:
    layer = catalogue.LMU(3, 4, order=3, theta=5.0)
    np.testing.assert_allclose(started(layer, "A"), A, atol=1e-6)
    np.testing.assert_allclose(started(layer, "B"), B, atol=1e-6)
    assert {name for name, v in layer.named_parameters() if not v.requires_grad} == {"A_l0", "B_l0"}
    assert not started(layer, "e_m").any()
    assert 0 < started(layer, "e_h").abs().max() <= math.sqrt(3 / 4)
    assert torch.equal(started(catalogue.LMU(3, 4, order=3, theta=5.0), "A"), started(layer, "A"))


@pytest.mark.parametrize(("name", "value"), [("order", 0), ("theta", 0.0), ("order", 2.0)])
def test_its_numbers_are_checked(name: str, value: object) -> None:
    with pytest.raises(CellError, match=f"{name} expected a"):
        catalogue.LMU(3, 4, **{name: value})  # pyright: ignore[reportArgumentType]
