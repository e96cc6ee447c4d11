import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from ostinato.models.forecasting.heads import make_head
from ostinato.recipes.forecast.metrics import (
    crps_of_gaussian,
    crps_of_samples,
    edges,
    gaussian_quantile,
    place_in_draws,
    quantile_loss,
    sample_quantile,
    seasonal_scale,
    smape,
)

number = st.floats(-100, 100)


@settings(deadline=None, max_examples=50)
@given(draws=st.lists(number, min_size=2, max_size=9), truth=number)
def test_the_score_of_draws_is_that_of_all_pairs(draws, truth):
    near = np.mean([abs(x - truth) for x in draws])
    pairs = [abs(a - b) for i, a in enumerate(draws) for j, b in enumerate(draws) if i != j]
    found = crps_of_samples(np.array([draws]), np.array([truth]))
    assert found[0] == pytest.approx(near - 0.5 * np.mean(pairs), abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(mean=st.floats(-5, 5), deviation=st.floats(0.1, 5), truth=st.floats(-10, 10))
def test_the_score_of_a_gaussian_is_the_integral_of_its_definition(mean, deviation, truth):
    cdf = stats.norm(mean, deviation).cdf
    below = (
        integrate.quad(lambda x: cdf(x) ** 2, mean - 12 * deviation, truth)[0] if truth > mean - 12 * deviation else 0
    )
    above = integrate.quad(lambda x: (1 - cdf(x)) ** 2, truth, max(truth, mean) + 12 * deviation)[0]
    found = crps_of_gaussian(np.array(mean), np.array(deviation), np.array(truth))
    assert found == pytest.approx(below + above, abs=1e-5)


def test_draws_of_a_gaussian_have_its_score_and_so_have_its_quantiles():
    truth = np.linspace(-3, 3, 7)
    draws = stats.norm.ppf((np.arange(4000) + 0.5) / 4000, 0.5, 1.3)
    exact = crps_of_gaussian(np.array(0.5), np.array(1.3), truth)
    np.testing.assert_allclose(crps_of_samples(np.broadcast_to(draws, (7, 4000)), truth), exact, atol=2e-3)
    levels = (np.arange(2000) + 0.5) / 2000
    quantiles = np.broadcast_to(stats.norm.ppf(levels, 0.5, 1.3), (7, 2000))
    np.testing.assert_allclose(quantile_loss(quantiles, levels, truth), exact, atol=2e-3)


def test_few_draws_score_as_many_do_on_average():
    draw = np.random.default_rng(0)
    truth = np.zeros(20_000)
    few = crps_of_samples(draw.normal(size=(20_000, 3)), truth).mean()
    assert few == pytest.approx(float(crps_of_gaussian(np.array(0.0), np.array(1.0), np.array(0.0))), abs=0.015)


def test_a_certain_forecast_scores_its_absolute_error():
    assert crps_of_gaussian(np.array(2.0), np.array(0.0), np.array(5.0)) == 3.0
    assert crps_of_samples(np.full((1, 4), 2.0), np.array([5.0]))[0] == 3.0


def test_missing_values_have_no_score():
    nan = np.array([np.nan])
    assert np.isnan(crps_of_samples(np.ones((1, 3)), nan))[0]
    assert np.isnan(crps_of_gaussian(np.ones(1), np.ones(1), nan))[0]
    assert np.isnan(smape(np.ones(1), nan))[0]
    assert np.isnan(quantile_loss(np.ones((1, 3)), np.array([0.1, 0.5, 0.9]), nan))[0]


def test_percentages():
    np.testing.assert_allclose(smape(np.array([1.0, 0.0, -2.0]), np.array([3.0, 0.0, 2.0])), [1.0, 0.0, 2.0])


def test_what_mase_divides_by():
    values = np.array([1.0, 5.0, 2.0, np.nan, 4.0, 9.0])
    assert seasonal_scale(values, 2) == pytest.approx(np.mean([1.0, 2.0]))
    assert seasonal_scale(values, 1) == pytest.approx(np.mean([4.0, 3.0, 5.0]))
    assert (
        seasonal_scale(np.array([1.0, 2.0, 1.0, 2.0]), 2) == 1.0
    )  # a season that repeats exactly cannot be divided by
    assert np.isnan(seasonal_scale(np.full(9, 2.0), 3))
    assert np.isnan(seasonal_scale(np.array([1.0]), 3))


def test_edges_and_quantiles():
    assert edges(90) == pytest.approx((0.05, 0.95))
    assert gaussian_quantile(0.975) == pytest.approx(1.959964, abs=1e-6)


@pytest.mark.parametrize("count", [2, 9, 200])
def test_a_quantile_of_draws_has_its_share_of_new_draws_below_it(count):
    """Of S + 1 exchangeable numbers, the last lies below the k-th of the others with probability k / (S + 1)."""
    levels = np.arange(1, count + 1) / (count + 1)
    draws = np.random.default_rng(0).normal(size=count)
    np.testing.assert_allclose(sample_quantile(draws, levels), np.sort(draws))
    assert sample_quantile(draws, 1e-9) == draws.min()


def test_intervals_of_few_draws_hold_what_they_promise():
    draw = np.random.default_rng(0)
    low, high = sample_quantile(draw.normal(size=(20_000, 39)), edges(90))
    truth = draw.normal(size=20_000)
    assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(0.9, abs=0.006)


def test_places_are_spread_evenly_where_the_truth_is_one_more_draw():
    draws = np.arange(9.0)
    found = place_in_draws(np.broadcast_to(draws, (10, 9)), np.arange(10) - 0.5)
    np.testing.assert_allclose(found, (np.arange(10) + 0.5) / 10)
    assert place_in_draws(np.full((1, 9), 3.0), np.array([3.0])) == 0.5
    assert np.isnan(place_in_draws(draws[None], np.array([np.nan])))


@pytest.mark.parametrize(("name", "raw"), [("gaussian", [0.3, 0.5]), ("student-t", [0.3, 0.5, -2.0])])
@pytest.mark.parametrize("truth", [-1.0, 0.3, 2.0])
def test_draws_of_a_head_have_the_score_of_its_distribution(name, raw, truth):
    """Its integral of (F(x) - [x >= y])^2, by quadrature of SciPy's F."""
    head, softplus = make_head(name), lambda x: np.log1p(np.exp(x))
    width = softplus(raw[1] + np.log(np.expm1(0.3))) + 1e-3
    law = stats.norm(raw[0], width) if name == "gaussian" else stats.t(2 + softplus(raw[2] + 3), raw[0], width)
    below = integrate.quad(lambda x: law.cdf(x) ** 2, -np.inf, truth)[0]
    above = integrate.quad(lambda x: law.sf(x) ** 2, truth, np.inf)[0]
    uniform = torch.from_numpy(stats.qmc.Sobol(2, seed=0).random(2**14).T).clamp(1e-6, 1 - 1e-6)
    draws = head.sample(torch.tensor([raw], dtype=torch.float64).expand(2**14, -1), uniform).numpy()
    assert crps_of_samples(draws, np.array(truth)) == pytest.approx(below + above, rel=5e-3)
