import pytest
import torch

from ostinato.models.parts.penalties import activation_penalty


def test_it_is_the_mean_of_squares_and_of_squared_steps():
    h = torch.randn(4, 3, 2, dtype=torch.float64)
    dropped = h * torch.tensor([0.0, 2.0])
    squares = [float(v) ** 2 for v in dropped.flatten()]
    steps = [float(h[t, b, i] - h[t - 1, b, i]) ** 2 for t in range(1, 4) for b in range(3) for i in range(2)]
    expected = 2.0 * sum(squares) / len(squares) + 0.5 * sum(steps) / len(steps)
    assert float(activation_penalty(dropped, h, 2.0, 0.5)) == pytest.approx(expected)


def test_one_step_has_no_step_before_it():
    h = torch.ones(1, 3, 2)
    assert float(activation_penalty(h, h, 0.0, 1.0)) == 0.0
    assert float(activation_penalty(h, h, 3.0, 1.0)) == 3.0


def test_half_precision_is_summed_in_float32():
    h = torch.full((2, 3, 2), 300.0, dtype=torch.float16)  # whose square is infinite
    penalty = activation_penalty(h, h, 1.0, 1.0)
    assert penalty.dtype == torch.float32
    assert float(penalty) == 90_000.0
