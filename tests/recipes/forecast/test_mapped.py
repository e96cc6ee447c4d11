"""Forecasters of tables that are mapped: what they learn and say is what they do of the same table in memory."""

import dataclasses
import json

import numpy as np
import polars
import pytest
import torch

from ostinato.cli.main import main
from ostinato.data.batches.drawn import DrawnBatches
from ostinato.data.mapped import files
from ostinato.data.mapped.table import map_series
from ostinato.data.series.series import read_series
from ostinato.errors import DataError, RunError
from ostinato.recipes.engines.folder import PartFolder
from ostinato.recipes.forecast import splitting
from ostinato.recipes.forecast.backtest import backtest
from ostinato.recipes.forecast.data import MappedTracks, origins, tracks_of
from ostinato.recipes.forecast.known import ForecastKnown
from ostinato.recipes.forecast.learning import Moments
from ostinato.recipes.forecast.many import DrawnWindows, Numbered, every_origin, spread
from ostinato.recipes.forecast.settings import (
    ForecasterSettings,
    ForecasterTraining,
    ForecastReadingSettings,
    ForecastSettings,
)
from ostinato.recipes.forecast.task import Forecast
from ostinato.recipes.forecast.windows import SeriesWindows
from ostinato.recipes.task_training import train
from ostinato.recipes.trained import load
from tests.data.mapped.test_table import HOW, shops
from tests.recipes.engines.test_in_parts import in_parts

AHEAD = 7
READING = ForecastReadingSettings(
    id="shop", values=["sold", "returned"], known=["sky"], observed=["temperature"], horizon=AHEAD, context=21, season=7
)


def settings_of(data, run, **model):
    return ForecastSettings(
        data=str(data),
        run=str(run),
        quiet=True,
        reading=READING,
        model=ForecasterSettings(hidden_size=6, **model),
        training=ForecasterTraining(batch_size=16, max_steps=8, evaluate_every=8, evaluate_first=False),
    )


@pytest.fixture
def mapped(monkeypatch):
    """From here on every table is mapped."""

    def switch(on: bool) -> None:
        monkeypatch.setattr(files, "MOST_BYTES", -1 if on else 2**40)

    return switch


@pytest.fixture
def table(tmp_path):
    """Shops, and what is known of the days to come."""
    frame = shops(60)
    last = frame.group_by("shop").agg(polars.col("day").max(), polars.col("kind", "size").first())
    ahead = [
        dict.fromkeys(frame.columns, "") | {"shop": shop, "day": str(np.datetime64(day) + n + 1), "sky": "sun"}
        for shop, day, *_ in last.sort("shop").rows()
        for n in range(AHEAD)
    ]
    frame.write_csv(tmp_path / "a.csv")
    polars.concat([frame, polars.DataFrame(ahead)]).write_csv(tmp_path / "b.csv")
    return tmp_path


def test_a_run_is_that_of_the_table_in_memory(table, mapped):
    results, said, alarms = [], [], []
    for on in (False, True):
        mapped(on)
        result = train(Forecast(), settings_of(table / "a.csv", table / f"run-{on}", head="auto"))
        results.append(result)
        assert (result.run.path / "tables").exists() == on
        trained = load(Forecast(), result.run.path)
        said.append(list(trained.stream(data=str(table / "b.csv"))))
        alarms.append(list(trained.answer_with({"anomalies": 0.01}).stream(data=str(table / "a.csv"))))
    first, second = results
    for part, scores in first.scores.items():
        assert second.scores[part].figures == pytest.approx(scores.figures, rel=1e-5, nan_ok=True)
        assert second.scores[part].loss == pytest.approx(scores.loss, rel=1e-5)
    assert len(said[0]) == 14
    for mine, its in zip(*said, strict=True):
        assert (mine["series"], mine["times"]) == (its["series"], its["times"])
        np.testing.assert_allclose(mine["mean"], its["mean"], rtol=1e-4)
    for mine, its in zip(*alarms, strict=True):
        assert (mine["times"], mine["values"]) == (its["times"], its["values"])
    trained = load(Forecast(), second.run.path)
    rows = backtest(trained, origins=2)
    mapped(False)
    expected = backtest(load(Forecast(), first.run.path), origins=2)
    assert [row["origin"] for row in rows] == [row["origin"] for row in expected]
    crps = [
        np.array([row["crps"] for row in each], dtype=np.float64) for each in (rows, expected)
    ]  # NaN where nothing came
    np.testing.assert_allclose(*crps, rtol=1e-4)


