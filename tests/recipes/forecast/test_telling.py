"""What is told of series that are learnt or forecast: heads that cannot say what they have, seasons, short validation."""

import numpy as np
import pytest

from ostinato.errors import DataError
from ostinato.recipes import open_run
from ostinato.recipes.forecast.settings import ForecasterSettings, ForecastReadingSettings, ForecastSettings
from ostinato.recipes.forecast.task import Forecast
from tests.serving.untrained import untrained

START = np.datetime64("2024-01-01")


def write(path, values, beside=""):
    lines = [f"{START + at},{value}{beside}" for at, value in enumerate(values)]
    path.write_text("day,sold" + ",price" * bool(beside) + "\n" + "\n".join(lines) + "\n")
    return str(path)


def counts(steps=200, seed=0):
    return np.random.default_rng(seed).poisson(6 * np.where(np.arange(steps) % 7 >= 5, 2.0, 1.0))


def told(path, head, **reading):
    """All that training tells before its first step."""
    reading = {"values": ["sold"], "horizon": 5, **reading}
    settings = ForecastSettings(
        data=path,
        reading=ForecastReadingSettings(**reading),
        model=ForecasterSettings(head=head, hidden_size=4),
        run="x",
        device="cpu",
    )
    task = Forecast()
    splits = task.read(settings)
    known = task.learn(settings, splits.train)
    return [*task.remarks(splits), *task.begin(settings, known, task.build(settings, known))]


@pytest.mark.parametrize("head", ["negative-binomial", "zero-inflated", "log-normal", "rectified"])
def test_a_head_that_is_never_below_zero_refuses_values_that_are(tmp_path, head):
    values = counts() + 1
    values[17] = -3
    with pytest.raises(DataError, match=rf"has -3 in training, and the head {head} .* take --model.head student-t"):
        told(write(tmp_path / "a.csv", values), head)


def test_log_normal_refuses_zeros_and_names_the_head_that_has_them(tmp_path):
    values = counts() + 0.5
    values[[3, 17]] = 0
    with pytest.raises(DataError, match=r"is 0 in training 2 times.*--model.head rectified, which has zeros"):
        told(write(tmp_path / "a.csv", values), "log-normal")
    told(write(tmp_path / "a.csv", values), "rectified")


def test_counts_and_fractions_are_told_where_the_head_is_of_the_others(tmp_path):
    whole, fractions = write(tmp_path / "a.csv", counts()), write(tmp_path / "b.csv", counts() + 0.25)
    assert any("whole numbers from 0 on only: --model.head auto" in line for line in told(whole, "student-t"))
    assert any(
        "no whole numbers, and the head negative-binomial" in line for line in told(fractions, "negative-binomial")
    )
    assert not any("whole numbers" in line for line in told(whole, "negative-binomial"))
    assert not any("whole numbers" in line for line in told(fractions, "student-t"))


def test_the_season_is_told(tmp_path):
    path = write(tmp_path / "a.csv", counts(400))
    assert "season: 7 steps, found in the training data; --reading.season sets another" in told(
        path, "negative-binomial"
    )
    walk = write(tmp_path / "b.csv", np.random.default_rng(1).normal(size=300).cumsum())
    assert any(line.startswith("season: none found") for line in told(walk, "student-t"))
    assert not any("season" in line for line in told(path, "negative-binomial", season=7))


def test_a_validation_that_is_too_short_to_calibrate_by_is_told(tmp_path):
    short, long = write(tmp_path / "a.csv", counts(150)), write(tmp_path / "b.csv", counts(3000))
    (line,) = [line for line in told(short, "student-t") if "calibrate" in line]
    assert "of which 3 do not overlap" in line
    assert "--reading.validation_share" in line
    assert not any("calibrate" in line for line in told(long, "student-t"))


@pytest.mark.parametrize("name", ["static", "known", "observed"])
@pytest.mark.filterwarnings("error")
def test_a_huge_number_beside_the_values_is_named(tmp_path, name):
    path = write(tmp_path / "a.csv", counts(), ",1e300")
    with pytest.raises(DataError, match=r"column 'price' has a value of size 1e\+300; expected at most 1e\+30"):
        told(path, "student-t", **{name: ["price"]})


def run_of(folder, head, values):
    reading = {"values": ["sold"], "horizon": 5}
    data = write(folder / "train.csv", values)
    return open_run(
        untrained(folder / "run", "forecast", data=data, reading=reading, model={"head": head, "hidden_size": 4})
    )


def test_values_below_zero_that_training_never_had(tmp_path):
    values = counts(60).astype(float)
    values[-1] = -2
    below = write(tmp_path / "below.csv", values)
    trained = run_of(tmp_path, "negative-binomial", counts())
    for work in (lambda: trained.predict(data=below), lambda: trained.evaluate(below)):
        with pytest.raises(DataError, match="has -2, but training had nothing below 0, and the head negative-binomial"):
            work()
    (tmp_path / "b").mkdir()
    trained = run_of(tmp_path / "b", "student-t", counts())
    (answer,) = trained.predict(data=write(tmp_path / "lower.csv", counts(60) - 40))
    assert any("values below 0, which training never had" in note for note in trained.notes)
    assert min(answer.intervals["90"]["low"]) < 0


def test_fractions_that_training_never_had(tmp_path):
    trained = run_of(tmp_path, "negative-binomial", counts())
    trained.predict(data=write(tmp_path / "b.csv", counts(60) + 0.5))
    assert any("training had whole numbers only" in note for note in trained.notes)
    trained.predict(data=write(tmp_path / "b.csv", counts(60)))
    assert not trained.notes
