import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from ostinato.errors import ConfigError
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.models.forecasting.heads import make_head
from ostinato.models.forecasting.windows import SeriesBatch, uniform_numbers

NAN = float("nan")


def model(**changes):
    torch.manual_seed(0)
    given = {"lags": (3,), "known_size": 2, "observed_size": 1, "num_series": 2, "hidden_size": 5, "series_size": 3}
    return Forecaster(**{**given, **changes}).double().eval()


def batch_of(pasts, horizon, seed=0, more=0, filler=0.0, gaps=0.2):
    """Rows whose pasts have these lengths; some values missing, but not the last before the future and the first of it."""
    draw = np.random.default_rng(seed)
    T, B = max(pasts) + horizon + more, len(pasts)
    values, known, observed = np.full((T, B), filler), np.full((T, B, 2), filler), np.full((T, B, 1), filler)
    for row, past in enumerate(pasts):
        own = slice(0, past + horizon)
        x = draw.normal(size=past + horizon).cumsum()
        missing = draw.random(past + horizon) < gaps
        missing[[past - 1, past]] = False
        values[own, row] = np.where(missing, NAN, x)
        known[own, row] = draw.normal(size=(past + horizon, 2))
        observed[own, row] = np.where(
            draw.random((past + horizon, 1)) < gaps, NAN, draw.normal(size=(past + horizon, 1))
        )
    return SeriesBatch(
        torch.from_numpy(values),
        None,
        torch.tensor(pasts) + horizon,
        torch.arange(B),
        past=torch.tensor(pasts),
        known=torch.from_numpy(known),
        observed=torch.from_numpy(observed),
        series=torch.arange(B) % 3,
        least_scale=torch.full((B,), 0.01, dtype=torch.float64),
    )


def future_of(batch, horizon):
    return torch.stack([batch.known[past : past + horizon, row] for row, past in enumerate(batch.past.tolist())], 1)


def baseline_by_hand(baseline, z, filled, past, t):
    """What anybody would say of step t, in a window's scale."""
    m = baseline.season

    def begun(lag):
        return t >= lag and not np.isnan(z[: t - lag + 1]).all()

    if baseline.name == "season_mean":
        there = [v for s, v in enumerate(z[:past]) if (t - s) % m == 0 and not np.isnan(v)]
        return float(np.mean(there)) if there else 0.0
    if baseline.name == "seasonal_naive" and begun(m):
        return filled[t - m]
    if baseline.name == "seasonal_change" and begun(m + 1):
        return filled[t - 1] + filled[t - m] - filled[t - m - 1]
    return filled[t - 1] if t else 0.0


def by_hand(model, batch, row, values):
    """The raw outputs of one row, (T, K), and its values in its scale, with Python's loops and without padding."""
    past, end = int(batch.past[row]), len(values)
    there = [float(v) for v in values[:past] if not np.isnan(v)]
    centre = there[-1]
    width = max(float(np.mean(np.abs(np.array(there) - np.mean(there)))), float(batch.least_scale[row]))
    z = [(float(v) - centre) / width for v in values]
    filled, last = [], 0.0
    for v in z:
        last = last if np.isnan(v) else v
        filled.append(last)
    inputs, limit = [], model.limit

    def squash(v):
        return v if limit is None else limit * np.arcsinh(v / limit)

    for t in range(end):
        line = []
        for lag in (1, *model.lags):
            line += [squash(filled[t - lag]), float(not np.isnan(z[t - lag]))] if t >= lag else [0.0, 0.0]
        if model.baseline.name != "last_value":
            line.append(squash(baseline_by_hand(model.baseline, z, filled, past, t)))
        line += batch.known[t, row].tolist()
        seen = float(batch.observed[t - 1, row, 0]) if 1 <= t <= past else NAN
        line += [0.0 if np.isnan(seen) else seen, float(not np.isnan(seen))]
        line += model.embedding.weight[batch.series[row]].tolist()
        inputs.append(line)
    output, _ = model.recurrent(torch.tensor(inputs, dtype=torch.float64).unsqueeze(1))
    return model.output(output[:, 0]), z, filled, (centre, width)


