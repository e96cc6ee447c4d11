from __future__ import annotations

import numpy as np
import pytest

from ostinato import catalogue
from tests.cells.catalogue.agreement import INPUT, agrees, figures, started, wave
from tests.cells.equations import Array, Step, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


def test_the_equations_of_the_paper() -> None:
    def equations(w: Weights) -> Step:
        def step(x: Array, h: Array, t: int, _: int) -> tuple[Array]:
            r = sigmoid(w.x("r") @ x + w.rows("bias_ih", "r"))
            i = sigmoid(w.x("i") @ x + w.rows("bias_ih", "i"))
            a = sigmoid(w["Lambda"]) ** (8 * r)
            return (a * h + np.sqrt(1 - a**2) * (i * (w.x("v") @ x + w.rows("bias_ih", "v"))),)

        return step

    agrees(catalogue.RGLRU(3, 4), "r i v", equations, weights="weight_ih Lambda")


def test_the_figures_of_the_authors_code() -> None:
    # google-deepmind/recurrentgemma at 2efa84da, recurrentgemma/torch/layers.py, RGLRU without a first step: a_param = -Lambda.
    wanted = [
        [-0.179255157709, -0.457416802645],
        [-0.291461884975, -0.281164497137],
        [-0.199516162276, 0.095026306808],
        [0.209370568395, 0.161838456988],
    ]
    weights = {"weight_ih": [*wave(4, 0), *wave(4, 2), 1, 0, 0, 1], "bias_ih": [*wave(2, 1), *wave(2, 3), 0, 0]}
    got = figures(catalogue.RGLRU(2, 2), weights | {"Lambda": wave(2, 4)}, INPUT)
    np.testing.assert_allclose(got, wanted, atol=1e-11)


def test_an_open_gate_keeps_nine_tenths_or_more_at_the_start() -> None:
    a = started(catalogue.RGLRU(3, 5000), "Lambda").double().sigmoid() ** 8
    assert 0.9 <= a.min() < 0.901
    assert 0.998 < a.max() <= 0.9991
    assert abs(a.mean() - 0.9495) < 0.002
