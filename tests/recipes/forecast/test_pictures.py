import numpy as np
import pytest

from ostinato.insight.plots import png
from ostinato.recipes.forecast.pictures import Fan, fans


@pytest.mark.parametrize("hours", [1, 20, 100, 119, 24 * 80, 24 * 140, 24 * 365 * 2, 24 * 365 * 4, 24 * 365 * 9])
def test_any_span_of_time_has_few_ticks_without_a_warning(hours):
    times = np.datetime64("2020-01-31", "us") + np.linspace(0, hours * 3_600_000_000, 12).astype("timedelta64[us]")
    bounds = {percent: (np.zeros(3), np.ones(3)) for percent in (50, 80, 95)}
    made = fans([Fan("", times, np.arange(12.0), 9, np.ones(3), bounds)])
    assert png(made)
    assert 3 <= len(made.axes[0].get_xticks()) <= 10
