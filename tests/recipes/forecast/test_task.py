import dataclasses
import json

import numpy as np
import polars
import pytest

from ostinato.errors import ConfigError, DataError
from ostinato.recipes import load, train
from ostinato.recipes.forecast.settings import (
    AnswerSettings,
    ForecasterSettings,
    ForecastReadingSettings,
    ForecastSettings,
    UpdateSettings,
)
from ostinato.recipes.forecast.task import Forecast

from ..waves import READING, START, rows, small, write

CSV = "id,time,sold,price,weather\n"


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A run on two series with gaps, a price that is known ahead, and the weather."""
    folder = tmp_path_factory.mktemp("forecast")
    data = write(folder / "sales.csv", rows(gaps=0.1))
    result = train(small(folder / "run", data))
    return data, result


def test_the_wave_is_forecast_better_than_by_anybody(learnt):
    _, result = learnt
    figures = result.scores["test"].figures
    for name in ("last_value", "seasonal_naive", "drift"):
        assert figures["mae"] < figures[f"mae_of_{name}"]
        assert figures["crps"] < figures[f"crps_of_{name}"]
    assert set(result.scores["test"].details["by_series"]) == {"a", "b"}
    report = json.loads((result.run.path / "report.json").read_text())
    assert report["scores"]["test"]["details"]["season"] == 8
    names = {path.name for path in result.pictures}
    assert names == {f"{name}_{part}.png" for name in ("forecasts", "calibration") for part in ("validation", "test")}
    assert all(path.exists() for path in result.pictures)


def test_a_saved_run_evaluates_to_the_same(learnt):
    _, result = learnt
    scores, _ = load(result.run.path).evaluate()
    assert scores.figures == pytest.approx(dict(result.scores["test"].figures))


def ahead(steps, first=160, price=1):
    return [("a", str(START + np.timedelta64(first + t, "h")), "", price, "") for t in range(steps)]


def test_answers_have_times_intervals_and_the_number_of_steps_asked_for(learnt, tmp_path):
    _, result = learnt
    path = write(tmp_path / "new.csv", rows(ids=("a",)) + ahead(12))
    trained = load(result.run.path)
    (answer,) = trained.predict(data=path)
    assert answer["series"] == "a"
    assert answer["last"]["time"] == str(START + np.timedelta64(159, "h"))
    assert answer["times"] == [str(START + np.timedelta64(160 + t, "h")) for t in range(4)]
    (longer,) = trained.answer_with({"horizon": 12, "samples": 50, "seed": 3}).predict(data=path)
    assert len(longer["times"]) == len(longer["mean"]) == len(longer["median"]) == 12
    for percent, wider in ((50, 80), (80, 90), (90, 95)):
        narrow, wide = (longer["intervals"][str(each)] for each in (percent, wider))
        assert all(a >= b for a, b in zip(narrow["low"], wide["low"], strict=True))
        assert all(a <= b for a, b in zip(narrow["high"], wide["high"], strict=True))
    assert trained.predict(data=path) == [longer]
    assert trained.answer_with({"horizon": 12, "samples": 50, "seed": 4}).predict(data=path) != [longer]
    json.dumps(longer)


def test_what_is_known_ahead_counts(learnt, tmp_path):
    _, result = learnt
    trained = load(result.run.path)
    means = []
    for price in (0, 1):
        path = write(tmp_path / "new.csv", rows(ids=("a",)) + ahead(4, price=price))
        means.append(np.mean(trained.predict(data=path)[0]["mean"]))
    assert means[1] > means[0] + 0.5


def test_what_is_not_known_ahead_is_asked_for(learnt, tmp_path):
    _, result = learnt
    path = write(tmp_path / "new.csv", rows(ids=("a",)) + ahead(2))
    with pytest.raises(
        DataError, match=r"new[.]csv: expected price for all 4 steps after the last value of series 'a'; add"
    ):
        load(result.run.path).predict(data=path)


def test_short_constant_new_and_unended_series_are_forecast(learnt, tmp_path):
    _, result = learnt
    lines = [("new", str(START), "5", 1, "")]  # one value only
    lines += [("still", str(START + np.timedelta64(t, "h")), "7", 1, "0") for t in range(40)]
    lines += [("gap", str(START + np.timedelta64(t, "h")), "" if t in (0, 3) else t, 1, "") for t in range(9)]
    lines += [
        (name, str(START + np.timedelta64(t, "h")), "", 1, "")
        for name, t0 in (("new", 1), ("still", 40), ("gap", 9))
        for t in range(t0, t0 + 4)
    ]
    new, still, gap = load(result.run.path).predict(data=write(tmp_path / "new.csv", lines))
    width = load(result.run.path).known.width("new")
    assert new["median"] == pytest.approx([5.0] * 4, abs=2 * width)
    assert new["intervals"]["95"]["high"][0] - new["intervals"]["95"]["low"][0] > 0.1 * width > 0
    assert still["mean"] == pytest.approx([7.0] * 4)
    assert still["intervals"]["95"]["low"] == pytest.approx([7.0] * 4)
    assert np.isfinite(gap["mean"]).all()
    assert gap["intervals"]["95"]["high"][3] > gap["intervals"]["95"]["low"][3]


def test_evaluation_on_other_data_tells_of_new_series(learnt, tmp_path):
    _, result = learnt
    path = write(tmp_path / "new.csv", rows(60, ids=("a", "z")))
    scores, _ = load(result.run.path).evaluate(path)
    assert scores.examples == 2 * (60 - 24 - 4 + 1)
    assert scores.figures["crps"] < scores.figures["crps_of_last_value"]
    assert scores.warnings[0].startswith("training never had the series z")
    with pytest.raises(DataError, match="expected a series with a value and 4 steps after it to evaluate on"):
        load(result.run.path).evaluate(write(tmp_path / "new.csv", rows(4)))


@pytest.mark.parametrize("head", ["gaussian", "quantiles"])
def test_other_heads_learn_too_and_parquet_is_read(tmp_path, head):
    polars.DataFrame({"time": range(200), "x": 5 + np.sin(np.arange(200) * np.pi / 4)}).write_parquet(
        tmp_path / "x.parquet"
    )
    settings = ForecastSettings(
        data=str(tmp_path / "x.parquet"),
        run=str(tmp_path / "run"),
        device="cpu",
        quiet=True,
        reading=ForecastReadingSettings(horizon=4, context=16),
        model=ForecasterSettings(hidden_size=8, head=head, dropout=0.0),
        training=UpdateSettings(batch_size=16, learning_rate=0.02, max_steps=60, evaluate_every=30),
    )
    result = train(settings)
    assert result.scores["test"].details["season"] == 8
    assert result.scores["test"].figures["skill"] > 0.5
    answer = load(result.run.path).predict(data=settings.data)[0]
    assert answer["times"] == [200, 201, 202, 203]
    assert answer["series"] == ""


def test_the_built_in_series_is_cut_behind_each_other_and_its_season_is_a_year():
    task, settings = Forecast(), ForecastSettings()
    splits = task.read(settings)
    ends = [
        (part.origin.min(), part.origin.max() + part.horizon) for part in (splits.train, splits.validation, splits.test)
    ]
    length = len(splits.train.tracks[0])
    assert splits.train.season == splits.train.horizon == 52
    assert ends[0][1] <= ends[1][0] < ends[1][1] <= ends[2][0] < ends[2][1] <= length
    assert ends[2][0] == round(0.8 * length)
    known = task.learn(settings, splits.train)
    assert known.cycles == ("year",)
    assert task.build(settings, known).lags == (51, 52, 53)


def test_a_fingerprint_is_of_values_and_origins(tmp_path):
    task, prints = Forecast(), []
    for changes in ({}, {}, {"horizon": 5}, {"seed": 1}):
        data = write(tmp_path / "a.csv", rows(seed=changes.get("seed", 0)))
        settings = small(tmp_path / "run", data)
        settings = dataclasses.replace(
            settings, reading=dataclasses.replace(READING, horizon=changes.get("horizon", 4))
        )
        train_part = task.read(settings).train
        prints.append(task.fingerprint(task.examples(settings, task.learn(settings, train_part), train_part)))
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            CSV + "a,2024-01-01,1,0,\n",
            "expected a series with at least 14 steps to forecast 4 of, but the longest has 1",
        ),
        ("id,time,bought\na,2024-01-01,1\n", "has no column 'sold'; its columns are id, time, bought"),
        (CSV + "a,2024-01-01,,0,\n", "series 'a' has no value|column 'sold' has no value"),
        (CSV + "a,2024-01-01,1,0,\na,2024-01-01,2,0,\n", "is there twice"),
        (CSV + "a,soon,1,0,\n", "expected a time such as"),
        (CSV + "a,2024-01-01,many,0,\n", "expected a number in column 'sold', got 'many'"),
        (CSV + "".join(f"a,{1700 + year}-01-01,5,0,1\n" for year in range(60)), "expected values that change"),
    ],
)
def test_data_that_cannot_be_learnt_from_are_told_in_a_line(tmp_path, content, message):
    path = tmp_path / "wrong.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as error:
        train(small(tmp_path / "run", str(path)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("group", "values", "message"),
    [
        (ForecastReadingSettings, {"horizon": 0}, "reading.horizon: expected at least 1, or null, got 0"),
        (ForecastReadingSettings, {"context": 1}, "reading.context: expected at least 2, or null, got 1"),
        (ForecastReadingSettings, {"test_share": 1.0}, "together below 1, got 0.1 and 1.0"),
        (AnswerSettings, {"samples": 1}, "options.samples: expected a whole number from 2 to 10000, got 1"),
        (AnswerSettings, {"horizon": "day"}, "options.horizon: expected a whole number from 1 to 10000, got 'day'"),
        (AnswerSettings, {"seed": -1}, "options.seed: expected a whole number from 0 to .*, got -1"),
    ],
)
def test_settings_that_cannot_be_are_refused(group, values, message):
    with pytest.raises(ConfigError, match=message):
        group(**values)


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path):
    data = write(tmp_path / "a.csv", rows(80))
    training = UpdateSettings(batch_size=16, learning_rate=0.02, max_steps=20, evaluate_every=10)
    whole = train(small(tmp_path / "whole", data, training=training))
    stopped = small(tmp_path / "stopped", data, training=training)
    train(stopped, on_evaluation=lambda step, loss: step == 10)
    gone_on = train(dataclasses.replace(stopped, resume=True))
    assert gone_on.scores["test"].figures == dict(whole.scores["test"].figures)


def test_steps_of_another_length_are_refused(tmp_path, learnt):
    _, result = learnt
    path = write(tmp_path / "days.csv", [("a", f"2024-03-{day:02}", day, 1, "") for day in range(1, 30)])
    for answer in (load(result.run.path).predict, load(result.run.path).evaluate):
        with pytest.raises(
            DataError, match=r"days[.]csv: expected steps of 1 hour, as in training, got 1 day; give a row"
        ):
            answer(data=path)


def test_one_row_alone_goes_on_in_the_step_of_training(tmp_path):
    task, settings = Forecast(), ForecastSettings()
    known = task.learn(settings, task.read(settings).train)
    (tmp_path / "one.csv").write_text("date,co2\n2002-01-05,370\n")
    part = task.read_part(settings, known, str(tmp_path / "one.csv"), labelled=False)
    assert part.step == "7 days"
    assert part.origin.tolist() == [1]
    with pytest.raises(DataError, match="expected a table in a file"):
        task.read_part(settings, known, "-", labelled=False)


def test_a_season_that_no_calendar_has_is_found_too(tmp_path):
    """Days of which each tenth is another."""
    days = np.datetime64("2024-01-01") + np.arange(200)
    path = tmp_path / "shifts.csv"
    path.write_text("time,y\n" + "".join(f"{day},{at % 10 == 9:d}\n" for at, day in enumerate(days)))
    part = Forecast().read(ForecastSettings(data=str(path))).train
    assert (part.season, part.horizon) == (10, 10)


def test_a_run_of_an_earlier_version_forecasts_from_its_last_value(learnt):
    """Its knowledge has no baseline, and its inputs had no limit."""
    _, result = learnt
    trained = load(result.run.path)
    content = trained.task.to_dict(trained.known)
    assert content.pop("baseline")
    assert len(content.pop("start")) == 3
    model = trained.task.build(trained.settings, trained.task.from_dict(content))
    assert (model.baseline.name, model.limit) == ("last_value", None)
    assert model.output.weight.abs().max() > 0
