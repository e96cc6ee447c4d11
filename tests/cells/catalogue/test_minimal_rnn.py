from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import catalogue
from tests.cells.catalogue.checks import follows, streams
from tests.cells.equations import Array, Trial, Weights, sigmoid


@pytest.mark.usefixtures("each_backend")
def test_the_equations_of_the_paper() -> None:
    trial = Trial.of(catalogue.MinimalRNN(3, 4))
    w = Weights(trial.layer, "u z", inputs="z")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        z = np.tanh(w["weight_ih"] @ x + w["bias_ih"])
        bias = w.rows("bias_hh", "u") + w.rows("bias_hh", "z")
        u = sigmoid(w.h("u") @ h + w.h("z") @ z + bias)
        return (u * h + (1 - u) * z,)

    follows(trial, step)
    streams(catalogue.MinimalRNN(3, 4))


def test_forget_bias_opens_its_gate() -> None:
    layer = catalogue.MinimalRNN(3, 5, forget_bias=2.0)
    assert torch.equal(layer.get_parameter("bias_hh_l0")[:5], torch.full((5,), 2.0))
