from __future__ import annotations

import numpy as np
import pytest

from ostinato import catalogue
from tests.cells.catalogue.agreement import INPUT, agrees, figures, started, wave
from tests.cells.equations import Array, Step, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


@pytest.mark.parametrize("skip", [True, False])
def test_the_equations_of_the_paper(skip: bool) -> None:
    def equations(w: Weights) -> Step:
        def gate(name: str, x: Array) -> Array:
            return w.x(name) @ x + w.rows("bias_ih", name)

        def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
            f, r = sigmoid(gate("f", x) + w["v_f"] * c), sigmoid(gate("r", x) + w["v_r"] * c)
            c = f * c + (1 - f) * gate("z", x)
            return r * c + ((1 - r) * gate("x", x) if skip else 0), c

        return step

    agrees(catalogue.SRU(3, 4, skip=skip), "f r z x" if skip else "f r z", equations, weights="weight_ih v_f v_r")


def test_the_figures_of_the_authors_code() -> None:
    # asappresearch/sru at 9ddc8da1, sru/ops.py, elementwise_recurrence_naive, with four matrices, and without the skip term.
    wanted = [
        [0.089192620081, -0.287593817204],
        [0.219493368697, -0.210089149684],
        [0.050599451775, 0.032737797333],
        [-0.594554654787, 0.327309160263],
    ]
    weights = {"v_f": wave(2, 1), "v_r": wave(2, 2), "bias_ih": [*wave(2, 3), *wave(2, 4), 0, 0]}
    full = {"weight_ih": wave(16, 0), "bias_ih": [*weights["bias_ih"], 0, 0]}
    np.testing.assert_allclose(figures(catalogue.SRU(2, 2), weights | full, INPUT), wanted, atol=1e-11)
    wanted = [
        [-0.288948562063, 0.041826360157],
        [-0.319469315361, -0.017020573749],
        [-0.085919810467, -0.065839638072],
        [0.019821906393, -0.046560795153],
    ]
    weights |= {"weight_ih": wave(12, 0)}
    np.testing.assert_allclose(figures(catalogue.SRU(2, 2, skip=False), weights, INPUT), wanted, atol=1e-11)


@pytest.mark.parametrize("skip", [True, False])
def test_all_starts_as_in_the_authors_code(skip: bool) -> None:
    layer = catalogue.SRU(100, 400, skip=skip)
    for rows, scale in zip(started(layer, "weight_ih").chunk(3 + skip), (0.5, 0.5, 1, 3), strict=False):
        assert abs(rows.var() * 100 / scale - 1) < 0.03
    assert not started(layer, "bias_ih").any()
    assert abs(started(layer, "v_f").var() * 2 - 1) < 0.15
