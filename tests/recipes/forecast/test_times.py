"""The times of training are those of predictions and evaluations, whatever a table leaves out."""

import datetime
import json

import numpy as np
import pytest

from ostinato.errors import ConfigError, DataError
from ostinato.recipes.forecast.settings import ForecasterSettings, ForecastReadingSettings, ForecastSettings
from ostinato.recipes.forecast.task import Forecast
from ostinato.recipes.trained import Trained

START = datetime.datetime(2024, 1, 1)
HOURS = [START + datetime.timedelta(hours=n) for n in range(24 * 60)]
CALENDARS = {
    "hours": HOURS[:600],
    "working": [day for n in range(280) if (day := START + datetime.timedelta(days=n)).weekday() < 5],
    "open": [hour for hour in HOURS if hour.weekday() < 5 and 9 <= hour.hour <= 16],
    "strange": [START + datetime.timedelta(seconds=n**3) for n in range(150)],
}


def table(path, times, values=None, ids=None):
    values = [10 + n % 5 for n in range(len(times))] if values is None else values
    rows = [f"{time},{value}" for time, value in zip(times, values, strict=True)]
    head = "time,y\n" if ids is None else "id,time,y\n"
    path.write_text(
        head + "".join((f"{row}\n" if ids is None else f"{id},{row}\n") for id in ids or [""] for row in rows)
    )
    return str(path)


def little(data, **reading):
    """A forecaster that knows its data and has learnt nothing: times are those of a trained one."""
    settings = ForecastSettings(
        data=data,
        reading=ForecastReadingSettings(horizon=8, context=16, season=5, **reading),
        model=ForecasterSettings(hidden_size=4),
    )
    task = Forecast()
    known = task.learn(settings, task.read(settings).train)
    known = task.from_dict(json.loads(json.dumps(task.to_dict(known))))
    return Trained(task, settings, known, task.build(settings, known).eval())


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("times")
    return {name: little(table(folder / f"{name}.csv", times)) for name, times in CALENDARS.items()}


@pytest.mark.parametrize("name", ["hours", "working", "open"])
@pytest.mark.parametrize("rows", [1, 5, 30])
def test_times_to_come_are_those_of_training(runs, tmp_path, name, rows):
    calendar = CALENDARS[name]
    (answer,) = runs[name].predict(data=table(tmp_path / "a.csv", calendar[40 : 40 + rows]))
    assert answer["times"] == [str(time) for time in calendar[40 + rows : 48 + rows]]


@pytest.mark.parametrize("name", ["hours", "working", "open"])
@pytest.mark.parametrize("missing", [0.1, 0.32, 0.6])
def test_left_out_rows_are_as_empty_cells(runs, tmp_path, name, missing):
    times, draw = CALENDARS[name][:180], np.random.default_rng(0)
    values = [round(10 + draw.normal(), 3) for _ in times]
    there = draw.random(len(times)) >= missing
    there[[0, -1]] = True
    gaps = table(tmp_path / "a.csv", np.array(times)[there], np.array(values)[there])
    empty = table(
        tmp_path / "b.csv", times, [value if is_there else "" for value, is_there in zip(values, there, strict=True)]
    )
    trained = runs[name]
    assert trained.predict(data=gaps) == trained.predict(data=empty)
    assert trained.evaluate(gaps)[0].figures == pytest.approx(dict(trained.evaluate(empty)[0].figures))


def test_times_that_follow_no_rule_are_asked_for(runs, tmp_path):
    times = CALENDARS["strange"]
    trained = runs["strange"]
    with pytest.raises(
        DataError, match=r"the times of training follow no rule, so those of the next 8 steps cannot be told"
    ):
        trained.predict(data=table(tmp_path / "a.csv", times[:50]))
    ahead = table(tmp_path / "b.csv", times[:58], [*range(50), *[""] * 8])
    assert trained.predict(data=ahead)[0]["times"] == [str(time) for time in times[50:58]]