EACH = [("student-t", "last_value", 1), ("gaussian", "seasonal_naive", 3), ("quantiles", "season_mean", 3)]
EACH += [("student-t", "seasonal_change", 3), ("gaussian", "season_mean", 1)]


@pytest.mark.parametrize(("head", "baseline", "season"), EACH)
def test_the_loss_is_that_of_loops_over_rows_and_steps(head, baseline, season):
    net, batch = model(head=head, baseline=baseline, season=season, limit=0.5), batch_of([6, 2, 9], 4)
    terms = []
    for row, past in enumerate(batch.past.tolist()):
        raw, z, filled, _ = by_hand(net, batch, row, batch.input[: past + 4, row].tolist())
        for t in range(past, past + 4):
            if not np.isnan(z[t]):
                change = torch.tensor([z[t] - baseline_by_hand(net.baseline, z, filled, past, t)], dtype=torch.float64)
                terms.append(net.head.loss(raw[t : t + 1], change).item())
    loss, state = net.loss(batch)
    assert state is None
    assert loss.item() == pytest.approx(np.mean(terms), rel=1e-9)


@pytest.mark.parametrize(("head", "baseline", "season"), EACH)
def test_what_is_drawn_is_what_reading_the_drawn_path_says(head, baseline, season):
    """Ancestral sampling, step by step and all paths at once, is one pass over past and path."""
    net, batch = model(head=head, baseline=baseline, season=season, limit=0.5), batch_of([6, 2, 9], 5)
    horizon, S = 5, 4
    uniform = uniform_numbers(horizon, S, 3).double()
    with torch.no_grad():
        drawn = net.sample(batch, future_of(batch, horizon), horizon, uniform)
        assert drawn.shape == (horizon, 3, S)
        for row, past in enumerate(batch.past.tolist()):
            for s in range(S):
                path = [*batch.input[:past, row].tolist(), *drawn[:, row, s].tolist()]
                raw, z, filled, _ = by_hand(net, batch, row, path)
                for t in range(horizon):
                    change = net.head.sample(raw[past + t : past + t + 1], uniform[t, :, s : s + 1])
                    expected = baseline_by_hand(net.baseline, z, filled, past, past + t) + change.item()
                    assert z[past + t] == pytest.approx(expected, rel=1e-5, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(
    pasts=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    more=st.integers(1, 4),
    filler=st.sampled_from([0.0, 7.0, NAN]),
    cell=st.sampled_from(["lstm", "gru", "mingru"]),
)
def test_more_padding_changes_no_loss_no_gradient_and_no_forecast(pasts, more, filler, cell):
    net, found = model(cell=cell), []
    uniform = uniform_numbers(3, 4, 0)
    for batch in (batch_of(pasts, 3), batch_of(pasts, 3, more=more, filler=filler)):
        net.zero_grad()
        loss, _ = net.loss(batch)
        loss.backward()
        gradients = [torch.zeros(()) if each.grad is None else each.grad.clone() for each in net.parameters()]
        with torch.no_grad():
            found.append((loss.detach(), gradients, net.sample(batch, future_of(batch, 3), 3, uniform)))
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-11)


def test_a_forecast_does_not_depend_on_what_is_beside_it():
    net, batch, uniform = model(), batch_of([6, 2, 9], 4), uniform_numbers(4, 6, 0)
    with torch.no_grad():
        together = net.sample(batch, future_of(batch, 4), 4, uniform)
        for row in range(3):
            one = {
                each.name: getattr(batch, each.name)[:, row : row + 1]
                for each in dataclasses.fields(batch)
                if each.name in ("input", "known", "observed")
            }
            rows = {
                name: getattr(batch, name)[row : row + 1]
                for name in ("lengths", "rows", "past", "series", "least_scale")
            }
            alone = dataclasses.replace(batch, **one, **rows)
            torch.testing.assert_close(net.sample(alone, future_of(alone, 4), 4, uniform)[:, 0], together[:, row])