def test_windows_that_are_drawn_are_those_of_the_list(table, mapped, monkeypatch):
    mapped(True)
    settings, task = settings_of(table / "a.csv", table / "run"), Forecast()
    listed = task.read(settings).train
    monkeypatch.setattr(splitting, "MOST_LISTED", 10)
    drawn = task.read(settings).train
    assert isinstance(drawn.origin, Numbered)
    known = task.learn(settings, listed)
    windows, all_of_them = SeriesWindows(listed, known), DrawnWindows(drawn, known)
    places = list(zip(drawn.series[np.arange(len(drawn))], drawn.origin[np.arange(len(drawn))], strict=True))
    at = [places.index(place) for place in zip(listed.series, listed.origin, strict=True)]
    # Those that the list leaves out have nothing to compare with.
    others = np.setdiff1d(np.arange(len(drawn)), at)
    assert (all_of_them.counts_of(others) == 0).all() if len(others) else True
    rows = np.array([3, 50, 7])
    mine, its = all_of_them.batch(np.array(at)[rows]), windows.batch(rows)
    for name in ("input", "known", "observed", "past", "series", "least_scale", "level", "floored"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(its, name))
    assert mine.rows.tolist() == [at[row] for row in rows]
    batches = task.batches(settings, task.examples(settings, known, drawn), rank=0, world=1)
    assert isinstance(batches, DrawnBatches)


def test_a_run_of_drawn_windows_goes_on_with_the_same_table_only(table, mapped, monkeypatch):
    mapped(True)
    monkeypatch.setattr(splitting, "MOST_LISTED", 10)
    settings = settings_of(table / "a.csv", table / "run")
    assert train(Forecast(), settings).scores["test"].figures["crps"] > 0
    longer = dataclasses.replace(settings.training, max_steps=12)
    more = dataclasses.replace(settings, resume=True, training=longer)
    assert train(Forecast(), more).outcome.counters.step == 12
    shops(60, seed=5).write_csv(table / "a.csv")
    with pytest.raises(RunError, match="data set"):
        train(Forecast(), dataclasses.replace(more, training=dataclasses.replace(longer, max_steps=14)))


def test_origins_are_those_that_are_listed():
    rng = np.random.default_rng(0)
    spans = [(1, 40), (5, 9), (1, 3), (10, 100)]
    lengths = [60, 20, 3, 100]
    from ostinato.recipes.forecast.data import Track

    tracks = [Track("", np.arange(n), rng.normal(size=n), np.zeros((n, 0)), np.zeros((n, 0))) for n in lengths]
    series, steps = origins(tracks, spans, 12, 4, 1)
    mine, its = every_origin(spans, 12, 4)
    assert len(mine) == len(its) == len(series)
    np.testing.assert_array_equal(mine[np.arange(len(mine))], series)
    np.testing.assert_array_equal(its[np.arange(len(its))], steps)
    assert (mine[0], its[0]) == (series[0], steps[0])


def test_of_very_many_series_some_are_judged_from_a_few_times():
    from ostinato.recipes.forecast.data import Track

    n = 50
    tracks = [
        Track(str(at), np.arange(n), np.arange(n) * 1.0, np.zeros((n, 0)), np.zeros((n, 0))) for at in range(1000)
    ]
    series, steps = spread(100, tracks, [(30, 50)] * 1000, 12, 4)
    assert len(series) == len(set(series)) == 100
    assert series.min() == 0
    assert series.max() == 999
    assert len(set(steps)) == 8
    assert steps.min() == 30
    assert steps.max() == 46
    assert min(np.unique(steps, return_counts=True)[1]) >= 12


