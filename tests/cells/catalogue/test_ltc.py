from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from ostinato import backend, catalogue
from ostinato.cells.catalogue import ltc as family
from ostinato.cells.catalogue.ltc import ltc
from ostinato.errors import CellError
from tests.cells.equations import Array, Trial, Weights, sigmoid, waves

pytestmark = pytest.mark.usefixtures("each_backend")


@pytest.mark.parametrize("unfolds", [1, 6])
def test_the_equations_of_the_paper(unfolds: int) -> None:
    trial = Trial.of(catalogue.LTC(3, 4, unfolds=unfolds))
    trial.extras["dt"] = 0.3 + waves(0.8, 5, 3).abs()
    w = Weights(trial.layer, "f")

    def step(x: Array, h: Array, t: int, b: int) -> tuple[Array]:
        dt, tau = float(trial.extras["dt"][t, b]) / unfolds, np.exp(w["log_tau"])
        for _ in range(unfolds):
            f = sigmoid(w.x("f") @ x + w.h("f") @ h + w.b("f"))
            h = (h + dt * f * w["A"]) / (1 + dt * (1 / tau + f))
        return (h,)

    trial.follows(step)
    trial.has_the_gradients_of(step, "A", "log_tau", "weight_hh")
    trial.streams()


def test_many_steps_come_to_the_solution_of_the_differential_equation() -> None:
    """With f constant: h(t) = h0 e^{-rt} + f A / r (1 - e^{-rt}), r = 1 / tau + f."""
    trial = Trial.of(catalogue.LTC(3, 4, unfolds=200), steps=1)
    layer, dt = trial.layer, torch.full((1, 3), 1.3, dtype=torch.float64)
    with torch.no_grad(), backend("reference"):  # so many steps take long to compile
        for name in ("weight_ih_l0", "weight_hh_l0"):
            layer.get_parameter(name).zero_()
        f = torch.sigmoid(layer.get_parameter("bias_ih_l0") + layer.get_parameter("bias_hh_l0"))
        rate = torch.exp(-layer.get_parameter("log_tau_l0")) + f
        kept = torch.exp(-rate * 1.3)
        wanted = trial.first[0] * kept + f * layer.get_parameter("A_l0") / rate * (1 - kept)
        got = layer(trial.input, trial.first[0][None], dt=dt)[0][0]
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=2e-3)


def test_a_number_of_steps_has_one_cell_which_is_pickled_by_name() -> None:
    assert ltc() is ltc(6) is pickle.loads(pickle.dumps(ltc()))
    assert not hasattr(family, "ltc_0")
    with pytest.raises(CellError, match="unfolds expected the number of steps of the solver"):
        ltc(0)
