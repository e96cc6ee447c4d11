from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import catalogue
from tests.cells.catalogue.checks import follows, gives, pattern, streams
from tests.cells.equations import Array, Trial, Weights, sigmoid


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("late", [False, True])
def test_the_equations_of_the_paper(late: bool) -> None:
    trial = Trial.of(catalogue.MultiplicativeLSTM(3, 4, late_tanh=late))
    w = Weights(trial.layer, "i f g o")

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        m = (w["weight_mx"] @ x) * (w["weight_mh"] @ h)
        i, f, g, o = (w.x(n) @ x + w.h(n) @ m + w.b(n) for n in "ifgo")
        c = sigmoid(f) * c + sigmoid(i) * (g if late else np.tanh(g))
        return (np.tanh(sigmoid(o) * c) if late else sigmoid(o) * np.tanh(c)), c

    follows(trial, step)
    streams(catalogue.MultiplicativeLSTM(3, 4, late_tanh=late))


@pytest.mark.usefixtures("each_backend")
def test_the_figures_of_the_authors_code() -> None:
    # mLSTM of benkrause/mLSTM, chainer/mLSTMWN.py at fe32a00, by Chainer 7.8.1.
    parameters = {
        "weight_ih": torch.cat([pattern(seed, 3, 2) for seed in (1, 2, 3, 4)]),
        "weight_hh": torch.cat([pattern(seed, 3, 3) for seed in (5, 6, 7, 8)]),
        "bias_ih": torch.cat([pattern(seed, 3) for seed in (9, 10, 11, 12)]),
        "weight_mx": pattern(13, 3, 2),
        "weight_mh": pattern(14, 3, 3),
    }
    figures = [
        [-0.145357029, -0.13572541, 0.10546052],
        [-0.155646108, -0.201164465, 0.124128303],
        [-0.220849798, -0.057552986, -0.107498745],
        [-0.205879317, -0.005460333, -0.068391],
    ]
    gives(catalogue.MultiplicativeLSTM(2, 3), parameters, figures)


@pytest.mark.usefixtures("each_backend")
def test_a_projection_narrows_what_is_multiplied() -> None:
    layer = catalogue.MultiplicativeLSTM(3, 6, proj_size=2)
    assert layer.get_parameter("weight_mh_l0").shape == (2, 2)
    assert layer(torch.randn(5, 4, 3))[0].shape == (5, 4, 2)


def test_its_forget_gate_starts_open() -> None:
    bias = catalogue.MultiplicativeLSTM(3, 5).get_parameter("bias_ih_l0")
    assert torch.equal(bias[5:10], torch.ones(5))
