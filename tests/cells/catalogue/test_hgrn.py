from __future__ import annotations

import numpy as np
import pytest

from ostinato import catalogue
from ostinato.errors import CellError
from tests.cells.catalogue.agreement import INPUT, agrees, figures, started, wave
from tests.cells.equations import Array, Step, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


def silu(v: Array) -> Array:
    return v * sigmoid(v)


@pytest.mark.parametrize("lower_bound", [0.0, 0.4])
def test_the_equations_of_the_paper_in_complex_numbers(lower_bound: float) -> None:
    def equations(w: Weights) -> Step:
        def gate(name: str, x: Array) -> Array:
            return w.x(name) @ x + w.rows("bias_ih", name)

        def step(x: Array, h: Array, re: Array, im: Array, t: int, b: int) -> tuple[Array, Array, Array]:
            f = lower_bound + (1 - lower_bound) * sigmoid(gate("f", x))
            z = silu(gate("re", x)) + 1j * silu(gate("im", x))
            c = f * np.exp(1j * w["theta"]) * (re + 1j * im) + (1 - f) * z
            return w["P"] @ (silu(gate("p", x)) * c.real) + w["Q"] @ (silu(gate("q", x)) * c.imag), c.real, c.imag

        return step

    agrees(catalogue.HGRN(3, 4, lower_bound=lower_bound), "f re im p q", equations, weights="weight_ih theta Q")


def test_the_equations_without_complex_numbers() -> None:
    def equations(w: Weights) -> Step:
        def gate(name: str, x: Array) -> Array:
            return w.x(name) @ x + w.rows("bias_ih", name)

        def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
            f = 0.3 + 0.7 * sigmoid(gate("f", x))
            c = f * c + (1 - f) * silu(gate("z", x))
            return silu(gate("p", x)) * c, c

        return step

    agrees(catalogue.HGRN(3, 4, real=True, lower_bound=0.3), "f z p", equations)


def test_the_figures_of_the_authors_code() -> None:
    # Doraemonzzz/hgru-pytorch at 09f4ed2c, hgru/hgru1d.py and hgru/hgrureal1d.py, forward_naive with lower_bound=0.4 and the
    # identity for the layer norm; for the second also for out_proj.
    wanted = [
        [-0.005505105591, -0.041733403699],
        [-0.010947858637, -0.008966001604],
        [0.032623311687, 0.075109704329],
        [0.071755298234, 0.03962624802],
    ]
    weights = {"weight_ih": wave(20, 0), "bias_ih": wave(10, 2), "P": wave(4, 3), "Q": wave(4, 4), "theta": wave(2, 5)}
    np.testing.assert_allclose(figures(catalogue.HGRN(2, 2, lower_bound=0.4), weights, INPUT), wanted, atol=1e-11)
    wanted = [
        [-0.012090172329, -0.01337606935],
        [-0.015702393304, -0.0044465232],
        [-0.002483582253, 0.003996540751],
        [-0.005007823254, 0.000131841173],
    ]
    weights = {"weight_ih": wave(12, 0), "bias_ih": wave(6, 2)}
    layer = catalogue.HGRN(2, 2, real=True, lower_bound=0.4)
    np.testing.assert_allclose(figures(layer, weights, INPUT), wanted, atol=1e-11)


def test_theta_starts_as_in_rotary_embeddings() -> None:
    np.testing.assert_allclose(started(catalogue.HGRN(3, 4), "theta"), [1, 1e-2, 1e-4, 1e-6], rtol=1e-6)


@pytest.mark.parametrize("bound", [-0.1, 1.0, float("nan")])
def test_a_bound_is_below_1(bound: float) -> None:
    for real in (False, True):
        with pytest.raises(CellError, match="lower_bound expected a"):
            catalogue.HGRN(3, 4, lower_bound=bound, real=real)
