"""Intervals that hold what they promise, and alarms that are false as often as is asked."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from scipy import stats

from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.recipes.forecast.answers.alarm import Alarm
from ostinato.recipes.forecast.answers.calibrating import calibrated
from ostinato.recipes.forecast.answers.calibration import LEVELS, Calibration, scores_of
from ostinato.recipes.forecast.data import ForecastPart, Track
from ostinato.recipes.forecast.judge import ForecastJudge
from ostinato.recipes.forecast.known import ForecastKnown
from ostinato.recipes.forecast.metrics import edges, sample_quantile
from ostinato.recipes.forecast.settings import AnswerSettings
from ostinato.recipes.forecast.windows import SeriesWindows

H = 4


class Confident(Forecaster):
    """Says N(0, 1.5^h) around the last value, of a series that is a random walk; `times` as narrow or wide as it should."""

    times = (1.0,) * H

    def sample(self, batch, future, horizon, uniform):
        z = torch.special.ndtri(uniform[:, 0].double()).unsqueeze(1)
        width = torch.arange(1, horizon + 1).sqrt() * torch.tensor(self.times)
        return (width[:, None, None] * z).expand(-1, len(batch.past), -1)


def parts(kind, steps=4000):
    """A random walk, and forecasts of its first half and of its second."""
    draw = np.random.default_rng(3)
    values = draw.normal(size=steps).cumsum()
    if kind == "floored":
        values = np.abs(values)
    nothing = np.zeros((steps, 0))
    track = Track("", np.arange(steps), values, nothing, nothing)
    half = steps // 2
    known = ForecastKnown(H, 8, 1, "1", ("",), (), (), (), nonnegative=(kind == "floored",))
    made = [
        ForecastPart("", (track,), "1", np.zeros(len(o), int), o, H, 8, 1, (half,), ((), ()))
        for o in (np.arange(10, half, 3), np.arange(half, steps - H, 3))
    ]
    return known, made


@pytest.mark.parametrize(
    ("times", "before"), [((0.78,) * H, 0.80), ((1.57,) * H, 0.99), ((0.5, 0.78, 1.2, 1.57), 0.85)]
)
def test_coverage_is_what_was_promised_after_calibration(times, before):
    known, (validation, test) = parts("walk")
    model = Confident(hidden_size=2).eval()
    model.times = times
    known = calibrated(model, known, validation)
    windows = SeriesWindows(test, known)
    judge = ForecastJudge(model, windows, known, AnswerSettings(), final=True)
    with torch.no_grad():
        judge.see(windows.batch(np.arange(len(test))))
    figures = judge.figures()
    assert figures["coverage_90_before"] == pytest.approx(before, abs=0.02)
    assert 0.88 <= figures["coverage_90"] <= 0.92
    assert 0.77 <= figures["coverage_80"] <= 0.83
    details = judge.details()["conformal"]
    ahead = details["coverage_90_by_steps_ahead"]
    assert all(0.86 <= share <= 0.94 for share in ahead["after"])
    right = stats.norm.ppf(0.95)
    assert details["factors_of_90"] == pytest.approx([1 / t for t in times], rel=0.12), right
    json.dumps(judge.details())
    # The same factor at all steps holds over all steps, not at each.
    alike = ForecastJudge(model, windows, known, AnswerSettings(conformal="all"), final=True)
    without = ForecastJudge(model, windows, known, AnswerSettings(conformal="none"), final=True)
    with torch.no_grad():
        for each in (alike, without):
            each.see(windows.batch(np.arange(len(test))))
    assert 0.87 <= alike.figures()["coverage_90"] <= 0.93
    assert without.figures()["coverage_90"] == figures["coverage_90_before"]
    assert "coverage_90_before" not in without.figures()


def test_a_wider_interval_never_goes_below_zero_where_no_value_does():
    known, (validation, test) = parts("floored")
    model = Confident(hidden_size=2).eval()
    model.times = (0.3,) * H
    known = calibrated(model, known, validation)
    windows = SeriesWindows(test, known)
    assert windows.floored.all()
    judge = ForecastJudge(model, windows, known, AnswerSettings(), final=True)
    with torch.no_grad():
        judge.see(windows.batch(np.arange(len(test))))
    assert judge.median.min() >= 0
    assert min(found.min() for found in judge._fans.values() if found is not None) >= 0


@pytest.mark.parametrize("how", ["steps", "all"])
def test_quantiles_never_cross_whatever_the_factors(how):
    draw = np.random.default_rng(0)
    found = Calibration(
        tuple(map(tuple, draw.uniform(0.1, 4, (len(LEVELS), H)).tolist())), tuple(draw.uniform(0.1, 4, len(LEVELS))), 9
    )
    paths = np.concatenate([draw.normal(size=(5, H, 101)), np.round(draw.normal(size=(2, H, 101)))])
    moved = found.applied(paths, how)
    levels = np.linspace(0.01, 0.99, 50)
    assert (np.diff(sample_quantile(moved, levels), axis=0) >= -1e-12).all()
    np.testing.assert_allclose(np.median(moved, -1), np.median(paths, -1))
    # What was larger still is: calibration moves each draw, and draws of a path belong together.
    order = np.argsort(paths, -1, kind="stable")
    assert (np.diff(np.take_along_axis(moved, order, -1), axis=-1) >= -1e-12).all()
    assert found.applied(paths, "none") is paths
    assert Calibration.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert found.factors("steps", 0, H + 3).shape == (len(LEVELS), H + 3)


def test_scores_are_distances_from_the_median_in_those_of_the_bounds():
    paths = np.random.default_rng(1).normal(size=(3, 401))
    truth = np.array([0.7, -2.0, np.nan])
    found = scores_of(paths, truth)
    low, high = sample_quantile(paths, edges(90))
    middle = np.median(paths, -1)
    at = LEVELS.index(90)
    assert found[at, 0] == pytest.approx((0.7 - middle[0]) / (high[0] - middle[0]))
    assert found[at, 1] == pytest.approx((2.0 + middle[1]) / (middle[1] - low[1]))
    assert np.isnan(found[:, 2]).all()
    flat = scores_of(np.full((2, 9), 5.0), np.array([5.0, 6.0]))
    assert (flat[:, 0] == 0).all()
    assert np.isinf(flat[:, 1]).all()


def test_few_scores_widen_and_none_change_nothing():
    assert Calibration.of(np.full((len(LEVELS), 3, H), np.nan)) is None
    few = Calibration.of(np.full((len(LEVELS), 1, 1), 0.2))
    assert few is not None
    assert set(few.all) == {1.0}  # one forecast that lay well within says little


def known_of_few(times, seed):
    """What is known after validation of 30 steps of a random walk, seven forecasts that do not overlap."""
    known, (_, test) = parts("walk")
    track = dataclasses.replace(test.tracks[0], values=np.random.default_rng(seed).normal(size=48).cumsum())
    track = dataclasses.replace(track, times=np.arange(48), known=np.zeros((48, 0)), observed=np.zeros((48, 0)))
    origins = np.arange(16, 45)
    few = dataclasses.replace(test, tracks=(track,), series=np.zeros(29, int), origin=origins, fitted=(16,))
    assert len(few.apart()) == 8
    model = Confident(hidden_size=2).eval()
    model.times = times
    return model, calibrated(model, known, few), test


def test_few_forecasts_move_intervals_only_where_these_are_surely_wrong():
    for seed in range(20):
        kept = known_of_few((1.0,) * H, seed)[1].calibration
        assert kept is not None
        assert {*kept.all, *(each for factors in kept.steps for each in factors)} == {1.0}
    model, known, test = known_of_few((0.12,) * H, 0)
    assert known.calibration is not None
    # Eight forecasts cannot tell of 90 % and more: the interval of 80 % is the widest that they move by itself.
    widest = known.calibration.all[LEVELS.index(80)]
    assert known.calibration.all[LEVELS.index(90)] == known.calibration.all[LEVELS.index(98)] == widest > 3
    windows = SeriesWindows(test, known)
    judge = ForecastJudge(model, windows, known, AnswerSettings(), final=True)
    with torch.no_grad():
        judge.see(windows.batch(np.arange(len(test))))
    figures = judge.figures()
    assert figures["coverage_90_before"] < 0.2
    assert figures["coverage_90"] > 0.7


@pytest.mark.parametrize("law", [stats.expon(), stats.chi2(1), stats.poisson(2)])
def test_an_alarm_is_false_as_often_as_is_asked(law):
    draw = np.random.default_rng(0)
    alarm = Alarm.of(np.concatenate([law.rvs(4000, random_state=draw), [np.nan]]))
    assert alarm is not None
    fresh = alarm.probability(law.rvs(100_000, random_state=draw).astype(float))
    for rate in (0.05, 0.01, 0.001):
        share = (fresh <= rate).mean()
        assert share <= 1.5 * rate
        if law.dist.name != "poisson":
            assert share == pytest.approx(rate, rel=0.5)
    assert 0 < alarm.probability(1e3) < 1e-6
    assert np.isnan(alarm.probability(np.nan))
    assert Alarm.from_dict(json.loads(json.dumps(alarm.to_dict()))) == alarm
    assert Alarm.of(np.array([np.nan])) is None
    assert (np.diff(alarm.probability(np.linspace(0, 20, 400))) <= 1e-12).all()
    assert dataclasses.replace(alarm, scale=9.0).probability(1e3) > alarm.probability(1e3)
