from __future__ import annotations

import numpy as np
import pytest

from ostinato import catalogue
from ostinato.cells.catalogue.lem import lem
from ostinato.errors import CellError
from tests.cells.catalogue.agreement import INPUT, agrees, figures, wave
from tests.cells.equations import Array, Step, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


@pytest.mark.parametrize("dt", [1.0, 0.4])
def test_the_equations_of_the_paper(dt: float) -> None:
    def equations(w: Weights) -> Step:
        def step(x: Array, y: Array, z: Array, t: int, _: int) -> tuple[Array, Array]:
            a = dt * sigmoid(w.x("a") @ x + w.h("a") @ y + w.b("a"))
            b = dt * sigmoid(w.x("b") @ x + w.h("b") @ y + w.b("b"))
            z = (1 - a) * z + a * np.tanh(w.x("z") @ x + w.h("z") @ y + w.b("z"))
            return (1 - b) * y + b * np.tanh(w.x("y") @ x + w.h("y") @ z + w.b("y")), z

        return step

    agrees(catalogue.LEM(3, 4, dt=dt), "a b z y", equations, weights="weight_ih weight_hh")


def test_the_figures_of_the_authors_code() -> None:
    # tk-rusch/LEM at 833da6b3, src/FitzHughNagumo/network.py, LEMCell.
    wanted = [
        [0.212608587841, 0.014542009329],
        [0.360740032527, 0.039806095545],
        [0.412567728225, 0.119721261026],
        [0.384577946379, 0.20136589504],
    ]
    weights = {"weight_ih": wave(16, 0), "weight_hh": wave(16, 1), "bias_ih": wave(8, 2)}
    np.testing.assert_allclose(figures(catalogue.LEM(2, 2, dt=0.4), weights, INPUT), wanted, atol=1e-11)


def test_a_step_is_above_0() -> None:
    assert lem(1) is lem(1.0) is lem()
    with pytest.raises(CellError, match="dt expected a finite number above 0, got 0"):
        catalogue.LEM(3, 4, dt=0)
