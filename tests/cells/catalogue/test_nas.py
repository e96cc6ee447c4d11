from __future__ import annotations

import numpy as np
import pytest

from ostinato import catalogue
from tests.cells.catalogue.checks import follows, gives, pattern, streams
from tests.cells.equations import Array, Trial, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")

GATES = "n0 n1 n2 n3 n4 n5 n6 n7"


def test_the_equations_of_the_authors_code() -> None:
    trial = Trial.of(catalogue.NAS(3, 2))
    w = Weights(trial.layer, GATES)

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        of_x = [w.x(n) @ x + w.rows("bias_ih", n) for n in GATES.split()]
        of_h = [w.h(n) @ h + w.rows("bias_hh", n) for n in GATES.split()]
        n = [p * q if k == 3 else p + q for k, (p, q) in enumerate(zip(of_x, of_h, strict=True))]
        first = [sigmoid(n[0]), np.maximum(n[1], 0), sigmoid(n[2]), np.maximum(n[3], 0)]
        first += [np.tanh(n[4]), sigmoid(n[5]), np.tanh(n[6]), sigmoid(n[7])]
        second = [np.tanh(first[0] * first[1]), np.tanh(first[2] + first[3])]
        second += [np.tanh(first[4] * first[5]), sigmoid(first[6] + first[7])]
        c = np.tanh(second[0] + c) * second[1]
        return np.tanh(c * np.tanh(second[2] + second[3])), c

    follows(trial, step)
    streams(catalogue.NAS(3, 4))


def test_the_figures_of_the_authors_code() -> None:
    # NASCell of tensorflow 1.15.5, tensorflow_core/contrib/rnn/python/ops/rnn_cell.py, whose bias is added to U h.
    parameters = {"weight_ih": pattern(1, 24, 2), "weight_hh": pattern(2, 24, 3), "bias_hh": pattern(3, 24)}
    figures = [
        [0.0, 0.046021803, 0.014639808],
        [0.0, 0.138527682, 0.014257963],
        [0.0, 0.108136776, 0.119478759],
        [0.0, 0.044754008, 0.093650637],
    ]
    gives(catalogue.NAS(2, 3), parameters, figures)
