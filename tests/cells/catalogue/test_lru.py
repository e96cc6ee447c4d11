from __future__ import annotations

import math

import numpy as np
import pytest

from ostinato import catalogue
from ostinato.errors import CellError
from tests.cells.catalogue.agreement import INPUT, agrees, figures, started, wave
from tests.cells.equations import Array, Step, Weights

pytestmark = pytest.mark.usefixtures("each_backend")


def test_the_equations_of_the_paper_in_complex_numbers() -> None:
    def equations(w: Weights) -> Step:
        nu, theta, gamma = np.split(w["ring"], 3)
        eigenvalue = np.exp(-np.exp(nu) + 1j * np.exp(theta))
        B, C = w.x("re") + 1j * w.x("im"), w["C_re"] + 1j * w["C_im"]
        bias = w.rows("bias_ih", "re") + 1j * w.rows("bias_ih", "im")

        def step(x: Array, y: Array, re: Array, im: Array, t: int, b: int) -> tuple[Array, Array, Array]:
            state = eigenvalue * (re + 1j * im) + np.exp(gamma) * (B @ x + bias)
            return (C @ state).real + w.x("d") @ x + w.rows("bias_ih", "d"), state.real, state.imag

        return step

    agrees(catalogue.LRU(3, 4), "re im d", equations, weights="weight_ih ring C_im")


def test_the_figures_of_a_jax_implementation() -> None:
    # NicolasZucchet/minimal-LRU at bbd71b11, lru/model.py, the lines of LRU evaluated step by step in NumPy.
    wanted = [
        [0.827588785647, 0.653764346782],
        [1.244968775465, 0.541247029153],
        [0.532825991281, -0.07157139742],
        [-0.667829662259, -0.616682814419],
    ]
    d = wave(2, 5)
    weights = {
        "weight_ih": [*wave(12, 0)[:8], d[0], 0, 0, d[1]],
        "ring": wave(6, 1),
        "C_re": wave(4, 3),
        "C_im": wave(4, 4),
    }
    np.testing.assert_allclose(figures(catalogue.LRU(2, 2), weights, INPUT), wanted, atol=1e-11)


def test_eigenvalues_start_on_a_ring_and_are_normalised() -> None:
    for layer, inner, outer, phase in (
        (catalogue.LRU(2, 5000), 0.0, 1.0, 2 * math.pi),
        (catalogue.LRU(2, 5000, r_min=0.6, r_max=0.8, max_phase=0.5), 0.6, 0.8, 0.5),
    ):
        nu, theta, gamma = started(layer, "ring").double().chunk(3)
        squared, angle = (-2 * nu.exp()).exp(), theta.exp()
        assert inner**2 - 1e-6 <= squared.min()
        assert squared.max() <= outer**2 + 1e-6
        assert abs(squared.mean() - (inner**2 + outer**2) / 2) < 0.02
        assert angle.min() >= 0
        assert 0.99 * phase < angle.max() <= phase * (1 + 1e-6)
        np.testing.assert_allclose(gamma.exp().square(), 1 - squared, atol=1e-6)


def test_its_numbers_are_checked() -> None:
    with pytest.raises(CellError, match=r"r_min expected a number below r_max, got 0.9 and 0.5"):
        catalogue.LRU(3, 4, r_min=0.9, r_max=0.5)
    with pytest.raises(CellError, match=r"r_max expected a finite number of at least 0 and of at most 1, got 1.5"):
        catalogue.LRU(3, 4, r_max=1.5)
