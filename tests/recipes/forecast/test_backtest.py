"""Backtests: the same figures as by hand, with and without training anew, and nothing lost where one is stopped."""

import dataclasses

import numpy as np
import polars
import pytest
import torch

from ostinato.cli.main import main
from ostinato.errors import ConfigError
from ostinato.recipes import load, train
from ostinato.recipes.forecast import backtest as module
from ostinato.recipes.forecast.backtest import backtest, summed_up

from ..waves import START, rows, small, write


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backtest")
    data = write(folder / "sales.csv", rows(100))
    settings = small(folder / "run", data)
    return train(
        dataclasses.replace(settings, training=dataclasses.replace(settings.training, max_steps=20, evaluate_every=10))
    )


def test_rows_are_the_errors_of_each_origin_and_step(run):
    trained = load(run.run.path).answer_with({"samples": 50})
    found = backtest(trained, origins=3)
    part = trained.task.read(trained.settings).test
    assert len(found) == 3 * 4
    origins = sorted({row["origin"] for row in found})
    assert np.datetime64(origins[0]) == part.moments().min()
    assert np.datetime64(origins[-1]) == part.moments().max()
    for row in found:
        at = np.flatnonzero(part.moments() == np.datetime64(row["origin"]))
        _, judge = trained.evaluate(dataclasses.replace(part, series=part.series[at], origin=part.origin[at]))
        step = row["step"] - 1
        apart = np.abs(judge.truth - judge.median)[:, step]
        assert row["mae"] == pytest.approx(np.nanmean(apart))
        assert row["crps"] == pytest.approx(np.nanmean(judge.crps[:, step]))
        assert row["series"] == 2
        assert np.datetime64(row["time"]) == np.datetime64(row["origin"]) + np.timedelta64(step, "h")
    by_step = summed_up(found, "step")
    assert [row["step"] for row in by_step] == [1, 2, 3, 4]
    assert by_step[0]["mae"] == pytest.approx(np.mean([row["mae"] for row in found if row["step"] == 1]))
    rmse = np.sqrt(np.mean([row["rmse"] ** 2 for row in found if row["step"] == 2]))
    assert by_step[1]["rmse"] == pytest.approx(rmse)


def test_what_is_interrupted_goes_on_and_training_anew_sees_the_past_alone(run, tmp_path, monkeypatch, capsys):
    calls, of_origin = [], module._of_origin

    def stops(*arguments):
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(arguments[3])
        return of_origin(*arguments)

    out = tmp_path / "rows.parquet"
    words = ["backtest", str(run.run.path), "--origins", "2", "--refit", "--output", str(out)]
    monkeypatch.setattr(module, "_rows", counted := _counting(module._rows))
    monkeypatch.setattr(module, "_of_origin", stops)
    assert main(words) == 130
    monkeypatch.setattr(module, "_of_origin", of_origin)
    assert main(words) == 0
    assert counted.calls == 4  # the first origin was not judged again
    assert main(words) == 0
    assert counted.calls == 4
    assert "trained anew" in capsys.readouterr().out
    table = polars.read_parquet(out)
    assert table.height == 2 * 2 * 4
    assert table["refit"].to_list() == [False] * 8 + [True] * 8
    folders = sorted(path for path in (run.run.path / "backtest").iterdir() if path.is_dir())
    assert len(folders) == 2
    for folder, origin in zip(folders, sorted(set(table["origin"].to_list())), strict=True):
        last = load(folder).task.read(load(folder).settings).train.tracks[0].times[-1]
        assert last == np.datetime64(origin) - np.timedelta64(1, "h")


def _counting(function):
    def counted(*arguments):
        counted.calls += 1
        return function(*arguments)

    counted.calls = 0
    return counted


def test_saved_rows_are_used_for_the_same_weights_only(run):
    """Weights whose signs are turned over are other weights."""
    trained = load(run.run.path).answer_with({"samples": 20})
    before = backtest(trained, origins=1)
    assert backtest(trained, origins=1) == before
    with torch.no_grad():
        for parameter in trained.model.parameters():
            parameter.neg_()
    turned = backtest(trained, origins=1)
    assert [row["mae"] for row in turned] != [row["mae"] for row in before]


def test_what_cannot_be_is_refused(run, tmp_path):
    trained = load(run.run.path)
    with pytest.raises(ConfigError, match="origins: expected at least 1, got 0"):
        backtest(trained, origins=0)
    trained.folder = None
    with pytest.raises(ConfigError, match="refit: expected a run with a folder"):
        backtest(trained, refit=True)
    assert main(["backtest", str(run.run.path), "--output", "x.txt"]) == 2
    other = write(tmp_path / "other.csv", rows(60))
    found = backtest(load(run.run.path), other, origins=2)
    assert found[0]["origin"] == str(START + np.timedelta64(24, "h"))


def test_a_table_that_was_changed_is_judged_and_learnt_from_anew(run, tmp_path):
    trained = load(run.run.path).answer_with({"samples": 20})
    path = write(tmp_path / "changing.csv", rows(60))
    first = backtest(trained, path, origins=1, refit=True)
    lines = (tmp_path / "changing.csv").read_text().splitlines()
    header = lines[0].split(",")
    at = header.index(trained.known.layout.columns.values[0])
    for number, line in enumerate(lines[1:], start=1):
        cells = line.split(",")
        cells[at] = str(float(cells[at]) * 10) if cells[at] else ""
        lines[number] = ",".join(cells)
    (tmp_path / "changing.csv").write_text("\n".join(lines) + "\n")
    folders = set((run.run.path / "backtest").glob("refit-*/"))
    for refit in (False, True):
        again = backtest(trained, path, origins=1, refit=refit)
        trained.folder, folder = None, trained.folder
        if not refit:  # what nothing is kept of
            assert again == backtest(trained, path, origins=1)
        trained.folder = folder
        assert again[0]["mae"] > 3 * first[0]["mae"]
    assert len({*(run.run.path / "backtest").glob("refit-*/")} - folders) == 1
