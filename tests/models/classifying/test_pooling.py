import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import ConfigError
from ostinato.models.classifying.pooling import POOLINGS, Pooling


def one_row(pooling, h):
    """(n, F), the steps of one row, to (F,), step by step."""
    if not len(h):
        return torch.zeros(pooling.size, dtype=h.dtype)
    if pooling.name == "last":
        half = pooling.size // pooling.directions
        return torch.cat([h[-1, :half], h[0, half:]])
    if pooling.name == "mean":
        return torch.stack(list(h)).sum(0) / len(h)
    if pooling.name == "max":
        return torch.tensor([max(step[unit] for step in h) for unit in range(h.shape[1])], dtype=h.dtype)
    scores = [pooling.query(torch.tanh(pooling.key(step))).exp() for step in h]
    return sum(score / sum(scores) * step for score, step in zip(scores, h, strict=True))


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    more=st.integers(0, 3),
    name=st.sampled_from(POOLINGS),
    directions=st.sampled_from([1, 2]),
)
@torch.no_grad()
def test_each_row_is_pooled_as_if_it_were_alone(lengths, more, name, directions):
    torch.manual_seed(0)
    pooling = Pooling(name, 4, directions).double()
    h = torch.randn(max(1, *lengths) + more, len(lengths), 4, dtype=torch.float64)
    alone = torch.stack([one_row(pooling, h[:n, row]) for row, n in enumerate(lengths)])
    for row, n in enumerate(lengths):
        h[n:, row] = torch.nan  # nobody may look there
    torch.testing.assert_close(pooling(h, torch.tensor(lengths)), alone)


@pytest.mark.parametrize("name", POOLINGS)
def test_without_lengths_all_steps_count(name):
    pooling, h = Pooling(name, 4, 2), torch.randn(5, 3, 4)
    torch.testing.assert_close(pooling(h), pooling(h, torch.tensor([5, 5, 5])))


@pytest.mark.parametrize("name", POOLINGS)
def test_a_row_without_steps_has_no_gradient_and_spoils_none(name):
    pooling, h = Pooling(name, 4), torch.randn(3, 2, 4, requires_grad=True)
    pooling(h, torch.tensor([0, 2])).square().sum().backward()
    assert h.grad is not None
    assert torch.isfinite(h.grad).all()
    assert (h.grad[:, 0] == 0).all()
    assert (h.grad[:, 1] != 0).any()


def test_attention_is_a_distribution_over_the_steps_of_a_row():
    weights = Pooling("attention", 4).weights(torch.randn(5, 3, 4), torch.tensor([5, 2, 0]))
    torch.testing.assert_close(weights.sum(0), torch.tensor([1.0, 1.0, 0.0]))
    assert (weights[2:, 1] == 0).all()


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="pooling: expected one of last, mean, max, attention, got first"):
        Pooling("first", 4)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="expected pooling attention"):
        Pooling("mean", 4).weights(torch.randn(5, 3, 4))
