from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import catalogue
from tests.cells.catalogue.checks import follows, gives, pattern, streams
from tests.cells.equations import Array, Trial, Weights, sigmoid


@pytest.mark.usefixtures("each_backend")
def test_the_equations_of_the_paper() -> None:
    trial = Trial.of(catalogue.BRC(3, 4))
    w = Weights(trial.layer, "a c h")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        of_x = {gate: w.x(gate) @ x + w.rows("bias_ih", gate) for gate in "ach"}
        a = 1 + np.tanh(of_x["a"] + w["memory_a"] * h)
        c = sigmoid(of_x["c"] + w["memory_c"] * h)
        return (c * h + (1 - c) * np.tanh(of_x["h"] + a * h),)

    follows(trial, step)
    streams(catalogue.BRC(3, 4))


@pytest.mark.usefixtures("each_backend")
def test_the_equations_of_the_paper_with_neuromodulation() -> None:
    trial = Trial.of(catalogue.NBRC(3, 4))
    w = Weights(trial.layer, "a c")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        a = 1 + np.tanh(w.x("a") @ x + w.h("a") @ h + w.b("a"))
        c = sigmoid(w.x("c") @ x + w.h("c") @ h + w.b("c"))
        return (c * h + (1 - c) * np.tanh(w["weight_h"] @ x + a * h),)

    follows(trial, step)
    streams(catalogue.NBRC(3, 4))


# BRC and NBRC of nvecoven/BRC, cells/cells.py at 1b99539; r and z there are a and c here.
@pytest.mark.usefixtures("each_backend")
def test_the_figures_of_the_authors_code() -> None:
    parameters = {
        "weight_ih": torch.cat([pattern(1, 3, 2), pattern(2, 3, 2), pattern(3, 3, 2)]),
        "bias_ih": torch.cat([pattern(6, 3), pattern(7, 3), torch.zeros(3)]),
        "memory_a": pattern(4, 3),
        "memory_c": pattern(5, 3),
    }
    figures = [
        [-0.114122227, -0.114729874, 0.157781562],
        [-0.14917422, -0.399254028, 0.328005225],
        [0.066406543, -0.350464455, 0.195371884],
        [0.009210114, -0.279178596, 0.200200812],
    ]
    gives(catalogue.BRC(2, 3), parameters, figures)


@pytest.mark.usefixtures("each_backend")
def test_the_figures_of_the_authors_code_with_neuromodulation() -> None:
    parameters = {
        "weight_ih": torch.cat([pattern(1, 3, 2), pattern(2, 3, 2)]),
        "weight_hh": torch.cat([pattern(4, 3, 3), pattern(5, 3, 3)]),
        "bias_ih": torch.cat([pattern(6, 3), pattern(7, 3)]),
        "weight_h": pattern(3, 3, 2),
    }
    figures = [
        [-0.114122227, -0.114729874, 0.157781562],
        [-0.147080706, -0.428371998, 0.322990112],
        [0.032340657, -0.331962717, 0.208417677],
        [-0.007911759, -0.209039977, 0.217330875],
    ]
    gives(catalogue.NBRC(2, 3), parameters, figures)


def test_a_unit_latches() -> None:
    layer = catalogue.BRC(1, 1, dtype=torch.float64)
    with torch.no_grad():
        for name, v in layer.named_parameters():
            v.fill_(2.0 if name == "memory_a_l0" else 1.0 if name == "weight_ih_l0" else 0.0)
        x = torch.zeros(300, 2, 1, dtype=torch.float64)
        x[0, 0], x[0, 1] = 2.0, -2.0
        output, _ = layer(x)
    assert output[-1, 0] > 0.5
    assert output[-1, 1].abs() < 0.01  # a falls with the state: a unit that is pulled below 0 comes back


def test_they_start_as_in_the_authors_code() -> None:
    for layer, gates in ((catalogue.BRC(3, 5), 3), (catalogue.NBRC(3, 5), 2)):
        bound = (6 / (3 + 5)) ** 0.5
        for block in layer.get_parameter("weight_ih_l0").chunk(gates):
            assert bound / 2 < block.abs().max() <= bound
        assert not layer.get_parameter("bias_ih_l0").any()
    assert torch.equal(catalogue.BRC(3, 5).get_parameter("memory_a_l0"), torch.ones(5))
