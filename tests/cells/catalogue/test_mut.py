from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ostinato import GRU, catalogue
from tests.cells.catalogue.checks import follows, streams
from tests.cells.equations import Array, Trial, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


def test_the_equations_of_the_first() -> None:
    trial = Trial.of(catalogue.MUT1(3, 4))
    w = Weights(trial.layer, "z r")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        z = sigmoid(w.x("z") @ x + w.rows("bias_ih", "z"))
        r = sigmoid(w.x("r") @ x + w.h("r") @ h + w.b("r"))
        proposed = np.tanh(w.h("z") @ (r * h) + np.tanh(w["weight_h"] @ x) + w.rows("bias_hh", "z"))
        return (proposed * z + h * (1 - z),)

    follows(trial, step)
    streams(catalogue.MUT1(3, 4))


@pytest.mark.parametrize("made", [catalogue.MUT2, catalogue.MUT3])
def test_the_equations_of_the_second_and_the_third(made: Any) -> None:
    trial = Trial.of(made(3, 4))
    w = Weights(trial.layer, "z r h")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        seen = np.tanh(h) if made is catalogue.MUT3 else h
        z = sigmoid(w.x("z") @ x + w.h("z") @ seen + w.b("z"))
        r = sigmoid(w.x("r") @ x + w.h("r") @ h + w.b("r"))
        proposed = np.tanh(w.h("h") @ (r * h) + w.x("h") @ x + w.b("h"))
        return (proposed * z + h * (1 - z),)

    follows(trial, step)
    streams(made(3, 4))


def test_forget_bias_closes_z() -> None:
    layer = catalogue.MUT1(3, 5, forget_bias=1.0)
    assert torch.equal(layer.get_parameter("bias_ih_l0")[:5], -torch.ones(5))


def test_the_second_is_a_gru_of_other_order() -> None:
    one, other = catalogue.MUT2(3, 4), GRU(3, 4, reset_after=False)
    with torch.no_grad():
        for name, v in one.named_parameters():
            z, r, h = v.chunk(3)
            other.get_parameter(name).copy_(torch.cat([r, z, h]))
        x = torch.randn(5, 2, 3)
        torch.testing.assert_close(one(x)[0], other(x)[0])
