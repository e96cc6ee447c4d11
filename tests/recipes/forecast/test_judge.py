import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from ostinato.data.batches.batches import InOrder
from ostinato.errors import ConfigError
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.recipes.forecast.data import ForecastPart, Track
from ostinato.recipes.forecast.judge import ForecastJudge
from ostinato.recipes.forecast.known import ForecastKnown
from ostinato.recipes.forecast.metrics import INTERVALS, crps_of_gaussian
from ostinato.recipes.forecast.settings import AnswerSettings
from ostinato.recipes.forecast.windows import SeriesWindows

H = 3


class Oracle(Forecaster):
    """Says N(0, h) around the last value at step h: what a random walk with steps N(0, 1) does."""

    def sample(self, batch, future, horizon, uniform):
        z = torch.special.ndtri(uniform[:, 0].double()).unsqueeze(1)
        return (torch.arange(1, horizon + 1).sqrt()[:, None, None] * z).expand(-1, len(batch.past), -1)


def made(values, origin, *, final=True, ids=("",), samples=400, **how):
    nothing = np.zeros((len(values[0]), 0))
    tracks = tuple(
        Track(id, np.arange(len(v)), v, nothing, nothing) for id, v in zip(ids, map(np.asarray, values), strict=True)
    )
    series = np.repeat(np.arange(len(tracks)), len(origin))
    steps = np.tile(np.array(origin), len(tracks))
    part = ForecastPart("", tracks, "1", series, steps, H, 8, 2, (10,) * len(tracks), ((), ()))
    known = ForecastKnown(H, 8, 2, "1", ids, (), (), ())
    windows = SeriesWindows(part, known)
    judge = ForecastJudge(
        Oracle(hidden_size=2).eval(), windows, known, AnswerSettings(samples=samples, **how), final=final
    )
    with torch.no_grad():
        for batch in InOrder(windows, 7):
            judge.see(batch)
    return judge


def test_figures_of_forecasts_that_are_known_exactly():
    values = np.random.default_rng(0).normal(size=200).cumsum()
    values[[50, 90, 91, 130]] = np.nan
    origin = np.arange(10, 190)
    judge = made([values], origin)
    figures = judge.figures()
    filled = [values[o - 1] if not np.isnan(values[o - 1]) else values[o - 2] for o in origin]
    filled = [v if not np.isnan(v) else values[o - 3] for v, o in zip(filled, origin, strict=True)]
    truth = np.array([values[o : o + H] for o in origin])
    apart = truth - np.array(filled)[:, None]
    there = ~np.isnan(apart)
    deviation = np.broadcast_to(np.sqrt(np.arange(1, H + 1)), apart.shape)
    assert figures["mae"] == pytest.approx(np.abs(apart)[there].mean(), rel=0.01)
    assert figures["rmse"] == pytest.approx(np.sqrt(np.square(apart[there]).mean()), rel=0.01)
    assert figures["crps"] == pytest.approx(crps_of_gaussian(np.zeros(H), deviation, apart)[there].mean(), rel=0.01)
    for percent in INTERVALS:
        inside = np.abs(apart) <= stats.norm.ppf(0.5 + percent / 200) * deviation
        assert figures[f"coverage_{percent}"] == pytest.approx(inside[there].mean(), abs=0.02)
    unit = np.nanmean(np.abs(values[2:10] - values[:8]))
    assert figures["mase"] == pytest.approx(figures["mae"] / unit, rel=1e-6)
    assert figures["mae_of_last_value"] == pytest.approx(np.abs(apart)[there].mean(), rel=1e-9)
    # The oracle knows the process; the last value with measured errors is nearly as good.
    assert figures["skill"] == pytest.approx(1 - figures["crps"] / figures["crps_of_last_value"])
    assert abs(figures["skill"]) < 0.05
    np.testing.assert_allclose(judge.places(4), 0.25, atol=0.06)
    details = judge.details()
    assert len(details["by_steps_ahead"]) == H
    assert details["by_steps_ahead"][2]["mae"] == pytest.approx(np.nanmean(np.abs(apart[:, 2])), rel=0.02)
    assert details["baselines"]["last_value"]["coverage_90"] == pytest.approx(0.9, abs=0.06)


def test_while_training_only_what_chooses_between_weights_is_counted():
    judge = made([np.random.default_rng(0).normal(size=60).cumsum()], range(10, 50), final=False)
    assert set(judge.figures()) == {"skill", "mae", "crps", "coverage_90"}


def test_series_that_never_change_and_new_series_are_told():
    judge = made([np.full(30, 2.0), np.arange(30.0)], range(10, 20), ids=("still", "new"))
    judge.known = dataclasses.replace(judge.known, ids=("still", "other"))
    straight, lines = judge.warnings()[:2], judge.warnings()[2:]
    assert all("worse than drift" in line for line in straight)
    assert len(lines) == 2
    assert lines[0].startswith("training never had the series new")
    assert lines[1].startswith("10 of the forecasts are of series that have never changed")
    assert all(np.isfinite(value) for value in judge.figures().values())
    assert set(judge.details()["by_series"]) == {"still", "new"}


def test_pictures_are_drawn_of_few_and_many():
    for values, origin in (([np.arange(30.0)], [10]), ([np.random.default_rng(0).normal(size=60)], range(10, 50))):
        pictures = made(values, origin).pictures()
        assert set(pictures) == {"forecasts", "calibration"}
        assert 1 <= len(pictures["forecasts"].axes) <= 4
        for figure in pictures.values():
            figure.canvas.draw()


def test_another_horizon_than_that_of_training_cannot_be_evaluated():
    with pytest.raises(ConfigError, match=r"options[.]horizon: evaluation compares the 3 steps of training, got 5"):
        made([np.arange(30.0)], [10], horizon=5)


def test_a_baseline_that_is_better_is_named_with_its_error():
    """Of a season that repeats exactly, the oracle of random walks knows less than anybody."""
    judge = made([np.arange(60.0) % 2], range(20, 50))
    lines = judge.warnings()
    assert [line.partition(":")[0] for line in lines] == [
        "the model is worse than seasonal naive, a forecast that anybody can make"
    ] * 2
    assert "mae" in lines[0]
    assert lines[0].endswith("against 0")
    assert "crps" in lines[1]
    assert judge.figures()["crps_of_seasonal_naive"] == 0.0
    walk = made([np.random.default_rng(0).normal(size=200).cumsum()], range(10, 190))
    assert walk.warnings() == []