def test_nothing_of_the_future_is_looked_at():
    net, batch, uniform = model(), batch_of([6, 4], 4), uniform_numbers(4, 6, 0)
    other = dataclasses.replace(batch, input=batch.input.clone(), observed=batch.observed.clone())
    for row, past in enumerate(batch.past.tolist()):
        other.input[past:, row] = 99.0
        other.observed[past:, row] = 99.0
    with torch.no_grad():
        future = future_of(batch, 4)
        assert torch.equal(net.sample(other, future, 4, uniform), net.sample(batch, future, 4, uniform))
        hidden = dataclasses.replace(batch, observed=other.observed)
        assert torch.equal(net.loss(hidden)[0], net.loss(batch)[0])


def test_before_training_it_is_its_baseline():
    """Of a season that repeats exactly, all paths lie within the least width, whatever the horizon and the recurrent weights."""
    start = make_head("student-t").start(torch.zeros(9)).tolist()
    net = model(known_size=0, observed_size=0, num_series=1, baseline="seasonal_naive", season=7, start=start)
    wave = (torch.arange(40.0, dtype=torch.float64) % 7).unsqueeze(1)
    batch = SeriesBatch(wave[:20], None, None, torch.arange(1), past=torch.tensor([20]))
    with torch.no_grad():
        paths = net.sample(batch, None, 20, uniform_numbers(20, 200, 0))
    torch.testing.assert_close(paths.median(-1).values, wave[20:], atol=2e-3, rtol=0)


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(1e-3, 1e3), level=st.floats(-1e3, 1e3))
def test_unit_and_level_of_a_series_do_not_matter(factor, level):
    net, batch, uniform = model(), batch_of([6, 4], 4), uniform_numbers(4, 6, 0)
    moved = dataclasses.replace(batch, input=factor * batch.input + level, least_scale=factor * batch.least_scale)
    with torch.no_grad():
        torch.testing.assert_close(net.loss(moved)[0], net.loss(batch)[0], rtol=1e-6, atol=1e-6)
        paths, others = (net.sample(each, future_of(each, 4), 4, uniform) for each in (batch, moved))
    torch.testing.assert_close(others, factor * paths + level, rtol=1e-6, atol=1e-5 * factor)


def test_a_series_that_never_changed_stays_the_same_and_has_no_loss():
    net = model(known_size=0, observed_size=0, num_series=1)
    still = torch.full((6, 1), 3.25, dtype=torch.float64)
    still[5] = 4.0
    batch = SeriesBatch(still, None, None, torch.arange(1), past=torch.tensor([4]))
    loss, _ = net.loss(batch)
    assert loss.item() == 0.0
    loss.backward()
    assert all(torch.isfinite(each.grad).all() for each in net.parameters() if each.grad is not None)
    assert (net.sample(batch, None, 3, uniform_numbers(3, 5, 0)) == 3.25).all()


def test_a_past_without_any_value_can_be_forecast():
    net = model(known_size=0, observed_size=0, num_series=1)
    batch = SeriesBatch(
        torch.full((4, 1), NAN, dtype=torch.float64),
        None,
        None,
        torch.arange(1),
        past=torch.tensor([4]),
        least_scale=torch.ones(1, dtype=torch.float64),
    )
    assert torch.isfinite(net.sample(batch, None, 3, uniform_numbers(3, 5, 0))).all()


def test_training_hides_which_series_it_is():
    net, batch = model(unknown_rate=0.5), batch_of([6] * 40, 3)
    batch = dataclasses.replace(batch, series=torch.ones(40, dtype=torch.int64))
    net.train()
    net.loss(batch)[0].backward()
    assert net.embedding is not None
    touched = net.embedding.weight.grad.abs().sum(1) > 0  # pyright: ignore[reportOptionalMemberAccess]
    assert touched.tolist() == [True, True, False]


def test_uniform_numbers_are_one_in_each_part_and_the_same_for_a_seed():
    found = uniform_numbers(3, 8, 5)
    assert torch.equal(found, uniform_numbers(3, 8, 5))
    assert not torch.equal(found, uniform_numbers(3, 8, 6))
    assert torch.equal((found * 8).floor().sort(-1).values, torch.arange(8.0).expand(3, 2, 8))
    many = uniform_numbers(1, 10_000, 0)
    assert (many > 0).all()
    assert (many < 1).all()


