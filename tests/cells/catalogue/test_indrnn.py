from __future__ import annotations

import numpy as np
import pytest

from ostinato import catalogue
from ostinato.errors import CellError
from tests.cells.catalogue.agreement import INPUT, agrees, figures, started, wave
from tests.cells.equations import Array, Step, Weights

pytestmark = pytest.mark.usefixtures("each_backend")


@pytest.mark.parametrize("nonlinearity", ["relu", "tanh"])
def test_the_equation_of_the_paper(nonlinearity: str) -> None:
    def equations(w: Weights) -> Step:
        def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
            v = w.x("h") @ x + w["u"] * h + w["bias_ih"]
            return (np.tanh(v) if nonlinearity == "tanh" else np.maximum(v, 0),)

        return step

    agrees(catalogue.IndRNN(3, 4, nonlinearity=nonlinearity), "h", equations, weights="weight_ih u")


def test_the_figures_of_the_authors_code() -> None:
    # Sunnydreamrain/IndRNN_pytorch at 9b9cb4cd, IndRNN_onlyrecurrent.py, IndRNNCell_onlyrecurrent behind a product.
    wanted = [[0.228396658879, 0.0], [0.571299072973, 0.0], [1.276195722154, 0.0], [2.073839042973, 0.71914034204]]
    got = figures(catalogue.IndRNN(2, 2), {"weight_ih": wave(4, 0), "u": wave(2, 1), "bias_ih": wave(2, 2)}, INPUT)
    np.testing.assert_allclose(got, wanted, atol=1e-11)


def test_u_starts_between_0_and_1() -> None:
    u = started(catalogue.IndRNN(3, 500), "u")
    assert 0 <= u.min() < 0.1
    assert 0.9 < u.max() <= 1


def test_another_nonlinearity_is_refused() -> None:
    with pytest.raises(CellError, match="nonlinearity expected one of relu, tanh, got 'gelu'"):
        catalogue.IndRNN(3, 4, nonlinearity="gelu")
