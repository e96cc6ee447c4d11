from __future__ import annotations

import pytest

from ostinato import catalogue
from tests.cells.catalogue.checks import follows, gives, pattern, streams
from tests.cells.equations import Array, Trial, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


def test_the_equations_of_the_paper() -> None:
    trial = Trial.of(catalogue.ATR(3, 4))
    w = Weights(trial.layer, "p")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        p, q = w["weight_ih"] @ x + w["bias_ih"], w["weight_hh"] @ h + w["bias_hh"]
        return (sigmoid(p + q) * p + sigmoid(p - q) * h,)

    follows(trial, step)
    streams(catalogue.ATR(3, 4))


def test_the_figures_of_the_authors_code() -> None:
    # atr of bzhangGo/zero, rnns/atr.py at d97e2c2.
    parameters = {"weight_ih": pattern(1, 3, 2), "weight_hh": pattern(2, 3, 3), "bias_hh": pattern(3, 3)}
    figures = [
        [0.304923912, -0.081452674, -0.085021589],
        [0.778266257, -0.035608437, -0.191705876],
        [-0.270703719, 0.03722723, 0.296272095],
        [-0.264206682, -0.04597557, 0.428394432],
    ]
    gives(catalogue.ATR(2, 3), parameters, figures)