def test_a_known_process_is_learnt():
    """x_t = 0.9 x_{t-12} + noise: the forecast follows the season, and its deviation is that of the noise."""
    draw = np.random.default_rng(0)
    series = np.zeros(600)
    series[:12] = draw.normal(size=12) * 3
    for t in range(12, 600):
        series[t] = 0.95 * series[t - 12] + 0.3 * draw.normal()
    torch.manual_seed(0)
    net = Forecaster(lags=(11, 12, 13), hidden_size=16, head="gaussian")
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    windows = np.lib.stride_tricks.sliding_window_view(series, 48).T.astype(np.float32).copy()
    for _ in range(150):
        rows = draw.integers(0, windows.shape[1] - 12, 32)
        batch = SeriesBatch(
            torch.from_numpy(windows[:, rows]), None, None, torch.from_numpy(rows), past=torch.full((32,), 36)
        )
        optimizer.zero_grad()
        net.loss(batch)[0].backward()
        optimizer.step()
    last = SeriesBatch(torch.from_numpy(windows[:, -1:]), None, None, torch.arange(1), past=torch.tensor([36]))
    with torch.no_grad():
        paths = net.eval().sample(last, None, 12, uniform_numbers(12, 200, 0))[:, 0]
    truth = torch.from_numpy(windows[36:, -1])
    assert F.l1_loss(paths.median(1).values, truth) < 0.6 * F.l1_loss(torch.full_like(truth, windows[35, -1]), truth)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lags": (1,)}, "lags: expected different numbers of at least 2"),
        ({"lags": (4, 4)}, "lags: expected different numbers of at least 2"),
        ({"known_size": -1}, "known_size: expected at least 0, got -1"),
        ({"num_series": 0}, "num_series: expected at least 1, got 0"),
        ({"unknown_rate": 1.0}, "unknown_rate: expected a rate"),
        ({"dropout": -0.1}, "dropout: expected a rate"),
        ({"options": {"bidirectional": True}}, "options: bidirectional cannot be given here"),
        ({"baseline": "naive"}, "baseline: expected one of last_value, seasonal_naive, season_mean, .*, got naive"),
        ({"baseline": "seasonal_change"}, "season: expected at least 2 for seasonal_change, got 1"),
        ({"limit": 0.0}, "limit: expected a number above 0, or none, got 0.0"),
        ({"start": (0.0, 1.0)}, "start: expected 3 numbers for this head, got 2"),
        ({"cell": "lstn"}, "cell: expected one of lstm"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Forecaster(**arguments)


def test_covariates_that_are_not_given_are_asked_for():
    net, batch = model(), batch_of([6], 3)
    with pytest.raises(ConfigError, match="known: expected 2 covariates"):
        net.loss(dataclasses.replace(batch, known=None))
    with pytest.raises(ConfigError, match=r"future: expected covariates \(3, B, 2\), got none"):
        net.sample(batch, None, 3, uniform_numbers(3, 2, 0))


def test_another_horizon_than_that_of_the_numbers_is_refused():
    net, batch = model(), batch_of([6], 3)
    with pytest.raises(ConfigError, match="horizon: expected at least 1 step to forecast, got 0"):
        net.sample(batch, None, 0, uniform_numbers(0, 2, 0))
    with pytest.raises(ConfigError, match=r"uniform: expected numbers \(3, 2, S\), got \(4, 2, 2\)"):
        net.sample(batch, None, 3, uniform_numbers(4, 2, 0))


def test_paths_that_wait_for_others_are_the_same(monkeypatch):
    net, batch, uniform = model(), batch_of([6, 2, 9], 4), uniform_numbers(4, 7, 0)
    with torch.no_grad():
        together = net.sample(batch, future_of(batch, 4), 4, uniform)
        monkeypatch.setattr("ostinato.models.forecasting.forecaster._MOST_PATHS", 6)
        torch.testing.assert_close(net.sample(batch, future_of(batch, 4), 4, uniform), together)
