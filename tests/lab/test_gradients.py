import math

import pytest
import torch

from ostinato.lab.gradients import reach, slope, state_gradients
from ostinato.nn import LSTMCell


def test_a_linear_recurrence_multiplies_the_gradient_by_its_factor():
    norms = state_gradients(lambda x, h: 0.5 * h + x, torch.randn(6, 3, 4).double(), torch.zeros(3, 4).double())[-1]
    torch.testing.assert_close(torch.tensor(norms), torch.tensor([0.5**n for n in range(7)]))


def test_gradients_of_an_lstm_are_those_of_the_whole_jacobian():
    torch.manual_seed(0)
    cell, x = LSTMCell(2, 3, dtype=torch.float64), torch.randn(4, 1, 2, dtype=torch.float64)
    first = (torch.randn(1, 3, dtype=torch.float64), torch.randn(1, 3, dtype=torch.float64))

    def last(h, c):
        state = (h, c)
        for x_t in x:
            state = cell(x_t, state)
        return state[0]

    seed = torch.random.get_rng_state()
    h, c, whole = state_gradients(cell, x, first)
    torch.random.set_rng_state(seed)
    v = torch.randn(1, 3, dtype=torch.float64)
    jacobians = torch.autograd.functional.jacobian(last, first)
    found = [
        float((v / v.norm()).flatten() @ j.reshape(3, 3) @ torch.eye(3).double()[:, k])
        for j in jacobians
        for k in range(3)
    ]
    assert h[-1] == pytest.approx(math.dist(found[:3], [0, 0, 0]), rel=1e-10)
    assert c[-1] == pytest.approx(math.dist(found[3:], [0, 0, 0]), rel=1e-10)
    assert whole[-1] == pytest.approx(math.hypot(h[-1], c[-1]), rel=1e-12)
    assert h[0] == pytest.approx(1.0)


@pytest.mark.parametrize("factor", [0.2, 0.9, 1.0, 3.0])
def test_the_slope_of_a_power_is_its_logarithm(factor):
    assert slope([factor**n for n in range(30)], start=5) == pytest.approx(math.log10(factor), abs=1e-12)


def test_what_has_vanished_altogether_is_no_part_of_a_slope():
    assert slope([1.0, 0.1, 0.01, 0.0, 0.0]) == pytest.approx(-1)
    assert slope([0.0, 0.0]) == -math.inf


def test_reach_is_the_first_distance_below_a_thousandth_of_that_at_one():
    assert reach([5.0, 1.0, 0.1, 0.01, 0.00099, 0.5]) == 4
    assert reach([1.0, 1.0, 0.9]) == 2
