from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from ostinato import catalogue
from ostinato.cells.catalogue import janet as family
from ostinato.cells.catalogue.janet import janet
from ostinato.errors import CellError
from tests.cells.equations import Array, Trial, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


@pytest.mark.parametrize("beta", [1.0, 0.0, -0.5])
def test_the_equations_of_the_paper(beta: float) -> None:
    trial = Trial.of(catalogue.JANET(3, 4, beta=beta))
    w = Weights(trial.layer, "f g")

    def step(x: Array, c: Array, t: int, b: int) -> tuple[Array]:
        s = w.x("f") @ x + w.h("f") @ c + w.b("f")
        proposed = np.tanh(w.x("g") @ x + w.h("g") @ c + w.b("g"))
        return (sigmoid(s) * c + (1 - sigmoid(s - beta)) * proposed,)

    trial.follows(step)


def test_chrono_initialisation_and_forget_bias_open_its_gate() -> None:
    for options in ({"forget_bias": 2.0}, {"init": "chrono(100)"}):
        layer = catalogue.JANET(3, 50, **options)  # pyright: ignore[reportArgumentType]
        bias = torch.as_tensor(Weights(layer, "f g").b("f"))
        assert (bias == 2).all() if "forget_bias" in options else 0 <= bias.min() < bias.max() <= np.log(99)


def test_a_beta_has_one_cell_which_is_pickled_by_name() -> None:
    assert janet() is janet(1) is pickle.loads(pickle.dumps(janet(1.0)))
    assert pickle.loads(pickle.dumps(janet(-1e-9))) is janet(-1e-9)
    assert not hasattr(family, "janet_nan")
    assert not hasattr(family, "janet_half")


@pytest.mark.parametrize("beta", [float("nan"), float("inf"), "1", True, None])
def test_a_beta_is_a_finite_number(beta: object) -> None:
    with pytest.raises(CellError, match="beta expected a finite number, got"):
        janet(beta)  # pyright: ignore[reportArgumentType]
