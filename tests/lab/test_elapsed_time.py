import math

import pytest
import torch

from ostinato import Recurrent
from ostinato.lab.experiments import elapsed_time
from ostinato.lab.experiments.elapsed_time import decaying_lstm, learned_time_constant, levels

from .test_verdicts import MADE_UP


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_a_level_is_the_sum_of_what_is_left_of_every_dose():
    doses, gaps = torch.rand(6, 3).double(), torch.rand(6, 3).double()
    times = gaps.cumsum(0)
    expected = sum(doses[n] * torch.exp((times[n] - times[-1]) / 2.5) for n in range(6))
    torch.testing.assert_close(levels(doses, gaps, 2.5)[-1], expected)


def test_the_decaying_lstm_is_an_lstm_begun_from_what_is_left_of_its_states():
    layer = Recurrent(decaying_lstm, 2, 3, dtype=torch.float64)
    lstm = torch.nn.LSTM(2, 3, dtype=torch.float64)
    weights = layer.state_dict()
    left = torch.exp(-weights.pop("log_rate_l0").exp() * 0.7)
    lstm.load_state_dict(weights)
    x, h, c = (torch.randn(1, 4, size, dtype=torch.float64) for size in (2, 3, 3))
    output, _ = layer(x, (h, c), dt=torch.full((1, 4), 0.7, dtype=torch.float64))
    torch.testing.assert_close(output, lstm(x, (left * h, left * c))[0])


def test_the_time_constant_of_a_fit_is_that_of_an_exponential():
    measured = MADE_UP["elapsed_time"]
    for tau in elapsed_time.TIME_CONSTANTS:
        assert learned_time_constant(measured, elapsed_time.DECAYS, tau) == pytest.approx(tau)
        assert learned_time_constant(measured, elapsed_time.IGNORES, tau) == math.inf


def test_a_forget_gate_is_what_a_unit_of_an_lstm_keeps_of_itself():
    model = elapsed_time.LevelReader(elapsed_time.WAYS[elapsed_time.IGNORES])
    with torch.no_grad():
        for name, parameter in model.layer.named_parameters():
            parameter.zero_()
            if name == "bias_ih_l0":
                parameter[16:32] = 1.5  # of i f g o
    _, left, keeps = elapsed_time.look(model, 2.0, 1.0)
    assert left == 0.0
    assert keeps == pytest.approx(1 / (1 + math.exp(-1.5)))
