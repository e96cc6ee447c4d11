from __future__ import annotations

import numpy as np
import pytest

from ostinato import catalogue
from ostinato.errors import CellError
from tests.cells.catalogue.agreement import INPUT, agrees, figures, started, wave
from tests.cells.equations import Array, Step, Weights

pytestmark = pytest.mark.usefixtures("each_backend")


def test_the_equations_of_leaky_units() -> None:
    def equations(w: Weights) -> Step:
        def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
            return (0.7 * h + 0.3 * np.tanh(w.x("h") @ x + w.h("h") @ h + w.b("h")),)

        return step

    agrees(catalogue.ESN(3, 4, leak=0.3), "h", equations, weights="")


def test_the_equations_at_the_edge_of_stability() -> None:
    def equations(w: Weights) -> Step:
        def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
            return (0.3 * np.tanh(w.x("h") @ x + w.h("h") @ h + w.b("h")) + 0.7 * w["O"] @ h,)

        return step

    agrees(catalogue.ES2N(3, 4, beta=0.3), "h", equations, weights="")


def test_the_figures_of_the_authors_code() -> None:
    # andreaceni/ResESN at a4e8a3f2, esn.py, ReservoirCell(leaky=0.3), and ReservoirCell(alpha=0.7, beta=0.3).
    weights = {"weight_ih": wave(4, 0), "weight_hh": wave(4, 1), "bias_ih": wave(2, 2)}
    wanted = [
        [0.067351912109, -0.11906480395],
        [0.154064940626, -0.229512661479],
        [0.31062301184, -0.135185325447],
        [0.47758284166, 0.114198908773],
    ]
    np.testing.assert_allclose(figures(catalogue.ESN(2, 2, leak=0.3), weights, INPUT), wanted, atol=1e-11)
    wanted = [
        [0.067351912109, -0.11906480395],
        [0.158098931511, -0.147022040721],
        [0.282053074708, -0.027500252425],
        [0.297420462793, 0.051413977248],
    ]
    got = figures(catalogue.ES2N(2, 2, beta=0.3), weights | {"O": wave(4, 3)}, INPUT)
    np.testing.assert_allclose(got, wanted, atol=1e-11)


def test_a_reservoir_has_its_spectral_radius_and_is_not_learned() -> None:
    for made in (catalogue.ESN, catalogue.ES2N):
        layer = made(3, 50, 2, spectral_radius=0.8, input_scaling=0.2)
        for number in range(2):
            U = getattr(layer, f"weight_hh_l{number}")
            assert abs(abs(np.linalg.eigvals(U.double())).max() - 0.8) < 1e-5
        assert 0.19 < started(layer, "weight_ih").abs().max() <= 0.2
        assert 0 < started(layer, "bias_ih").abs().max() <= 0.2
        assert not any(v.requires_grad for v in layer.parameters())
    O = started(catalogue.ES2N(3, 50), "O").numpy()  # noqa: E741
    np.testing.assert_allclose(O @ O.T, np.eye(50), atol=1e-5)


def test_so_has_every_block_of_a_reservoir_of_heads() -> None:
    for block in started(catalogue.ESN(3, 40, num_heads=4), "weight_hh").view(4, 10, 10):
        assert abs(abs(np.linalg.eigvals(block.double())).max() - 0.9) < 1e-5


@pytest.mark.parametrize(
    ("name", "value"), [("leak", 0.0), ("leak", 1.5), ("spectral_radius", -1.0), ("input_scaling", None)]
)
def test_its_numbers_are_checked(name: str, value: object) -> None:
    with pytest.raises(CellError, match=f"{name} expected a finite number"):
        catalogue.ESN(3, 4, **{name: value})  # pyright: ignore[reportArgumentType]
