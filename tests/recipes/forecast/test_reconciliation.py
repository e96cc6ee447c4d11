"""Forecasts that add up."""

import numpy as np
import pytest
from scipy.optimize import minimize

from ostinato.errors import ConfigError
from ostinato.recipes import load, train
from ostinato.recipes.forecast.answers.reconciliation import reconciled, summing
from ostinato.recipes.forecast.settings import ForecasterSettings, UpdateSettings

from ..waves import START, rows, small, write

NAMES = ["all", "a", "east", "b", "c"]
SUMS = {"all": ["east", "c"], "east": ["a", "b"]}


def test_totals_are_sums_of_those_that_are_none():
    expected = [[1, 1, 1], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]]
    np.testing.assert_array_equal(summing(NAMES, SUMS), expected)


@pytest.mark.parametrize(
    ("sums", "message"),
    [
        ({"all": ["a", "west"]}, "expected names of series, 'all', .*, got 'west'"),
        ({"all": ["a", "a"]}, "expected different parts of 'all'"),
        ({"all": []}, "expected different parts of 'all'"),
        ({"all": ["east"], "east": ["all", "a"]}, "'all' is a part of itself"),
    ],
)
def test_sums_that_cannot_be_are_refused(sums, message):
    with pytest.raises(ConfigError, match=message):
        summing(NAMES, sums)


@pytest.mark.parametrize("how", ["variances", "least-squares", "bottom-up"])
def test_every_path_adds_up_and_is_the_nearest_that_does(how):
    draw = np.random.default_rng(0)
    paths = draw.normal(size=(5, 2, 40)) * np.array([5.0, 1, 2, 3, 0.5])[:, None, None] + 10
    summed = summing(NAMES, SUMS)
    found = reconciled(paths, summed, how)
    np.testing.assert_allclose(found[0], found[2] + found[4])
    np.testing.assert_allclose(found[2], found[1] + found[3])
    if how == "bottom-up":
        np.testing.assert_allclose(found[[1, 3, 4]], paths[[1, 3, 4]])
        return
    weights = 1 / paths[:, 1].var(-1) if how == "variances" else np.ones(5)
    best = minimize(lambda b: (weights * np.square(summed @ b - paths[:, 1, 7])).sum(), np.zeros(3), tol=1e-12).x
    np.testing.assert_allclose(found[:, 1, 7], summed @ best, atol=1e-3)
    # What adds up stays as it is.
    np.testing.assert_allclose(reconciled(found, summed, how), found)


def test_parts_that_are_never_negative_stay_so_and_still_add_up():
    draw = np.random.default_rng(0)
    paths = draw.normal(size=(5, 2, 40)).clip(0)
    found = reconciled(paths, summing(NAMES, SUMS), "least-squares", np.ones(5, dtype=bool))
    assert found.min() >= 0
    np.testing.assert_allclose(found[0], found[1] + found[3] + found[4])


@pytest.mark.parametrize("head", ["student-t", "low-rank"])
def test_answers_of_a_run_add_up(tmp_path, head):
    some = rows(100)
    of = {(id, time): float(sold) for id, time, sold, *_ in some}
    times = [str(START + np.timedelta64(t, "h")) for t in range(100)]
    both = [("both", time, of["a", time] + of["b", time], t % 2, "") for t, time in enumerate(times)]
    data = write(tmp_path / "a.csv", some + both)
    training = UpdateSettings(batch_size=16, learning_rate=0.02, max_steps=20, evaluate_every=10)
    model = ForecasterSettings(hidden_size=8, head=head)
    result = train(small(tmp_path / "run", data, model=model, training=training))
    ahead = [(id, str(START + np.timedelta64(100 + t, "h")), "", 1, "") for id in ("a", "b", "both") for t in range(4)]
    path = write(tmp_path / "ahead.csv", some + both + ahead)
    trained = load(result.run.path).answer_with({"sums": {"both": ["a", "b"]}, "samples": 50})
    a, b, total = trained.predict(data=path)
    np.testing.assert_allclose(np.add(a["mean"], b["mean"]), total["mean"])
    apart = load(result.run.path).answer_with({"samples": 50}).predict(data=path)
    assert not np.allclose(np.add(apart[0]["mean"], apart[1]["mean"]), apart[2]["mean"], rtol=1e-6)
    with pytest.raises(ConfigError, match="got 'north'"):
        trained.answer_with({"sums": {"both": ["north"]}}).predict(data=path)
