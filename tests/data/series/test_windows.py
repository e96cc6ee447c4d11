import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.series.series import Series, SeriesTable
from ostinato.data.series.windows import Windows
from ostinato.errors import ConfigError, DataError


def table(*lengths):
    def series(number, length):
        values = np.arange(2.0 * length).reshape(length, 2) + 1000 * number
        return Series(str(number), np.arange(length), values, values[:, :1] + 0.5, -values)

    return SeriesTable("test", tuple(series(*each) for each in enumerate(lengths)), ("a", "b"), ("k",), ("p", "q"), "1")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=3),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 4),
    st.sampled_from([(0.0, 1.0), (0.0, 0.5), (0.5, 1.0), (0.3, 0.8)]),
)
def test_windows_are_those_that_a_loop_finds(lengths, context, horizon, stride, part):
    data = table(*lengths)
    expected = []
    for number, series in enumerate(data.series):
        first, end = round(part[0] * len(series)), round(part[1] * len(series))
        origins = [t for t in range(len(series)) if t >= first and t >= context and t + horizon <= end][::stride]
        expected += [(number, origin) for origin in origins]
    if not expected:
        with pytest.raises(DataError, match="no series has"):
            Windows(data, context, horizon, part=part, stride=stride)
        return
    windows = Windows(data, context, horizon, part=part, stride=stride)
    assert [(window.series, window.origin) for window in windows] == expected
    assert [(windows[i].series, windows[i].origin) for i in range(len(windows))] == expected
    for window in windows:
        series = data.series[window.series]
        around = slice(window.origin - context, window.origin + horizon)
        np.testing.assert_array_equal(np.concatenate([window.past, window.future]), series.values[around])
        np.testing.assert_array_equal(window.known, series.known[around])
        np.testing.assert_array_equal(window.observed, series.observed[around][:context])
        np.testing.assert_array_equal(window.times, series.times[around])
        for view, whole in ((window.past, series.values), (window.future, series.values), (window.known, series.known)):
            assert np.shares_memory(view, whole)


def test_parts_share_no_step_to_forecast():
    data = table(100)
    steps = [
        {window.origin + step for window in Windows(data, 5, 3, part=part) for step in range(3)}
        for part in ((0.0, 0.7), (0.7, 0.8), (0.8, 1.0))
    ]
    assert steps == [set(range(5, 70)), set(range(70, 80)), set(range(80, 100))]


@pytest.mark.parametrize(
    "options",
    [{"context": 0}, {"horizon": 0}, {"stride": 0}, {"part": (0.5, 0.5)}, {"part": (-0.1, 1)}, {"part": (0, 1.1)}],
)
def test_sizes_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match="must be"):
        Windows(table(20), **{"context": 2, "horizon": 2, **options})


def test_a_window_that_is_not_there():
    windows = Windows(table(10), 3, 2)
    for index in (-1, len(windows)):
        with pytest.raises(IndexError, match="window must be 0 to 5"):
            windows[index]
