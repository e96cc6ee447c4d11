"""Counts from end to end: a head chosen on validation, static columns and words, intervals, tables, alarms."""

import csv
import dataclasses
import json

import numpy as np
import polars
import pytest
import torch

from ostinato.cli.main import main
from ostinato.errors import ConfigError
from ostinato.recipes import load, train
from ostinato.recipes.forecast.settings import (
    AnswerSettings,
    ForecasterSettings,
    ForecastReadingSettings,
    ForecastSettings,
    UpdateSettings,
)
from ostinato.recipes.forecast.task import Forecast

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
START = np.datetime64("2023-01-02")


def rows(steps=240, shops=("007", "08", "9", "A"), seed=0, strange=()):
    """What four shops sell: markets four times what kiosks do, and twice as much at weekends."""
    draw, found = np.random.default_rng(seed), []
    for number, shop in enumerate(shops):
        for t in range(steps):
            mean = (3.0, 12.0)[number % 2] * (2.0 if t % 7 >= 5 else 1.0)
            sold = draw.negative_binomial(4, 4 / (4 + mean))
            sold = 400 if (shop, t) in strange else sold
            found.append([shop, ("kiosk", "market")[number % 2], 10 + number, str(START + t), sold, DAYS[t % 7]])
    return found


def write(path, found):
    path.write_text("shop,kind,size,day,sold,weekday\n" + "".join(",".join(map(str, row)) + "\n" for row in found))
    return str(path)


