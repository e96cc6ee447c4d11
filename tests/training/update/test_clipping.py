import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.training import clip

GRADIENTS = st.lists(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=4), min_size=1, max_size=3)


def parameters(gradients):
    made = []
    for gradient in gradients:
        parameter = torch.nn.Parameter(torch.zeros(len(gradient), dtype=torch.float64))
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        made.append(parameter)
    return made


@settings(deadline=None)
@given(GRADIENTS, st.floats(0.1, 200))
def test_by_norm_the_direction_is_kept(gradients, largest):
    made = parameters(gradients)
    norm = math.sqrt(sum(g * g for gradient in gradients for g in gradient))
    assert float(clip(made, norm=largest)) == pytest.approx(norm)
    scale = min(1.0, largest / norm) if norm else 1.0
    for parameter, gradient in zip(made, gradients, strict=True):
        expected = torch.tensor(gradient, dtype=torch.float64) * scale
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-4, atol=1e-12)


@settings(deadline=None)
@given(GRADIENTS, st.floats(0.1, 200))
def test_by_value_each_is_cut_off(gradients, largest):
    made = parameters(gradients)
    norm = math.sqrt(sum(g * g for gradient in gradients for g in gradient))
    assert float(clip(made, value=largest)) == pytest.approx(norm)
    for parameter, gradient in zip(made, gradients, strict=True):
        assert parameter.grad.tolist() == pytest.approx([max(-largest, min(largest, g)) for g in gradient])


def test_without_a_limit_nothing_changes_but_the_norm_is_told():
    made = parameters([[3.0], [4.0]])
    made.append(torch.nn.Parameter(torch.zeros(1)))  # has no gradient
    assert float(clip(made)) == 5.0
    assert [parameter.grad.item() for parameter in made[:2]] == [3.0, 4.0]
