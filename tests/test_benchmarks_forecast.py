import numpy as np
import pytest
from benchmarks.forecast import row, thinned

from ostinato.recipes.forecast.settings import ForecastSettings
from ostinato.recipes.forecast.task import Forecast


def test_a_perfect_forecast_has_no_error():
    truth = np.array([[1.0, 2.0, np.nan]])
    assert row("exact", truth, truth, np.zeros((1, 3))) == ["exact", "0.0000", "0.0000", "100.0%"]


def test_errors_and_coverage_are_of_what_is_there():
    truth = np.array([[1.0, 5.0, np.nan, -1.0]])
    name, error, _, inside = row("zero", truth, np.zeros((1, 4)), np.ones((1, 4)))
    assert (name, error, inside) == ("zero", f"{7 / 3:.4f}", "66.7%")


@pytest.mark.parametrize("most", [1, 7, 10**6])
def test_forecasts_are_thinned_evenly(most):
    part = Forecast().read(ForecastSettings()).test
    few = thinned(part, most)
    assert len(few) == min(most, len(part))
    assert set(few.origin) <= set(part.origin)
    gaps = np.diff(few.origin)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1
