from __future__ import annotations

import numpy as np
import pytest

from ostinato import RNN, RNNCell
from tests.cells.equations import Array, Trial, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")

NONLINEARITIES = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0), "sigmoid": sigmoid}


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_each_unit_is_a_squashed_sum(nonlinearity: str) -> None:
    trial = Trial.of(RNN(3, 4, nonlinearity=nonlinearity))
    w, squash = Weights(trial.layer, "h"), NONLINEARITIES[nonlinearity]

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        new = np.zeros(4)
        for unit in range(4):
            total = w["bias_ih"][unit] + w["bias_hh"][unit]
            total += sum(w["weight_ih"][unit, k] * x[k] for k in range(3))
            total += sum(w["weight_hh"][unit, k] * h[k] for k in range(4))
            new[unit] = squash(total)
        return (new,)

    trial.follows(step)


def test_the_single_step_knows_sigmoid_too() -> None:
    trial = Trial.of(RNN(3, 4, nonlinearity="sigmoid"))
    step = RNNCell(3, 4, nonlinearity="sigmoid").double()
    step.load_state_dict({name.removesuffix("_l0"): v for name, v in trial.layer.state_dict().items()})
    after = step(trial.input[0], trial.first[0])
    np.testing.assert_allclose(after.detach().numpy(), trial.states()[0][0], atol=1e-14)
