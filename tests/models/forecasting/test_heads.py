import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.nn import functional as F

from ostinato.errors import ConfigError
from ostinato.models.forecasting.heads import LEVELS, Gaussian, Quantiles, StudentT, make_head


def raw_of(size, count=7, seed=0):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spread(count):
    """(2, count): the middles of equal parts, the second row in another order."""
    parts = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return torch.stack([parts, parts[torch.randperm(count, generator=torch.Generator().manual_seed(1))]])


def test_the_gaussian_is_that_of_scipy():
    head, raw, y = Gaussian(), raw_of(2), raw_of(1, seed=1)[:, 0]
    m, s = raw[:, 0].numpy(), (F.softplus(raw[:, 1] + np.log(np.expm1(0.3))) + 1e-3).numpy()
    np.testing.assert_allclose(head.loss(raw, y), -stats.norm.logpdf(y.numpy(), m, s), rtol=1e-9)
    np.testing.assert_allclose(head.sample(raw, spread(7)), stats.norm.ppf(spread(7)[0].numpy(), m, s), rtol=1e-9)


def test_students_t_is_that_of_scipy():
    head, raw, y = StudentT(), raw_of(3), raw_of(1, seed=1)[:, 0]
    m, s = raw[:, 0].numpy(), (F.softplus(raw[:, 1] + np.log(np.expm1(0.3))) + 1e-3).numpy()
    d = (2.0 + F.softplus(raw[:, 2] + 3.0)).numpy()
    np.testing.assert_allclose(head.loss(raw, y), -stats.t.logpdf(y.numpy(), d, m, s), rtol=1e-8)
    count = 20_000
    for row in range(2):
        draws = head.sample(raw[row : row + 1].expand(count, -1), spread(count)).numpy()
        found = stats.kstest(draws, stats.t(d[row], m[row], s[row]).cdf)
        assert found.statistic < 0.015


@settings(deadline=None, max_examples=30)
@given(numbers=st.lists(st.floats(-30, 30), min_size=15, max_size=15))
def test_quantiles_never_cross_and_half_lies_below_the_median(numbers):
    head = Quantiles()
    raw = torch.tensor([numbers], dtype=torch.float64)
    found = head.quantiles(raw)[0]
    assert (found.diff() > 0).all()
    assert found[LEVELS.index(0.5)] == numbers[LEVELS.index(0.5)]


def test_draws_of_quantiles_have_those_quantiles_and_finite_tails():
    head, raw = Quantiles(), raw_of(15, 1)
    count = 100_000
    draws = head.sample(raw.expand(count, -1), spread(count))
    np.testing.assert_allclose(np.quantile(draws, LEVELS), head.quantiles(raw)[0], atol=2e-3)
    ends = torch.tensor([[1e-6, 1 - 1e-6]] * 2, dtype=torch.float64)
    low, high = head.sample(raw.expand(2, -1), ends)
    assert torch.isfinite(low)
    assert low < head.quantiles(raw)[0, 0]
    assert torch.isfinite(high)
    assert high > head.quantiles(raw)[0, -1]
    u = torch.linspace(1e-4, 1 - 1e-4, 2001, dtype=torch.float64).expand(2, -1)
    assert (head.sample(raw.expand(2001, -1), u).diff() > 0).all()


def test_the_loss_of_quantiles_is_the_pinball_loss():
    head, raw = Quantiles((0.1, 0.5, 0.8)), raw_of(3)
    y = raw_of(1, seed=1)[:, 0]
    expected = []
    for row in range(7):
        terms = []
        for level, q in zip(head.levels, head.quantiles(raw)[row].tolist(), strict=True):
            error = y[row].item() - q
            terms.append(2 * (level * error if error > 0 else (level - 1) * error))
        expected.append(np.mean(terms))
    np.testing.assert_allclose(head.loss(raw, y), expected)


@pytest.mark.parametrize("name", ["student-t", "gaussian", "quantiles"])
def test_each_head_finds_the_distribution_of_what_it_sees(name):
    """Fitted to draws by gradient descent, it has their quantiles."""
    head = make_head(name)
    data = torch.from_numpy(stats.norm.ppf((np.arange(400) + 0.5) / 400, 0.4, 0.2))
    raw = torch.zeros(1, head.size, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([raw], 0.05)
    for _ in range(300):
        optimizer.zero_grad()
        head.loss(raw.expand(400, -1), data).mean().backward()
        optimizer.step()
    draws = head.sample(raw.detach().expand(2000, -1), spread(2000))
    np.testing.assert_allclose(np.quantile(draws, [0.1, 0.5, 0.9]), np.quantile(data, [0.1, 0.5, 0.9]), atol=0.03)


@pytest.mark.parametrize("name", ["student-t", "gaussian", "quantiles"])
@pytest.mark.parametrize("law", [stats.norm(0.4, 0.2), stats.norm(-3.0, 5.0), stats.t(5.05, 0.1, 0.3)])
def test_each_head_starts_about_as_what_it_is_shown(name, law):
    head = make_head(name)
    changes = torch.from_numpy(law.ppf((np.arange(2000) + 0.5) / 2000))
    draws = head.sample(head.start(changes).expand(4000, -1), spread(4000)).numpy()
    assert np.median(draws) == pytest.approx(law.median(), abs=0.01 * law.std())
    assert np.quantile(draws, 0.9) - np.quantile(draws, 0.1) == pytest.approx(law.ppf(0.9) - law.ppf(0.1), rel=0.15)


@pytest.mark.parametrize("name", ["student-t", "gaussian", "quantiles"])
@pytest.mark.parametrize("changes", [[0.0], [2.0] * 9, [0.0] * 50 + [9.0]])
def test_a_start_from_changes_that_are_all_alike_is_narrow_and_can_learn(name, changes):
    head = make_head(name)
    raw = head.start(torch.tensor(changes, dtype=torch.float64)).requires_grad_()
    draws = head.sample(raw.detach().expand(200, -1), spread(200))
    assert draws.median() == pytest.approx(changes[0], abs=0.01)
    head.loss(raw, torch.tensor(5.0, dtype=torch.float64)).backward()
    assert torch.isfinite(raw.grad).all()
    assert (raw.grad.abs() > 0).sum() >= 2
    assert torch.isfinite(head.start(torch.tensor([-1e4, *changes, 1e4]))).all()


def test_what_cannot_be_is_refused():
    with pytest.raises(
        ConfigError, match=r"head: expected one of student-t, gaussian, quantiles, negative-binomial, .*, got cauchy"
    ):
        make_head("cauchy")  # pyright: ignore[reportArgumentType]
    for levels in ((0.5,), (0.1, 0.5, 0.4), (0.1, 0.4, 0.9), (0.0, 0.5, 1.0)):
        with pytest.raises(ConfigError, match="levels: expected at least 3 that increase"):
            Quantiles(levels)