def test_of_irregular_times_those_in_a_broken_file_are_missed_by_their_series_alone(tmp_path):
    times = CALENDARS["strange"]
    trained = little(table(tmp_path / "train.csv", times, ids="ab"))
    parts = tmp_path / "parts"
    parts.mkdir()
    table(parts / "a.csv", times[:48], [*range(40), *[""] * 8], ids="a")
    table(parts / "b.csv", times[:40], range(40), ids="b")
    (parts / "late.csv").write_text(f"id,time,y\nb,{times[40]},,\n")
    (answer,) = trained.predict(data=str(parts))
    assert answer["series"] == "a"
    assert answer["times"] == [str(time) for time in times[40:48]]
    assert (
        "1 of its 2 series have no forecast, as files are left out: 'b'; of the first: the times" in trained.notes[-1]
    )
    assert len(trained.unread) == 1


def test_ids_of_training_are_found_again_and_others_are_told(tmp_path):
    trained = little(table(tmp_path / "a.csv", CALENDARS["hours"][:200], ids=["001", "A2", "NA"]))
    assert [trained.known.number(id) for id in ("001", "A2", "NA", "1")] == [1, 2, 3, 0]
    known = table(tmp_path / "b.csv", CALENDARS["hours"][:30], ids=["NA", "001"])
    assert [answer["series"] for answer in trained.predict(data=known)] == ["NA", "001"]
    assert trained.notes == []
    strange = table(tmp_path / "c.csv", CALENDARS["hours"][:30], ids=["1", "001"])
    assert [answer["series"] for answer in trained.predict(data=strange)] == ["1", "001"]
    assert "training never had the series '1' (it had '001', 'A2', 'NA')" in trained.notes[0]
    scores, _ = trained.evaluate(strange)
    assert len([line for line in scores.warnings if "training never had" in line]) == 1


def test_one_column_of_numbers_more_changes_nothing(runs, tmp_path):
    times = CALENDARS["hours"][:50]
    one = runs["hours"].predict(data=table(tmp_path / "a.csv", times))
    (tmp_path / "b.csv").write_text("x,time,y\n" + "".join(f"7,{time},{10 + n % 5}\n" for n, time in enumerate(times)))
    assert runs["hours"].predict(tmp_path / "b.csv") == one


def test_what_is_told_of_a_series_that_never_changed_is_what_its_intervals_are(runs, tmp_path):
    trained, times = runs["working"], CALENDARS["working"]
    for count, has_width, told in ((1, True, "one value: the forecast is as far around it"), (9, False, "no width")):
        (answer,) = trained.predict(data=table(tmp_path / "a.csv", times[:count], [7.0] * count))
        bounds = answer["intervals"]["90"]
        assert (bounds["low"] != bounds["high"]) == has_width
        assert told in trained.notes[0]


def test_words_are_covariates(tmp_path):
    sky = ["rain", "sun", "snow"]
    lines = [f"{time},{10 + n % 3},{sky[n % 3]}\n" for n, time in enumerate(CALENDARS["hours"][:200])]
    (tmp_path / "a.csv").write_text("time,y,sky\n" + "".join(lines))
    trained = little(str(tmp_path / "a.csv"), known=["sky"])
    assert [name for name, *_ in trained.known.known] == ["sky=rain", "sky=snow", "sky=sun"]
    ahead = [f"{time},,sun\n" for time in CALENDARS["hours"][200:208]]
    (tmp_path / "b.csv").write_text("time,y,sky\n" + "".join(lines[-20:] + ahead))
    assert len(trained.predict(tmp_path / "b.csv")[0]["times"]) == 8


def test_a_table_is_read_as_settings_say(tmp_path):
    lines = [f"{time:%d.%m.%Y};{n % 5},5;{n % 3}\n" for n, time in enumerate(CALENDARS["working"])]
    (tmp_path / "a.csv").write_text("".join(lines))
    trained = little(
        str(tmp_path / "a.csv"), header=False, separator=";", decimal=",", values=["2"], known=["3"], time="1"
    )
    (tmp_path / "b.csv").write_text(
        "".join([*lines[:30], *(f"{time:%d.%m.%Y};;1\n" for time in CALENDARS["working"][30:38])])
    )
    (answer,) = trained.predict(tmp_path / "b.csv")
    assert answer["last"] == {"time": f"{CALENDARS['working'][29]:%d.%m.%Y}", "value": 4.5}
    assert answer["times"] == [f"{time:%d.%m.%Y}" for time in CALENDARS["working"][30:38]]
    with pytest.raises(ConfigError, match="separator: expected one character"):
        ForecastReadingSettings(separator=";;")
