"""A row that is read anew is the row at other times, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import interp1d

from ostinato.errors import ConfigError
from ostinato.models import Classifier
from ostinato.models.parts.augmentation import Augmentation

T, B = 80, 64


def ramps(lengths: list[int]) -> torch.Tensor:
    """(T, B, 2): the number of the step, and -1 past the end; and 1."""
    steps = torch.arange(T, dtype=torch.float64)[:, None].expand(T, B).clone()
    steps[steps >= torch.tensor(lengths)] = -1.0
    return torch.stack([steps, torch.ones(T, B, dtype=torch.float64)], -1)


def test_times_go_forward_over_most_of_the_row_at_a_changing_speed() -> None:
    lengths = [T] * 32 + [T // 2] * 32
    torch.manual_seed(0)
    read = Augmentation(1.0)(ramps(lengths), lengths)
    for row, length in enumerate(lengths):
        scale = read[:length, row, 1]
        assert torch.equal(scale, scale[0].expand(length))
        places = read[:length, row, 0] / scale
        assert (places.diff() > 0).all()
        assert 0 <= places[0] <= 0.1 * length + 1e-4
        assert 0.9 * (length - 1) - 1e-3 <= places[-1] - places[0] <= length - 1 + 1e-3
        assert torch.equal(read[length:, row], ramps(lengths)[length:, row])
    scales, speeds = read[0, :, 1], (read[1:, :32, 0] - read[:-1, :32, 0]) / read[0, :32, 1]
    assert scales.std() == pytest.approx(0.1, rel=0.3)
    assert scales.mean() == pytest.approx(1.0, abs=0.05)
    assert speeds.log().std() == pytest.approx(0.3 * (2 / 3 + 1 / 3 * 0.5) ** 0.5, rel=0.35)
    assert speeds.max() > 1.4


def test_between_steps_it_is_linear_as_scipy_has_it() -> None:
    torch.manual_seed(1)
    x = torch.randn(T, B, 3, dtype=torch.float64)
    read = Augmentation(2.0)(torch.cat([ramps([T] * B), x], -1))
    scale = read[:1, :, 1:2]
    places, values = (read[..., :1] / scale)[..., 0].numpy(), (read[..., 2:] / scale).numpy()
    for row in range(B):
        expected = interp1d(np.arange(T), x[:, row].numpy(), axis=0)(places[:, row].clip(0, T - 1))
        np.testing.assert_allclose(values[:, row], expected, atol=1e-9)


def test_rows_of_no_steps_and_of_one_stay() -> None:
    x = torch.randn(4, 3, 2)
    read = Augmentation(1.0)(x, [0, 1, 4])
    assert torch.equal(read[:, 0], x[:, 0])
    ratio = read[0, 1] / x[0, 1]
    assert torch.allclose(ratio, ratio[0].expand(2))
    assert torch.equal(read[1:, 1], x[1:, 1])
    assert Augmentation(1.0)(torch.zeros(0, 2, 3)).shape == (0, 2, 3)


def test_it_is_drawn_anew_and_repeated_by_the_seed_and_not_there_when_judged() -> None:
    augmentation, x = Augmentation(1.0), torch.randn(9, 2, 3)
    torch.manual_seed(0)
    first, second = augmentation(x), augmentation(x)
    torch.manual_seed(0)
    assert torch.equal(augmentation(x), first)
    assert not torch.equal(first, second)
    assert augmentation.eval()(x) is x
    assert Augmentation(0.0)(x) is x


def test_gradients_go_through() -> None:
    x = torch.randn(6, 2, 3, dtype=torch.float64, requires_grad=True)

    def read(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return Augmentation(1.0)(x, [6, 4])

    assert torch.autograd.gradcheck(read, (x,))


def test_what_cannot_be_is_told() -> None:
    for wrong in (-0.1, float("nan"), 6.0):
        with pytest.raises(ConfigError, match="augmentation: expected a number from 0 to 5, got"):
            Augmentation(wrong)
    with pytest.raises(ConfigError, match="augmentation: expected 0 of tokens"):
        Classifier(2, vocabulary_size=9, augmentation=1.0)
    with pytest.raises(ConfigError, match="augmentation: expected 0 of a cell that reads mask, dt beside its input"):
        Classifier(2, input_size=6, cell="grud", with_extras=True, augmentation=1.0)
    assert Classifier(2, input_size=3, augmentation=1.0)(torch.randn(7, 2, 3), [7, 3]).shape == (2, 2)


def test_it_fades_towards_the_end_of_a_training_which_sees_rows_as_they_are() -> None:
    augmentation, x = Augmentation(1.0), torch.randn(20, 4, 3, dtype=torch.float64)

    def off(progress: float) -> float:
        torch.manual_seed(0)
        augmentation.follow_training(progress)
        return float((augmentation(x) - x).abs().mean())

    assert off(0.0) == off(0.6) > 0.1
    assert 0.01 < off(0.8) < off(0.7) < off(0.6)
    for progress in (0.9, 1.0):
        assert off(progress) == pytest.approx(0.0, abs=1e-4)
    assert augmentation.state_dict() == {}
