from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import catalogue
from tests.cells.catalogue.checks import follows, gives, pattern, streams
from tests.cells.equations import Array, Trial, Weights, sigmoid


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("as_run", [False, True])
def test_the_equations_of_the_paper(as_run: bool) -> None:
    trial = Trial.of(catalogue.STAR(3, 4, as_run=as_run))
    w = Weights(trial.layer, "k")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        a = w.x("k") @ x + w.h("k") @ h + w.b("k")
        z = np.tanh(w["weight_z"] @ x + w["bias_z"])
        return (np.tanh((1 - sigmoid(a)) * h + sigmoid(a + as_run) * z),)

    follows(trial, step)
    streams(catalogue.STAR(3, 4, as_run=as_run))


@pytest.mark.usefixtures("each_backend")
def test_the_figures_of_the_authors_code() -> None:
    # STARCell of 0zgur0/STAckable-Recurrent-network, star.py at acc5523, whose gate keeps: f of its code is 1 - k.
    parameters = {
        "weight_ih": -pattern(2, 3, 2),
        "weight_hh": -pattern(3, 3, 3),
        "bias_ih": -pattern(5, 3),
        "weight_z": pattern(1, 3, 2),
        "bias_z": pattern(4, 3),
    }
    figures = [
        [-0.10881652, -0.58594706, -0.367573621],
        [0.043924573, -0.595437275, -0.652384682],
        [-0.595687136, -0.57488469, -0.253494436],
        [-0.687692407, -0.680833294, -0.07837554],
    ]
    gives(catalogue.STAR(2, 3, as_run=True), parameters, figures)


def test_its_matrices_start_orthogonal_and_its_gate_may_start_closed() -> None:
    layer = catalogue.STAR(3, 5, init="chrono(100)")
    for name in ("weight_hh_l0", "weight_ih_l0", "weight_z_l0"):
        v = layer.get_parameter(name)
        torch.testing.assert_close(v.t() @ v, torch.eye(v.shape[1]))
    assert (layer.get_parameter("bias_ih_l0") < 0).all()
