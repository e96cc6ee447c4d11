from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.series.series import read_series
from ostinato.errors import DataError
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.recipes.forecast.data import ForecastPart, Track, origins, tracks_of
from ostinato.recipes.forecast.known import ForecastKnown
from ostinato.recipes.forecast.windows import LEAST_OF_HISTORY, SeriesWindows

maybe = st.one_of(st.just(float("nan")), st.integers(-9, 9).map(float))


def track(values, id=""):
    T = len(values)
    return Track(
        id, np.arange(T), np.array(values), np.arange(T, dtype=float)[:, None], -np.arange(T, dtype=float)[:, None]
    )


def part_of(tracks, series, origin, horizon=2, context=4):
    lengths = tuple(len(each) for each in tracks)
    names = (("price",), ("weather",))
    return ForecastPart("", tuple(tracks), "1", np.array(series), np.array(origin), horizon, context, 1, lengths, names)


def known_of(**changes):
    scales = {"known": (("price", 2.0, 4.0),), "observed": (("weather", -1.0, 2.0),)}
    return ForecastKnown(
        **{"horizon": 2, "context": 4, "season": 1, "step": "1", "ids": ("a", "b"), "cycles": (), **scales, **changes}
    )


@settings(deadline=None, max_examples=60)
@given(values=st.lists(maybe, min_size=1, max_size=9))
def test_what_a_series_has_before_each_step(values):
    one = track(values)
    for t in range(len(values) + 1):
        there = [(at, v) for at, v in enumerate(values[:t]) if not np.isnan(v)]
        assert one.seen[t] == len(there)
        steps = [abs(b - a) for (_, a), (_, b) in pairwise(there)]
        assert one.moved[t] == pytest.approx(np.mean(steps) if steps else 0.0)
        if t:
            assert one.last[t - 1] == (there[-1][0] if there else -1)
            assert one.filled[t - 1] == pytest.approx(there[-1][1] if there else np.nan, nan_ok=True)


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(maybe, min_size=3, max_size=20),
    context=st.integers(1, 6),
    horizon=st.integers(1, 4),
    stride=st.integers(1, 3),
    data=st.data(),
)
def test_forecasts_lie_in_their_span_and_have_something_to_read_and_to_compare(values, context, horizon, stride, data):
    first = data.draw(st.integers(0, len(values)))
    end = data.draw(st.integers(first, len(values)))
    _, found = origins([track(values)], [(first, end)], context, horizon, stride)
    least = min(context, max(1, (end - horizon) // 2))
    expected = [
        o
        for o in range(max(first, least), end - horizon + 1, stride)
        if any(not np.isnan(v) for v in values[:o]) and any(not np.isnan(v) for v in values[o : o + horizon])
    ]
    assert found.tolist() == expected


def test_windows_are_slices_relative_to_the_last_value():
    a = track([5.0, np.nan, 7.0, 8.0, np.nan, 4.0, 3.0, np.nan], "a")
    strange = track([1e9, 1e9 + 1, 1e9 + 3, 1e9 + 2], "new")
    windows = SeriesWindows(part_of([a, strange], [0, 0, 1], [5, 2, 2]), known_of())
    assert windows.lengths.tolist() == [6, 4, 4]
    assert windows.counts.tolist() == [2, 0, 2]  # the second has one value before it: no change, no scale
    assert windows.anchors.tolist() == [8.0, 5.0, 1e9 + 1]
    batch = windows.batch(np.array([0, 2]))
    nan = np.nan
    expected = [[nan, -1, 0, nan, -4, -5], [-1, 0, 2, 1, 0, 0]]
    np.testing.assert_array_equal(batch.input.T.numpy(), np.array(expected, dtype=np.float32))
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [6, 4]
    assert batch.past.tolist() == [4, 2]
    assert batch.known is not None
    assert batch.observed is not None
    assert batch.series is not None
    assert batch.least_scale is not None
    np.testing.assert_allclose(batch.known[:, 0, 0], (np.arange(1, 7) - 2) / 4)
    np.testing.assert_allclose(batch.observed[:4, 1, 0], (-np.arange(4.0) + 1) / 2)
    assert batch.series.tolist() == [1, 0]
    np.testing.assert_allclose(batch.least_scale, [LEAST_OF_HISTORY * np.mean([2, 1]), LEAST_OF_HISTORY * 1.0])


def test_counts_are_the_terms_of_the_loss():
    draw = np.random.default_rng(0)
    tracks = [track(np.where(draw.random(30) < 0.4, np.nan, draw.integers(0, 2, 30).astype(float))) for _ in range(3)]
    series, steps = origins(tracks, [(0, 30)] * 3, 4, 3, 1)
    windows = SeriesWindows(part_of(tracks, series, steps, horizon=3), known_of())
    model = Forecaster(known_size=1, observed_size=1, num_series=2, hidden_size=3)
    batch = windows.batch(np.arange(len(steps)))
    z, scale = model.scaled(batch)
    counted = ~z.isnan() & (torch.arange(len(z)).unsqueeze(1) >= batch.past) & (scale.width > 0)
    assert counted.sum(0).tolist() == windows.counts.tolist()
    assert 0 in windows.counts


def test_columns_become_series_of_their_own(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,t,x,y\na,1,1,2\na,2,3,4\nb,1,5,6\n")
    table = read_series(path, ["x", "y"], time="t")
    assert [each.id for each in tracks_of(table)] == ["a/x", "a/y", "b/x", "b/y"]
    assert tracks_of(table)[1].values.tolist() == [2.0, 4.0]
    path.write_text("id,t,x\na,1,1\nb,1,\n")
    with pytest.raises(DataError, match=r"a[.]csv: series 'b' has no value"):
        tracks_of(read_series(path, time="t"))
    path.write_text("id,t,x\na,1,1\nb,1,-1e300\n")  # more than float32 holds
    with pytest.raises(DataError, match=r"a[.]csv: series 'b' has a value of size 1e\+300; expected at most 1e\+30"):
        tracks_of(read_series(path, time="t"))


def test_knowledge_comes_from_the_steps_of_training_alone_and_can_be_written():
    tracks = [track(np.arange(10.0), "a"), track(np.arange(10.0), "b")]
    part = part_of(tracks, [0], [5])
    part = ForecastPart(**{**part.__dict__, "fitted": (4, 6)})
    known = ForecastKnown.of(part, with_calendar=True)
    seen = np.concatenate([np.arange(4), np.arange(6)])
    assert known.known == (("price", pytest.approx(seen.mean()), pytest.approx(seen.std())),)
    assert known.ids == ("a", "b")
    assert known.cycles == ()
    assert ForecastKnown.from_dict(known.to_dict()) == known
    assert (known.number("b"), known.number("c")) == (2, 0)
