import numpy as np
import pytest
import torch

import ostinato
from ostinato.insight import InsightError
from ostinato.insight.reasons.gradients import integrated_gradients
from tests.insight.reasons.questions import of_numbers, question


def test_of_a_sum_each_number_has_its_own_part():
    found = integrated_gradients(of_numbers(lambda x: 3 * x[0, :, 0] - 2 * x[1, :, 0] + 7, [2.0, 5.0]))
    np.testing.assert_allclose(found.by_step, [6.0, -10.0], atol=1e-5)
    assert (found.answer, found.baseline) == (3.0, 7.0)


def test_of_a_product_each_has_half():
    found = integrated_gradients(of_numbers(lambda x: x[0, :, 0] * x[1, :, 0], [2.0, 5.0]))
    np.testing.assert_allclose(found.by_step, [5.0, 5.0], atol=1e-5)


def test_a_network_is_integrated_as_by_many_small_steps():
    """Against the sum of the paper, (3), taken by torch.nn's own LSTM."""
    torch.manual_seed(0)
    layer, x = ostinato.LSTM(3, 5, 2, bidirectional=True), 2 * torch.randn(7, 1, 3)
    peer = torch.nn.LSTM(3, 5, 2, bidirectional=True)
    peer.load_state_dict(layer.state_dict())
    found = integrated_gradients(question(layer, lambda m, v: m(v)[0][-1, :, :3].sum(-1), x, channels=tuple("abc")))
    points = ((torch.arange(2000) + 0.5) / 2000)[:, None] * x  # (7, 2000, 3)
    points.requires_grad_()
    (gradient,) = torch.autograd.grad(peer(points)[0][-1, :, :3].sum(), points)
    np.testing.assert_allclose(found.values, x[:, 0] * gradient.mean(1), atol=2e-5)
    assert abs(found.remainder) <= 1e-3 * abs(found.answer - found.baseline) + 1e-5


def test_the_baseline_need_not_be_zero():
    base = torch.full((2, 1, 1), 1.0)
    x = torch.tensor([2.0, 5.0])[:, None, None]
    found = integrated_gradients(question(torch.nn.Identity(), lambda m, v: (v[..., 0] ** 2).sum(0), x, base))
    np.testing.assert_allclose(found.by_step, [3.0, 24.0], atol=1e-5)


def test_it_takes_as_many_points_as_a_kink_needs():
    sharp = of_numbers(lambda x: torch.sigmoid(60 * (x[0, :, 0] - 0.3)), [1.0])
    assert abs(integrated_gradients(sharp).remainder) <= 2e-3
    assert abs(integrated_gradients(sharp, most_points=2).remainder) > 0.05


def test_an_answer_that_hangs_on_nothing_is_told():
    with pytest.raises(InsightError, match="expected an answer that depends on what was read, got a constant"):
        integrated_gradients(of_numbers(lambda x: torch.ones(x.shape[1]), [1.0]))
    with pytest.raises(InsightError, match="expected an answer that is a finite number, got nan"):
        integrated_gradients(of_numbers(lambda x: x[0, :, 0] * torch.nan, [1.0]))
