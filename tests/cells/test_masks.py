from __future__ import annotations

import math

import pytest
import torch

from ostinato.cells.masks import kept_units

LIKE = torch.empty((), dtype=torch.float32)
MANY = (100, 50, 40)


@pytest.mark.parametrize("probability", [0.0, 1e-4, 0.05, 0.3, 0.5, 0.7, 0.95, 0.9999, 1.0])
def test_as_many_are_kept_as_asked_for(probability: float) -> None:
    torch.manual_seed(3)
    mask = kept_units(MANY, probability, LIKE)
    assert mask.shape == MANY
    assert mask.dtype == torch.float32
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    deviation = math.sqrt(probability * (1 - probability) / mask.numel())
    assert abs(mask.double().mean().item() - probability) <= 5 * deviation


def test_units_steps_and_rows_know_nothing_of_each_other() -> None:
    torch.manual_seed(4)
    mask = kept_units(MANY, 0.5, LIKE).double() * 2 - 1
    flat = mask.flatten()
    for lag in (1, 2, 3, 4, 40, 2000, 4096):
        together = (flat[lag:] * flat[:-lag]).mean().item()
        assert abs(together) <= 5 / math.sqrt(flat.numel() - lag), lag
    for dim in range(3):
        means = mask.mean(dim)
        assert means.abs().max().item() <= 6 / math.sqrt(MANY[dim])


def test_the_seed_repeats_a_mask_and_the_next_is_another() -> None:
    masks = []
    for _ in range(2):
        torch.manual_seed(5)
        masks.append([kept_units(MANY, 0.3, LIKE) for _ in range(2)])
    assert torch.equal(masks[0][0], masks[1][0])
    assert torch.equal(masks[0][1], masks[1][1])
    assert not torch.equal(masks[0][0], masks[0][1])


@pytest.mark.parametrize("count", [1, 4095, 4096, 4097, 4099])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_any_count_and_dtype(count: int, dtype: torch.dtype) -> None:
    mask = kept_units((count,), 0.5, torch.empty((), dtype=dtype))
    assert mask.shape == (count,)
    assert mask.dtype == dtype