def test_tracks_are_made_when_they_are_looked_at(tmp_path, monkeypatch):
    from ostinato.recipes.forecast import data

    shops().write_csv(tmp_path / "a.csv")
    tracks = tracks_of(map_series(tmp_path / "a.csv", tmp_path / "kept", **HOW))
    expected = tracks_of(read_series(tmp_path / "a.csv", **HOW))
    assert isinstance(tracks, MappedTracks)
    monkeypatch.setattr(data, "_HELD_STEPS", 100)
    for _ in range(2):
        for mine, its in zip(tracks, expected, strict=True):
            assert (mine.id, mine.group, mine.column, mine.grid) == (its.id, its.group, its.column, its.grid)
            for name in ("values", "times", "known", "observed", "static", "seen", "filled", "moved", "lowest"):
                np.testing.assert_array_equal(getattr(mine, name), getattr(its, name))
    assert len(tracks._held) < 4


def test_what_is_known_is_learnt_one_series_after_the_other(table, mapped):
    settings, task = settings_of(table / "a.csv", table / "run"), Forecast()
    known: list[ForecastKnown] = []
    for on in (False, True):
        mapped(on)
        known.append(task.learn(settings, task.read(settings).train))
    mine, its = known[1].to_dict(), known[0].to_dict()
    for name in ("observed", "known", "static"):
        for (a, *first), (b, *second) in zip(mine.pop(name), its.pop(name), strict=True):
            assert a == b
            assert first == pytest.approx(second, rel=1e-12)
    assert mine == its


def test_moments_of_pieces_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    whole = rng.normal(1e6, [1.0, 5.0, 0.0], size=(1000, 3))
    whole[rng.random((1000, 3)) < 0.1] = np.nan
    found = Moments(4)
    for piece in np.split(whole, [3, 400, 401]):
        found.add(np.column_stack([piece, np.full(len(piece), np.nan)]))
    scales = found.scales()
    np.testing.assert_allclose(
        np.array(scales)[:2], np.stack([np.nanmean(whole, 0), np.nanstd(whole, 0)], 1)[:2], rtol=1e-9
    )
    assert scales[2] == (pytest.approx(1e6), 1.0)
    assert scales[3] == (0.0, 1.0)


def test_a_series_is_forecast_to_the_last_digit_alike_whatever_is_beside_it(table, mapped):
    mapped(False)
    result = train(Forecast(), settings_of(table / "a.csv", table / "run", head="zero-inflated"))
    trained = load(Forecast(), result.run.path).answer_with({"samples": 50})
    whole = {each["series"]: dict(each) for each in trained.stream(data=str(table / "b.csv"))}
    frame = polars.read_csv(table / "b.csv", infer_schema=False)
    names = sorted(set(frame["shop"].to_list()))
    mapped(True)
    for some in (names[:1], names[2:5], names[::-2]):
        part = table / f"{len(some)}.csv"
        frame.filter(polars.col("shop").is_in(some)).write_csv(part)
        said = list(trained.stream(data=str(part)))
        assert len(said) == 2 * len(some)
        assert all(dict(each) == whole[each["series"]] for each in said)


def test_series_are_forecast_to_the_last_digit_alike_in_batches_of_any_size(table, mapped, monkeypatch):
    mapped(True)
    result = train(Forecast(), settings_of(table / "a.csv", table / "run", head="negative-binomial", cell="gru"))
    trained = load(Forecast(), result.run.path).answer_with({"samples": 100})
    whole = [dict(each) for each in trained.stream(data=str(table / "b.csv"))]
    shares = [slice(0, 3), slice(3, 12), slice(12, None)]
    said = [dict(each) for rows in shares for each in trained.stream(data=str(table / "b.csv"), rows=rows)]
    assert said == whole
    from ostinato.recipes.forecast import task

    monkeypatch.setattr(task, "_MOST_ALIKE", 1)
    assert [dict(each) for each in trained.stream(data=str(table / "b.csv"))] == whole
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert [dict(each) for each in trained.stream(data=str(table / "b.csv"))] == whole
    finally:
        torch.set_num_threads(threads)


