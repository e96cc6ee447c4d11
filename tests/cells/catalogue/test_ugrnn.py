from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import catalogue
from tests.cells.catalogue.checks import follows, gives, pattern, streams
from tests.cells.equations import Array, Trial, Weights, sigmoid


@pytest.mark.usefixtures("each_backend")
def test_the_equations_of_the_paper() -> None:
    trial = Trial.of(catalogue.UGRNN(3, 4))
    w = Weights(trial.layer, "g c")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        g = sigmoid(w.x("g") @ x + w.h("g") @ h + w.b("g"))
        return (g * h + (1 - g) * np.tanh(w.x("c") @ x + w.h("c") @ h + w.b("c")),)

    follows(trial, step)
    streams(catalogue.UGRNN(3, 4))


@pytest.mark.usefixtures("each_backend")
def test_the_figures_of_the_authors_code() -> None:
    # UGRNNCell of tensorflow 1.15.5, tensorflow_core/contrib/rnn/python/ops/rnn_cell.py, whose gate has 1 added to its bias.
    parameters = {
        "weight_ih": torch.cat([pattern(1, 3, 2), pattern(2, 3, 2)]),
        "weight_hh": torch.cat([pattern(3, 3, 3), pattern(4, 3, 3)]),
        "bias_ih": torch.cat([pattern(5, 3) + 1, pattern(6, 3)]),
    }
    figures = [
        [-0.034083775, -0.015133189, 0.187686972],
        [0.08077518, -0.037851459, 0.237072965],
        [-0.401565752, 0.198412117, 0.27813509],
        [-0.524808641, 0.348535611, 0.346682206],
    ]
    gives(catalogue.UGRNN(2, 3), parameters, figures)


def test_its_gate_starts_open() -> None:
    layer = catalogue.UGRNN(3, 5)
    assert torch.equal(layer.get_parameter("bias_ih_l0")[:5], torch.ones(5))
    assert not layer.get_parameter("bias_hh_l0")[:5].any()
