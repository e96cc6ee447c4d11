from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import catalogue
from tests.cells.catalogue.checks import follows, streams
from tests.cells.equations import Array, Trial, Weights, sigmoid


@pytest.mark.usefixtures("each_backend")
def test_the_equations_of_the_paper() -> None:
    trial = Trial.of(catalogue.CFN(3, 4))
    w = Weights(trial.layer, "theta eta")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        theta = sigmoid(w.x("theta") @ x + w.h("theta") @ h + w.b("theta"))
        eta = sigmoid(w.x("eta") @ x + w.h("eta") @ h + w.b("eta"))
        return (theta * np.tanh(h) + eta * np.tanh(w["weight_c"] @ x),)

    follows(trial, step)
    streams(catalogue.CFN(3, 4))


def test_without_input_every_unit_goes_to_zero() -> None:
    layer = catalogue.CFN(3, 4)
    with torch.no_grad():
        for v in layer.parameters():
            v.uniform_(-3, 3)
        output, _ = layer(torch.zeros(400, 5, 3), torch.randn(1, 5, 4))
    assert (output.abs().diff(dim=0) <= 0).all()
    assert output[-1].abs().max() < 0.1


def test_it_starts_as_in_the_paper() -> None:
    layer = catalogue.CFN(3, 5)
    for name, v in layer.named_parameters():
        assert not name.startswith("weight") or 0.05 < v.abs().max() <= 0.07
    assert layer.get_parameter("bias_ih_l0").tolist() == [1.0] * 5 + [-1.0] * 5
    assert not layer.get_parameter("bias_hh_l0").any()
