from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import catalogue
from tests.cells.catalogue.checks import follows, gives, pattern, streams
from tests.cells.equations import Array, Trial, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")

# RANCell of kentonl/ran, ran.py at bcee2c8, with `use_tanh` and without.
FIGURES = {
    False: [
        [0.221210918, -0.129520646, -0.246754029],
        [0.54073784, -0.043729138, -0.623956411],
        [0.065718221, 0.134462465, 0.267773193],
        [-0.075502179, -0.018446859, 0.446491381],
    ],
    True: [
        [0.224928973, -0.130252286, -0.251953423],
        [0.604984143, -0.043889808, -0.73225205],
        [0.051668821, 0.1326047, 0.285968463],
        [-0.084368136, -0.021062505, 0.485367381],
    ],
}


@pytest.mark.parametrize("linear", [False, True])
def test_the_equations_of_the_paper(linear: bool) -> None:
    trial = Trial.of(catalogue.RAN(3, 4, linear=linear))
    w = Weights(trial.layer, "i f")

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        i = sigmoid(w.x("i") @ x + w.h("i") @ h + w.b("i"))
        f = sigmoid(w.x("f") @ x + w.h("f") @ h + w.b("f"))
        c = i * (w["weight_c"] @ x) + f * c
        return (c if linear else np.tanh(c)), c

    follows(trial, step)
    streams(catalogue.RAN(3, 4, linear=linear))


@pytest.mark.parametrize("linear", [False, True])
def test_the_figures_of_the_authors_code(linear: bool) -> None:
    parameters = {
        "weight_c": pattern(1, 3, 2),
        "weight_ih": torch.cat([pattern(2, 3, 2), pattern(3, 3, 2)]),
        "weight_hh": torch.cat([pattern(4, 3, 3), pattern(5, 3, 3)]),
        "bias_ih": torch.cat([pattern(6, 3), pattern(7, 3)]),
    }
    gives(catalogue.RAN(2, 3, linear=linear), parameters, FIGURES[linear])
