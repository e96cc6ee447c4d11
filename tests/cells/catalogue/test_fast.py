from __future__ import annotations

import numpy as np
import pytest

from ostinato import catalogue
from ostinato.errors import CellError
from tests.cells.catalogue.agreement import INPUT, agrees, figures, started, wave
from tests.cells.equations import Array, Step, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


def product(w: Weights, h: Array, rank: int | None) -> Array:
    """U h + b."""
    if rank is None:
        return w["weight_hh"] @ h + w["bias_ih"] + w["bias_hh"]
    return (w["U1"] @ w["U2"]) @ h + w["bias_ih"]


@pytest.mark.parametrize("rank", [None, 2])
def test_the_equations_of_fastrnn(rank: int | None) -> None:
    def equations(w: Weights) -> Step:
        def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
            proposed = np.tanh(w["weight_ih"] @ x + product(w, h, rank))
            return (sigmoid(w["alpha"]) * proposed + sigmoid(w["beta"]) * h,)

        return step

    agrees(catalogue.FastRNN(3, 4, rank=rank), "h", equations, weights=f"{'U2' if rank else 'weight_hh'} alpha beta")


@pytest.mark.parametrize("rank", [None, 2])
def test_the_equations_of_fastgrnn(rank: int | None) -> None:
    def equations(w: Weights) -> Step:
        def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
            v = w["weight_ih"] @ x + product(w, h, rank)
            z = sigmoid(v + w["bias_z"])
            return ((sigmoid(w["zeta"]) * (1 - z) + sigmoid(w["nu"])) * np.tanh(v) + z * h,)

        return step

    agrees(catalogue.FastGRNN(3, 4, rank=rank), "h", equations, weights="weight_ih bias_z zeta nu")


def test_the_figures_of_the_authors_code() -> None:
    # microsoft/EdgeML at 81025fce, pytorch/edgeml_pytorch/graph/rnn.py, FastRNNCell and FastGRNNCell as they start.
    weights = {"weight_ih": wave(4, 0), "bias_ih": wave(2, 2)}
    full, low = {"weight_hh": wave(4, 1)}, {"U1": wave(2, 4), "U2": wave(2, 5)}
    scalars = {"alpha": [-3.0], "beta": [3.0]}
    wanted = [
        [0.010647410806, -0.01882250764],
        [0.028584863602, -0.043064007391],
        [0.060690170957, -0.042327461769],
        [0.097682669912, -0.010103081214],
    ]
    got = figures(catalogue.FastRNN(2, 2), weights | full | scalars, INPUT)
    np.testing.assert_allclose(got, wanted, atol=1e-11)
    scalars = {"bias_z": wave(2, 3), "zeta": [1.0], "nu": [-4.0]}
    wanted = [
        [0.07223217891, -0.217536876176],
        [0.133885113512, -0.310031330624],
        [0.243151097244, -0.069349584021],
        [0.333846636024, 0.186205175303],
    ]
    got = figures(catalogue.FastGRNN(2, 2), weights | full | scalars, INPUT)
    np.testing.assert_allclose(got, wanted, atol=1e-11)
    wanted = [
        [0.07223217891, -0.217536876176],
        [0.15836722366, -0.36391445841],
        [0.268544737049, -0.150737890441],
        [0.354608163002, 0.140815883606],
    ]
    got = figures(catalogue.FastGRNN(2, 2, rank=1), weights | low | scalars, INPUT)
    np.testing.assert_allclose(got, wanted, atol=1e-11)


def test_all_starts_as_in_the_authors_code() -> None:
    for layer in (catalogue.FastGRNN(3, 300), catalogue.FastGRNN(3, 300, rank=50)):
        start = {name: v.detach() for name, v in layer.named_parameters()}
        assert start["zeta_l0"] == 1
        assert start["nu_l0"] == -4
        assert (start["bias_ih_l0"] == 1).all()
        assert not start["bias_z_l0"].any()
        assert all(0.09 < v.std() < 0.11 for v in start.values() if v.dim() == 2)
    layer = catalogue.FastRNN(3, 4)
    assert (started(layer, "alpha").item(), started(layer, "beta").item()) == (-3, 3)


@pytest.mark.parametrize("rank", [0, -1, 1.5, True, "2"])
def test_a_rank_is_a_whole_number(rank: object) -> None:
    for made in (catalogue.FastRNN, catalogue.FastGRNN):
        with pytest.raises(CellError, match="rank expected a whole number of at least 1, got"):
            made(3, 4, rank=rank)  # pyright: ignore[reportArgumentType]
