import numpy as np
import pytest
from benchmarks.forecast import row
from benchmarks.forecast_shapes import SHAPES, write

from ostinato.data.series.series import read_series
from ostinato.recipes.forecast.settings import ForecastSettings
from ostinato.recipes.forecast.start import thinned
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


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_tables_that_can_be_read(name, tmp_path):
    times, values = SHAPES[name](np.random.default_rng(0))
    (series,) = read_series(write((times, values), tmp_path / "series.csv")).series
    assert np.isfinite(values).all()
    assert np.nanmax(series.values) == pytest.approx(values.max(), rel=1e-5)
