from __future__ import annotations

import numpy as np
import pytest
import torch

from ostinato import LSTM, catalogue
from ostinato.errors import CellError
from tests.cells.equations import Array, Trial, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


def test_the_equations_of_the_paper() -> None:
    trial = Trial.of(catalogue.PeepholeLSTM(3, 4))
    w = Weights(trial.layer, "i f g o")

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        a = {gate: w.x(gate) @ x + w.h(gate) @ h + w.b(gate) for gate in "ifgo"}
        i, f = sigmoid(a["i"] + w["weight_ci"] * c), sigmoid(a["f"] + w["weight_cf"] * c)
        c = f * c + i * np.tanh(a["g"])
        return sigmoid(a["o"] + w["weight_co"] * c) * np.tanh(c), c

    trial.follows(step)
    trial.has_the_gradients_of(step, "weight_ci", "weight_cf", "weight_co", "weight_hh")
    trial.streams()


def test_it_is_the_option_under_a_name() -> None:
    named = Trial.of(catalogue.PeepholeLSTM(3, 4, 2)).layer
    option = LSTM(3, 4, 2, peephole=True, dtype=torch.float64)
    option.load_state_dict(named.state_dict())
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(named(x), option(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("option", ["peephole", "coupled_gates"])
def test_peepholes_are_not_added_twice_and_gates_with_them_are_not_coupled(option: str) -> None:
    with pytest.raises(CellError, match=rf"{option} needs a cell with no peepholes of its own; 'peephole_lstm' has"):
        catalogue.PeepholeLSTM(3, 4, **{option: True})  # pyright: ignore[reportArgumentType]
