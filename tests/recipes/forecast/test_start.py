import dataclasses

import numpy as np
import pytest
import torch

from ostinato.models.forecasting.baseline import Baseline
from ostinato.models.forecasting.heads import make_head
from ostinato.recipes import load, train
from ostinato.recipes.forecast.data import ForecastPart, Track, origins
from ostinato.recipes.forecast.known import ForecastKnown
from ostinato.recipes.forecast.settings import ForecastReadingSettings, ForecastSettings, UpdateSettings
from ostinato.recipes.forecast.start import begin, centred, one_step_errors
from ostinato.recipes.forecast.windows import SeriesWindows

DRAW = np.random.default_rng(0)
AT = np.arange(400)
WEEK = np.array([3.0, 1, 4, 1, 5, 9, 2]) * 10


def forecasts(values, season, horizon=7):
    """All of one series, and what is known about them."""
    nothing = np.zeros((len(values), 0))
    track = Track("", np.arange(len(values)), np.asarray(values, dtype=float), nothing, nothing)
    series, steps = origins([track], [(1, len(values))], 64, horizon, 1)
    part = ForecastPart("", (track,), "1", series, steps, horizon, 64, season, (len(values),), ((), ()))
    return part, ForecastKnown.of(part, with_calendar=False)


def chosen(values, season, wanted=None):
    part, known = forecasts(values, season)
    return begin(part, known, make_head("student-t"), wanted)


@pytest.mark.parametrize(
    ("values", "season", "name"),
    [
        (AT % 7, 7, "seasonal_naive"),
        (WEEK[AT % 7] + 0.5 * AT, 7, "seasonal_naive"),
        (4 * DRAW.normal(size=(58, 7)).cumsum(0).ravel()[:400], 7, "seasonal_naive"),
        (WEEK[AT % 7] + 3 * DRAW.normal(size=400), 7, "season_mean"),
        (WEEK[AT % 7] + 4 * DRAW.normal(size=400).cumsum(), 7, "seasonal_change"),
        (DRAW.normal(size=400), 1, "season_mean"),
        (DRAW.normal(size=400).cumsum(), 1, "last_value"),
        (DRAW.normal(size=400).cumsum(), 7, "last_value"),
    ],
)
def test_the_baseline_of_a_process_is_the_one_that_suits_it(values, season, name):
    assert chosen(values, season).baseline == name


def test_the_user_may_choose():
    assert chosen(AT % 7, 7, "last_value").baseline == "last_value"


def test_errors_are_those_of_the_baseline_in_the_scale_of_each_window():
    """A saw spreads by 12 / 7 around its mean; from the last value it goes up by 1 six times and down by 6 once."""
    part, known = forecasts(AT[:70] % 7, 7)
    windows = SeriesWindows(dataclasses.replace(part, series=part.series[:1], origin=np.array([63])), known)
    apart = one_step_errors(windows, Baseline("last_value")) * 12 / 7
    torch.testing.assert_close(apart.sort().values, torch.tensor([-6.0, 1, 1, 1, 1, 1, 1]))
    assert (one_step_errors(windows, Baseline("seasonal_naive", 7)) == 0).all()


def test_a_drift_is_taken_where_chance_does_not_give_it():
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=400))
    assert centred(noise).median() == centred(noise + 0.1).median() == 0.0
    assert torch.equal(centred(noise + 0.3), noise + 0.3)
    assert torch.equal(centred(torch.zeros(3)), torch.zeros(3))


@pytest.mark.parametrize(("head", "peak"), [("student-t", 6), ("quantiles", 70)])
def test_a_sharp_season_is_forecast_as_anybody_would(tmp_path, head, peak):
    """The weekly drop or spike is no outlier: after some updates, and for a small network with a large learning rate too."""
    values = np.where(AT[:200] % 7 == 6, peak, AT[:200] % 7)
    days = np.datetime64("2024-01-01") + AT[:200]
    data = tmp_path / "saw.csv"
    data.write_text("time,value\n" + "".join(f"{day},{value}\n" for day, value in zip(days, values, strict=True)))
    settings = ForecastSettings(data=str(data), run=str(tmp_path / "run"), device="cpu", quiet=True,
                                reading=ForecastReadingSettings(test_share=0.1))  # fmt: skip
    training = UpdateSettings(batch_size=16, learning_rate=0.1, max_steps=4, evaluate_every=2, evaluate_first=True)
    model = dataclasses.replace(settings.model, hidden_size=4, head=head)
    result = train(dataclasses.replace(settings, training=training, model=model))
    figures = result.scores["test"].figures
    assert figures["mae_of_seasonal_naive"] == figures["crps_of_seasonal_naive"] == 0.0
    assert figures["mae"] < 0.01 * values.std()
    answer = load(result.run.path).predict(data=str(data))[0]
    np.testing.assert_allclose(answer["median"], values[4:11], atol=0.01 * values.std())


def test_after_one_value_a_series_spreads_as_it_did_in_training_or_as_others_do():
    nothing = np.zeros((200, 0))
    tracks = tuple(
        Track(id, AT[:200], size * (AT[:200] % 7.0), nothing, nothing) for id, size in (("a", 1.0), ("b", 100.0))
    )
    series, steps = origins(tracks, [(1, 200)] * 2, 64, 7, 1)
    part = ForecastPart("", tracks, "1", series, steps, 7, 64, 7, (200, 200), ((), ()))
    known = begin(part, ForecastKnown.of(part, with_calendar=False), make_head("gaussian"), "last_value")
    assert known.width("a") == pytest.approx(12 / 7, rel=0.05)
    assert known.width("b") == pytest.approx(1200 / 7, rel=0.05)
    assert known.width("new") == pytest.approx(606 / 7, rel=0.05)
    one = SeriesWindows(dataclasses.replace(part, series=np.array([0, 1]), origin=np.array([1, 1])), known)
    np.testing.assert_allclose(one.batch(np.arange(2)).least_scale, known.widths, rtol=1e-6)
    assert one.counts.tolist() == [7, 7]


def test_a_few_values_spread_as_the_series_usually_does():
    """Many short series, some of whose first values happen to be nearly alike: no error is many usual spreads."""
    nothing = np.zeros((10, 0))
    draw = np.random.default_rng(1)
    values = [level + np.append([0.0, 0.001], draw.normal(size=8)) for level in draw.uniform(20, 80, 60)]
    tracks = tuple(Track(str(n), np.arange(10), each, nothing, nothing) for n, each in enumerate(values))
    series, steps = origins(tracks, [(1, 10)] * 60, 64, 5, 1)
    part = ForecastPart("", tracks, "1", series, steps, 5, 64, 1, (10,) * 60, ((), ()))
    known = begin(part, ForecastKnown.of(part, with_calendar=False), make_head("gaussian"), "last_value")
    usual = [np.abs(each - each.mean()).mean() for each in values]
    np.testing.assert_allclose(known.widths, usual)
    least = SeriesWindows(part, known).batch(np.arange(len(part))).least_scale.numpy()
    share = (1 - (steps - 1) / 10).clip(0)
    assert (least >= 0.999 * share * np.array(usual)[series]).all()
    assert one_step_errors(SeriesWindows(part, known), Baseline("last_value", 1)).abs().max() < 15
