import pytest
import torch

from ostinato.errors import ConfigError
from ostinato.models.parts.dropout import Dropout, LockedDropout, WordDropout


@pytest.mark.parametrize("rate", [0.001, 0.3, 0.9])
@pytest.mark.parametrize("shape", [(7,), (50, 40, 30)])
def test_plain_dropout_keeps_a_share_and_the_mean(shape, rate):
    torch.manual_seed(0)
    dropout, x = Dropout(rate), torch.full(shape, 3.0, dtype=torch.float64, requires_grad=True)
    draws = []
    for _ in range(20):
        y = dropout(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        torch.testing.assert_close(y, x * slope)
        assert ((slope == 0.0) | ((slope - 1.0 / (1.0 - rate)).abs() < 1e-12)).all()
        draws.append(slope == 0.0)
    dropped = torch.stack(draws).double()
    # Five standard deviations.
    assert dropped.mean() == pytest.approx(rate, abs=5 * (rate * (1 - rate) / dropped.numel()) ** 0.5 + 2**-17)


def test_plain_dropout_draws_anew_at_each_call_and_a_seed_repeats_it():
    dropout, x, found = Dropout(0.4), torch.ones(60, 100), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append([dropout(x), dropout(x)])
    assert all(map(torch.equal, found[0], found[1]))
    assert not torch.equal(found[0][0], found[0][1])
    assert not torch.equal(found[0][0], found[2][0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_plain_dropout_keeps_the_type_and_is_followed_by_transformations(dtype):
    dropout, x = Dropout(0.4), torch.ones(60, 100, dtype=dtype)
    assert dropout(x).dtype == dtype
    each = torch.vmap(dropout, randomness="different")(x)
    assert 0.3 < (each == 0.0).double().mean() < 0.5
    assert torch.equal(dropout.eval()(x), x)


def test_a_locked_mask_is_one_for_all_steps_and_another_for_each_row():
    torch.manual_seed(0)
    y = LockedDropout(0.5)(torch.ones(9, 6, 40))
    assert set(y.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(y, y[:1].expand_as(y))
    assert len({tuple(row.tolist()) for row in y[0]}) == 6


def test_a_locked_mask_keeps_the_mean_and_is_drawn_anew_at_each_call():
    torch.manual_seed(0)
    dropout = LockedDropout(0.3)
    means = [dropout(torch.ones(2, 50, 100)).mean() for _ in range(20)]
    assert torch.stack(means).mean() == pytest.approx(1.0, abs=0.02)
    assert len(set(means)) > 1


def test_a_dropped_word_is_dropped_wherever_it_occurs():
    torch.manual_seed(0)
    ids = torch.randint(20, (30, 4))
    y = WordDropout(0.4)(torch.ones(30, 4, 3), ids, 20)
    kinds = {}
    for id, vector in zip(ids.flatten().tolist(), y.flatten(0, 1), strict=True):
        assert torch.equal(vector, vector[:1].expand(3))
        kinds.setdefault(id, set()).add(round(float(vector[0]), 5))
    assert all(len(seen) == 1 for seen in kinds.values())
    assert set.union(*kinds.values()) == {0.0, round(1 / 0.6, 5)}


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_in_evaluation_and_at_rate_0_nothing_changes(rate):
    x, ids = torch.randn(3, 2, 5), torch.zeros(3, 2, dtype=torch.long)
    locked, words = LockedDropout(rate).train(rate == 0.0), WordDropout(rate).train(rate == 0.0)
    assert locked(x) is x
    assert words(x, ids, 4) is x


@pytest.mark.parametrize("kind", [LockedDropout, WordDropout])
@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_out_of_range_is_refused(kind, rate):
    with pytest.raises(ConfigError, match=f"rate: expected a rate from 0 to below 1, got {rate}"):
        kind(rate)
