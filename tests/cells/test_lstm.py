from __future__ import annotations

import numpy as np
import pytest

from ostinato import LSTM
from tests.cells.equations import Array, Trial, Weights

pytestmark = pytest.mark.usefixtures("each_backend")


def test_each_unit_has_a_memory_behind_three_gates() -> None:
    trial = Trial.of(LSTM(3, 4))
    w = Weights(trial.layer, "i f g o")

    def opening(gate: str, unit: int, x: Array, h: Array) -> float:
        total = w.b(gate)[unit]
        for k, value in enumerate(x):
            total += w.x(gate)[unit, k] * value
        for k, value in enumerate(h):
            total += w.h(gate)[unit, k] * value
        return float(np.tanh(total)) if gate == "g" else 1 / (1 + float(np.exp(-total)))

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        new_h, new_c = np.zeros(4), np.zeros(4)
        for unit in range(4):
            i, f, g, o = (opening(gate, unit, x, h) for gate in "ifgo")
            new_c[unit] = f * c[unit] + i * g
            new_h[unit] = o * np.tanh(new_c[unit])
        return new_h, new_c

    trial.follows(step)
