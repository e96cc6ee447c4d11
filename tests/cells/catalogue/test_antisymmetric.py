from __future__ import annotations

import numpy as np
import pytest

from ostinato import catalogue
from ostinato.errors import CellError
from tests.cells.catalogue.agreement import agrees, started
from tests.cells.equations import Array, Step, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


def test_the_equation_of_the_paper() -> None:
    def equations(w: Weights) -> Step:
        M = w["weight_hh"] - w["weight_hh"].T - 0.2 * np.eye(4)

        def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
            return (h + 0.3 * np.tanh(M @ h + w.x("h") @ x + w.b("h")),)

        return step

    agrees(catalogue.AntisymmetricRNN(3, 4, epsilon=0.3, gamma=0.2), "h", equations, weights="weight_ih weight_hh")


def test_the_equations_with_a_gate() -> None:
    def equations(w: Weights) -> Step:
        M = w["weight"] - w["weight"].T - 0.2 * np.eye(4)

        def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
            z = sigmoid(M @ h + w.x("z") @ x + w.rows("bias_ih", "z"))
            return (h + 0.3 * z * np.tanh(M @ h + w.x("h") @ x + w.rows("bias_ih", "h")),)

        return step

    layer = catalogue.AntisymmetricRNN(3, 4, gated=True, epsilon=0.3, gamma=0.2)
    agrees(layer, "z h", equations, weights="weight_ih weight")


def test_weights_start_by_their_width() -> None:
    layer = catalogue.AntisymmetricRNN(100, 400)
    assert abs(started(layer, "weight_hh").std().item() - 1 / 20) < 0.002
    assert abs(started(layer, "weight_ih").std().item() - 1 / 10) < 0.002


@pytest.mark.parametrize(
    ("name", "value"), [("epsilon", 0.0), ("gamma", -0.1), ("gamma", float("nan")), ("epsilon", "1")]
)
def test_its_numbers_are_checked(name: str, value: object) -> None:
    with pytest.raises(CellError, match=f"{name} expected a finite number"):
        catalogue.AntisymmetricRNN(3, 4, **{name: value})  # pyright: ignore[reportArgumentType]
