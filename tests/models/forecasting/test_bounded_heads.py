"""Counts and amounts, against scipy.stats."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from ostinato.models.forecasting.draws import gamma_quantile, poisson_quantile
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.models.forecasting.frame import Frame
from ostinato.models.forecasting.heads import AMOUNT_HEADS, COUNT_HEADS, make_head
from ostinato.models.forecasting.windows import SeriesBatch, uniform_numbers

D = torch.float64
BASELINE, WIDTH, SIZE = 6.0, 2.5, 9.0


def framed(count, baseline=BASELINE, size=SIZE):
    """A frame in which a change of 0 is `baseline`."""
    return Frame(*(torch.full((count,), v, dtype=D) for v in (-baseline / WIDTH, WIDTH, size)))


def spread(count):
    parts = (torch.arange(count, dtype=D) + 0.5) / count
    return torch.stack([parts, parts[torch.randperm(count, generator=torch.Generator().manual_seed(1))]])


def negative_binomial(raw, baseline=BASELINE, size=SIZE):
    share = np.log(np.expm1(baseline / size))
    mean = size * np.log1p(np.exp(raw[0] + share))
    dispersion = np.log1p(np.exp(raw[1])) / np.sqrt(size) + 1e-4
    return stats.nbinom(1 / dispersion, 1 / (1 + mean * dispersion))


RAWS = [(0.0, 0.0), (0.7, 2.0), (-1.5, -3.0), (2.0, 5.0)]


@pytest.mark.parametrize("raw", RAWS)
def test_the_negative_binomial_is_that_of_scipy(raw):
    head, counts = make_head("negative-binomial"), np.arange(60)
    frame = framed(60)
    law = negative_binomial(raw)
    change = frame.changes(torch.from_numpy(counts).to(D))
    found = head.loss(torch.tensor(raw, dtype=D).expand(60, -1), change, frame)
    np.testing.assert_allclose(found, -law.logpmf(counts), rtol=1e-9, atol=1e-9)
    assert head.numbers(torch.tensor(raw, dtype=D).expand(60, -1), frame)[0, 0] == pytest.approx(law.mean())
    surprise = head.surprise(torch.tensor(raw, dtype=D).expand(60, -1), change, frame)
    logs = law.logpmf(counts)
    np.testing.assert_allclose(surprise, law.logpmf(np.arange(2000)).max() - logs, atol=1e-6)


@pytest.mark.parametrize("raw", [(*raw, p) for raw, p in zip(RAWS, (0.0, 2.0, -2.0, -1.0), strict=True)])
def test_the_zero_inflated_is_a_mixture(raw):
    head, counts, frame = make_head("zero-inflated"), np.arange(60), framed(60)
    law, zero = negative_binomial(raw), 1 / (1 + np.exp(-raw[2]))
    expected = -np.log((1 - zero) * law.pmf(counts) + zero * (counts == 0))
    change = frame.changes(torch.from_numpy(counts).to(D))
    found = head.loss(torch.tensor(raw, dtype=D).expand(60, -1), change, frame)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


def test_the_log_normal_is_that_of_scipy():
    head, y, frame = make_head("log-normal"), np.linspace(0.5, 40, 30), framed(30)
    raw = torch.tensor([0.3, 1.2], dtype=D).expand(30, -1)
    deviation = float(F.softplus(raw[0, 1] + np.log(np.expm1(0.3)))) + 1e-3
    law = stats.lognorm(deviation, scale=BASELINE * np.exp(0.3))
    # As a share of the size, so that the loss is the same in cents and in euros.
    found = head.loss(raw, frame.changes(torch.from_numpy(y)), frame)
    np.testing.assert_allclose(found, -law.logpdf(y) - np.log(SIZE), rtol=1e-8)
    drawn = frame.values(head.sample(raw, spread(30), frame))
    np.testing.assert_allclose(drawn, law.ppf(spread(30)[0].numpy()), rtol=1e-8)


def test_the_rectified_has_the_mass_below_zero_at_zero():
    head, frame, count = make_head("rectified"), framed(4000, baseline=1.0), 4000
    raw = torch.tensor([0.2, 1.0], dtype=D).expand(count, -1)
    width = (float(F.softplus(raw[0, 1] + np.log(np.expm1(0.3)))) + 1e-3) * WIDTH
    law = stats.norm(1.0 + 0.2 * WIDTH, width)
    values = torch.linspace(0.0, 9.0, count, dtype=D)
    found = head.loss(raw, frame.changes(values), frame).numpy()
    assert found[0] == pytest.approx(-law.logcdf(0.0))
    np.testing.assert_allclose(found[1:], -law.logpdf(values[1:].numpy()) - np.log(WIDTH), rtol=1e-6)
    drawn = frame.values(head.sample(raw, spread(count), frame)).numpy()
    np.testing.assert_allclose(drawn, law.ppf(spread(count)[0].numpy()).clip(0), atol=1e-9)


@pytest.mark.parametrize("raw", RAWS)
@pytest.mark.parametrize("baseline", [6.0, 900.0])
def test_draws_of_counts_are_distributed_as_they_say(raw, baseline):
    count, size = 20_000, 1.5 * baseline
    frame = framed(count, baseline, size)
    drawn = frame.values(
        make_head("negative-binomial").sample(torch.tensor(raw, dtype=D).expand(count, -1), spread(count), frame)
    )
    drawn = drawn.round().numpy()
    law = negative_binomial(raw, baseline, size)
    assert drawn.mean() == pytest.approx(law.mean(), rel=0.02)
    levels = law.ppf([0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98])
    shares = (drawn[:, None] <= levels).mean(0)
    np.testing.assert_allclose(shares, law.cdf(levels), atol=0.012)


def test_quantiles_of_gamma_and_poisson_are_those_of_scipy():
    shape, u = torch.tensor([0.05, 0.4, 1.0, 3.0, 7.9, 8.1, 60.0, 900.0], dtype=D), spread(400)[0]
    for each in shape:
        found = gamma_quantile(each.expand(400), u).numpy()
        np.testing.assert_allclose(stats.gamma(float(each)).cdf(found), u, atol=2e-3)
    for mean in (0.0, 0.3, 5.0, 23.0, 25.0, 400.0):
        found = poisson_quantile(torch.full((400,), mean, dtype=D), u).numpy()
        expected = stats.poisson(mean).ppf(u.numpy())
        assert (found != expected).mean() <= 0.02
        assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("name", COUNT_HEADS)
def test_counts_start_as_spread_as_what_they_are_shown(name):
    law, count, head = stats.nbinom(2.0, 0.25), 3000, make_head(name)
    counts = torch.from_numpy(law.ppf((np.arange(count) + 0.5) / count))
    frame = framed(count, law.mean(), law.mean() + 1)
    drawn = frame.values(head.sample(head.start(frame.changes(counts), frame).expand(count, -1), spread(count), frame))
    assert drawn.mean() == pytest.approx(law.mean(), rel=0.15)
    assert drawn.std() == pytest.approx(law.std(), rel=0.2)


@pytest.mark.parametrize("head", ["student-t", "gaussian", "quantiles", *COUNT_HEADS, *AMOUNT_HEADS])
@pytest.mark.parametrize("level", [0.0, 3.0, 5000.0])
def test_what_is_never_negative_is_never_forecast_negative(head, level):
    """Whatever the weights, and whatever the values are measured from."""
    torch.manual_seed(0)
    model = Forecaster(hidden_size=4, head=head).eval()
    model.output.weight.data.mul_(30)
    values = torch.from_numpy(np.random.default_rng(0).poisson(2.0, (40, 3))).float() - level
    batch = SeriesBatch(
        values,
        None,
        None,
        torch.arange(3),
        past=torch.tensor([40, 40, 40]),
        level=torch.full((3,), level),
        floored=torch.tensor([True, True, True]),
    )
    with torch.no_grad():
        paths = model.sample(batch, None, 6, uniform_numbers(6, 50, 0)) + level
    assert paths.isfinite().all()
    assert paths.min() >= 0
    if head in COUNT_HEADS:
        assert (paths == paths.round()).all()
    model.train()
    loss, _ = model.loss(SeriesBatch(**{**vars(batch), "past": torch.tensor([30, 30, 30])}))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_the_level_that_was_subtracted_changes_nothing():
    torch.manual_seed(0)
    model = Forecaster(hidden_size=4, head="negative-binomial").eval()
    values = torch.from_numpy(np.random.default_rng(0).poisson(9.0, (40, 1))).float()
    found = []
    for level in (0.0, 7.0):
        batch = SeriesBatch(
            values - level, None, None, torch.arange(1), past=torch.tensor([40]), level=torch.tensor([level])
        )
        with torch.no_grad():
            found.append(model.sample(batch, None, 5, uniform_numbers(5, 40, 0)) + level)
    torch.testing.assert_close(*found)
