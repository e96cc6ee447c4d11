from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from ostinato import catalogue
from ostinato.cells.catalogue import phased as family
from ostinato.cells.catalogue.phased import phased_lstm
from ostinato.errors import CellError
from tests.cells.equations import Array, Trial, Weights, sigmoid

pytestmark = pytest.mark.usefixtures("each_backend")


@pytest.mark.parametrize("leak", [0.001, 0.0])
def test_the_equations_of_the_paper(leak: float) -> None:
    trial = Trial.of(catalogue.PhasedLSTM(3, 4, leak=leak), steps=8)
    trial.extras["t"] = torch.linspace(-3, 9, 24, dtype=torch.float64).view(8, 3)
    with torch.no_grad():
        trial.layer.get_parameter("period_l0").copy_(torch.tensor([2.0, 3.1, -4.3, 5.7]))
        trial.layer.get_parameter("ratio_l0").copy_(torch.tensor([0.5, 0.9, 0.4, -0.6]))
    w, open_units = Weights(trial.layer, "i f g o"), []

    def gate_of_time(t: float, period: float, shift: float, ratio: float) -> float:
        phase = (t - shift) / period - np.floor((t - shift) / period)
        if phase < ratio / 2:
            return 2 * phase / ratio
        return 2 - 2 * phase / ratio if phase < ratio else leak * phase

    def step(x: Array, h: Array, c: Array, t: int, b: int) -> tuple[Array, Array]:
        times = float(trial.extras["t"][t, b])
        units = zip(abs(w["period"]), w["shift"], abs(w["ratio"]), strict=True)
        k = np.array([gate_of_time(times, *unit) for unit in units])
        open_units.append(k > 0.01)
        a = {gate: w.x(gate) @ x + w.h(gate) @ h + w.b(gate) for gate in "ifgo"}
        i, f = sigmoid(a["i"] + w["weight_ci"] * c), sigmoid(a["f"] + w["weight_cf"] * c)
        proposed = f * c + i * np.tanh(a["g"])
        out = sigmoid(a["o"] + w["weight_co"] * proposed) * np.tanh(proposed)
        return k * out + (1 - k) * h, k * proposed + (1 - k) * c

    trial.follows(step)
    assert 0.3 < np.mean(open_units) < 0.8
    trial.has_the_gradients_of(step, "period", "shift", "weight_co", "weight_hh")
    trial.streams()


def test_it_starts_as_the_authors_code_does() -> None:
    layer = catalogue.PhasedLSTM(3, 500)
    period, shift, ratio = (layer.get_parameter(f"{name}_l0") for name in ("period", "shift", "ratio"))
    assert 10 <= period.min() < 20 < 90 < period.max() <= 100
    assert 0 <= shift.min() < 100 < 900 < shift.max() <= 1000
    assert (ratio == 0.05).all()
    assert not ratio.requires_grad
    assert (torch.as_tensor(Weights(layer, "i f g o").b("f")) == 2).all()


def test_a_leak_has_one_cell_which_is_pickled_by_name() -> None:
    assert phased_lstm() is phased_lstm(1e-3) is pickle.loads(pickle.dumps(phased_lstm()))
    assert not hasattr(family, "phased_lstm_nan")


@pytest.mark.parametrize("leak", [-1.0, float("nan"), float("inf"), "1", True, None])
def test_a_leak_is_a_finite_number(leak: object) -> None:
    with pytest.raises(CellError, match="leak expected a finite number of at least 0, got"):
        phased_lstm(leak)  # pyright: ignore[reportArgumentType]