def settings(folder, data, **model):
    return ForecastSettings(
        data=data,
        run=str(folder),
        device="cpu",
        precision="32-true",
        quiet=True,
        reading=ForecastReadingSettings(id="shop", values=["sold"], known=["weekday"], horizon=7, context=28, season=7),
        model=ForecasterSettings(hidden_size=12, dropout=0.0, **model),
        training=UpdateSettings(batch_size=32, learning_rate=0.01, max_steps=60, evaluate_every=30),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("counts")
    data = write(folder / "sales.csv", rows())
    return data, train(settings(folder / "run", data, head="auto"))


def test_the_head_of_counts_is_chosen_and_said(run):
    data, result = run
    known = load(result.run.path).known
    assert {name for name, _ in known.trials} == {"student-t", "quantiles", "negative-binomial", "zero-inflated"}
    assert known.head == min(known.trials, key=lambda each: each[1])[0]
    assert known.head in ("negative-binomial", "zero-inflated")
    task = Forecast()
    (line,) = task.begin(settings("x", data, head="auto"), known, task.build(settings("x", data, head="auto"), known))
    assert line.startswith(f"head: {known.head} (")
    assert "; others: " in line
    for name, crps in known.trials:
        assert f"{name} ({crps:.4g})" in line


def test_its_figures_have_coverage_before_and_after(run):
    _, result = run
    figures = result.scores["test"].figures
    assert figures["crps"] < figures["crps_of_season_mean"]
    assert {f"coverage_{percent}_before" for percent in (50, 80, 90, 95)} <= set(figures)
    assert result.scores["validation"].figures["coverage_90"] == pytest.approx(0.9, abs=0.05)
    report = json.loads((result.run.path / "report.json").read_text())
    conformal = report["scores"]["test"]["details"]["conformal"]
    assert len(conformal["factors_of_90"]) == 7


def test_nothing_negative_is_forecast_and_static_columns_and_words_count(run, tmp_path):
    _, result = run
    trained = load(result.run.path)
    assert [name for name, *_ in trained.known.static] == ["kind=kiosk", "kind=market", "size"]
    assert trained.known.known_words == ((2, 9), (9, 11))  # behind the cycle of the week
    assert trained.model.words is not None
    some = [row for row in rows() if row[0] in ("9", "A")]
    ahead = [
        [shop, kind, size, str(START + 240 + t), "", DAYS[(240 + t) % 7]]
        for shop, kind, size in (("9", "kiosk", 12), ("A", "market", 13))
        for t in range(7)
    ]
    answers = trained.predict(data=write(tmp_path / "ahead.csv", some + ahead))
    assert [each["series"] for each in answers] == ["9", "A"]
    for each in answers:
        assert min(each["intervals"]["95"]["low"]) >= 0
    assert np.mean(answers[1]["mean"]) > 2 * np.mean(answers[0]["mean"])
    # A word that training never had, and none, are read as no word.
    strange = [["9", "boutique", "", str(START + t), t % 3, "Doomsday" if t % 2 else ""] for t in range(40)]
    strange += [["9", "boutique", "", str(START + 40 + t), "", ""] for t in range(7)]
    (answer,) = trained.predict(data=write(tmp_path / "strange.csv", strange))
    assert np.isfinite(answer["mean"]).all()
    assert sum("training never had" in note for note in trained.notes) == 2


def test_tables_have_ids_and_times_as_they_are_given(run, tmp_path):
    _, result = run
    ahead = [
        [shop, ("kiosk", "market")[n % 2], 10 + n, str(START + 240 + t), "", DAYS[(240 + t) % 7]]
        for n, shop in enumerate(("007", "08", "9", "A"))
        for t in range(7)
    ]
    path = write(tmp_path / "ahead.csv", rows() + ahead)
    options = "{quantiles: [0.3], samples: 50}"
    for suffix in ("csv", "parquet"):
        out = tmp_path / f"x.{suffix}"
        assert main(["predict", str(result.run.path), path, "--output", str(out), "--options", options]) == 0
    with open(tmp_path / "x.csv", newline="") as file:
        found = list(csv.DictReader(file))
    names = ["shop", "day", "mean", "median"]
    names += [f"q{level}" for level in ("0.025", "0.05", "0.1", "0.25", "0.3", "0.75", "0.9", "0.95", "0.975")]
    assert list(found[0]) == names
    assert [(row["shop"], row["day"]) for row in found] == [(row[0], row[3]) for row in ahead]
    for row in found:
        levels = [float(row[name]) for name in names[4:]]
        assert levels == sorted(levels)
        assert levels[0] >= 0
    table = polars.read_parquet(tmp_path / "x.parquet")
    assert table.columns == names
    assert table["shop"].to_list() == [row[0] for row in ahead]
    assert table["q0.9"].to_list() == pytest.approx([float(row["q0.9"]) for row in found])


def test_alarms_are_rare_on_ordinary_data_and_find_what_was_planted(run, tmp_path):
    _, result = run
    trained = load(result.run.path).answer_with({"anomalies": 0.02})
    places = [("007", 150), ("08", 200), ("9", 77), ("A", 100)]
    ordinary, planted = (
        trained.predict(data=write(tmp_path / "new.csv", rows(seed=5, steps=400, strange=strange)))
        for strange in ((), places)
    )
    flags = [flag for each in ordinary for flag in each["anomaly"] if flag is not None]
    assert len(flags) == 4 * (400 - 28)
    assert 0.005 <= np.mean(flags) <= 0.04
    for each in planted:
        (at,) = (t for shop, t in places if shop == each["series"])
        assert each["anomaly"][at]
        assert each["probability"][at] < 1e-3
        assert each["values"][at] == each.observed[at] == 400
        assert each["times"][at] == str(START + at)
        assert each["expected"][at] < 60
    out = tmp_path / "alarms.csv"
    arguments = ["predict", str(result.run.path), str(tmp_path / "new.csv"), "--output", str(out)]
    assert main([*arguments, "--options", "{anomalies: 0.02}"]) == 0
    assert out.read_text().splitlines()[0] == "shop,day,value,expected,surprise,probability,anomaly"


def test_a_stream_is_as_surprised_as_a_scan(run):
    """Where both have the same unit, that of the past that was read."""
    _, result = run
    trained = load(result.run.path)
    known, model = trained.known, trained.model
    values = torch.tensor([float(row[4]) for row in rows()[:35]])
    inputs = torch.from_numpy(
        known.inputs(
            START + np.arange(35),
            np.eye(7)[[sorted(DAYS).index(DAYS[t % 7]) for t in range(35)]],
            np.array([1.0, 0, 10]),
        )
    )
    stream = model.stream()
    number = known.number("007")
    stream.begin(values[:28], known=inputs[:28], series=number, nonnegative=True)
    found = []
    for t in range(28, 35):
        said = stream(values[t], known=inputs[t])
        found.append(float(stream.surprise))
        assert said[0] > 0  # the mean of a count
    from ostinato.models.forecasting.windows import SeriesBatch

    batch = SeriesBatch(
        values[:, None],
        None,
        None,
        torch.arange(1),
        past=torch.tensor([28]),
        known=inputs[:, None],
        series=torch.tensor([number]),
        level=torch.zeros(1),
        floored=torch.tensor([True]),
    )
    with torch.no_grad():
        one = model.one_step(batch)
        wanted = model.head.surprise(one.raw, one.change, one.frame)[:, 0]
    assert found == pytest.approx(wanted.tolist(), abs=1e-3)
    paths = stream.forecast(3, future=inputs[:3], samples=50)
    assert paths.min() >= 0
    assert (paths == paths.round()).all()


def test_a_run_without_calibration_says_so_and_bad_options_are_refused(run):
    data, result = run
    trained = load(result.run.path).answer_with({"anomalies": 0.1})
    trained.known = dataclasses.replace(trained.known, alarm=None)
    with pytest.raises(ConfigError, match="expected a run that has learnt on validation which values are ordinary"):
        trained.predict(data=data)
    for options in ({"anomalies": 0.0}, {"quantiles": [1.0]}):
        with pytest.raises(ConfigError, match="above 0 and below 1"):
            AnswerSettings(**options)
    with pytest.raises(ConfigError, match="ONNX expected a forecaster with the head student-t, gaussian or quantiles"):
        trained.task.exported(load(result.run.path))


def test_the_table_is_read_up_to_a_time(run, tmp_path):
    data, _ = run
    asked = settings(tmp_path / "x", data)
    asked = dataclasses.replace(asked, reading=dataclasses.replace(asked.reading, until="2023-06-30"))
    splits = Forecast().read(asked)
    assert splits.train.tracks[0].times[-1] == np.datetime64("2023-06-30")
    assert len(splits.train.tracks[0]) == 180