def test_partitions_that_cannot_be_read_are_told_and_the_others_have_forecasts(table, tmp_path, capsys):
    run = train(Forecast(), settings_of(table / "a.csv", table / "run")).run.path
    frame, parts = polars.read_csv(table / "b.csv", infer_schema=False), tmp_path / "parts"
    parts.mkdir()
    for (shop,), rows in frame.group_by("shop"):
        rows.write_csv(parts / f"{shop}.csv")
    broken = parts / "3.csv"
    broken.write_text(broken.read_text().replace("sun", "sun,sun", 1))
    out = tmp_path / "out.jsonl"
    capsys.readouterr()
    assert main(["predict", str(run), str(parts), "--output", str(out)]) == 1
    assert "3.csv, line" in capsys.readouterr().err
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert {each["series"].partition("/")[0] for each in answers} == set(frame["shop"]) - {"3"}
    with pytest.raises(DataError, match=r"3\.csv, line .*--reading\.skip_broken"):
        train(Forecast(), settings_of(parts, tmp_path / "other"))
    settings = settings_of(parts, tmp_path / "third")
    reading = dataclasses.replace(settings.reading, skip_broken=True)
    splits = Forecast().read(dataclasses.replace(settings, reading=reading))
    assert any("3.csv" in note for note in Forecast().remarks(splits))


@pytest.mark.parametrize("on", [False, True])
def test_series_whose_known_columns_were_in_a_broken_file_are_told_and_the_others_have_forecasts(
    table, mapped, capsys, on
):
    mapped(False)
    run = train(Forecast(), settings_of(table / "a.csv", table / "run")).run.path
    mapped(on)
    frame, parts, out = polars.read_csv(table / "b.csv", infer_schema=False), table / "parts", table / "out.jsonl"
    parts.mkdir()
    late = (polars.col("shop") == "3") & (polars.col("day") > sorted(frame.filter(shop="3")["day"])[-12])
    frame.filter(~late).write_csv(parts / "early.csv")
    frame.filter(late).write_csv(parts / "late.csv")
    (parts / "late.csv").write_text((parts / "late.csv").read_text().replace("sun", "sun,sun", 1))
    capsys.readouterr()
    assert main(["predict", str(run), str(parts), "--output", str(out)]) == 1
    (told,) = [line for line in capsys.readouterr().err.splitlines() if "no forecast" in line]
    assert "parts: 2 of its 14 series have no forecast, as files are left out: '3/sold', '3/returned'; " in told
    assert "expected sky for all 7 steps after the last value of series '3/sold'" in told
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    frame.filter(polars.col("shop") != "3").write_csv(table / "others.csv")
    trained = load(Forecast(), run)
    assert answers == [json.loads(json.dumps(each)) for each in trained.stream(data=str(table / "others.csv"))]
    assert not trained.unread
    assert trained.predict(data=str(parts)) == answers
    assert any("no forecast" in note for note in trained.notes)
    assert [dict(each) for each in trained.stream(data=str(parts), rows=slice(5, 8))] == answers[5:8]

    found = in_parts(run, str(parts), table / "shares", rows=5)
    shares = PartFolder(table / "shares", ".jsonl").parts()
    assert [json.loads(line) for share in shares for line in share.read_text().splitlines()] == answers
    assert (found.parts, found.rows, len(found.unread)) == (3, 12, 1)
    assert any("no forecast" in note for note in found.notes)

    # What is scanned needs nothing ahead; a longer horizon needs more than any series has.
    scanned = trained.answer_with({"anomalies": 0.01}).predict(data=str(parts))
    assert len(scanned) == len(answers) + 2
    with pytest.raises(DataError, match=r"expected sky for all 8 steps .*; files are left out, the first: .*late\.csv"):
        trained.answer_with({"horizon": 8}).stream(data=str(parts))
    (parts / "late.csv").unlink()
    with pytest.raises(DataError, match=r"expected sky for all 7 steps .* '3/sold'; add their rows, [^;]*$"):
        trained.answer_with({}).predict(data=str(parts))


def test_tables_for_answers_do_not_pile_up(table, mapped):
    mapped(True)
    run = train(Forecast(), settings_of(table / "a.csv", table / "run")).run.path
    trained = load(Forecast(), run)
    (of_training,) = (run / "tables").iterdir()
    frame = polars.read_csv(table / "b.csv", infer_schema=False)
    for day in range(6):
        frame.write_csv(table / f"day-{day}.csv")
        trained.read_part(str(table / f"day-{day}.csv"), labelled=False)
    kept = list((run / "tables").iterdir())
    assert len(kept) == 1 + 3
    assert of_training in kept
