"""Recordings are asked whatever is said of them, and whatever their cell reads beside its input."""

from __future__ import annotations

import dataclasses
import math
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ostinato
from ostinato.errors import ConfigError
from ostinato.recipes.classify.settings import ClassifierSettings
from ostinato.recipes.tag.settings import TaggerSettings
from tests.recipes.reasons.test_tasks import learnt, odds, replies
from tests.recipes.recordings.breaths import FEW, breaths, small, small_tagger, write
from tests.recipes.recordings.test_targets import both, slopes

TRAINING = dataclasses.replace(FEW, max_steps=15)


@pytest.mark.parametrize("loss", ["squared", "gaussian"])
def test_a_number(loss: Any, tmp_path: Path) -> None:
    data = slopes(tmp_path, lambda slope, high: f"{100 + 10 * slope:.3f}")
    model = ClassifierSettings(hidden_size=8, dropout=0.0, number_loss=loss)
    run = learnt(small(tmp_path / "run", data, model=model, training=TRAINING))
    answer = run.predict(data=data)[3]
    found = replies(run, data, rows=[3])["gates"][0]
    assert found.answer == pytest.approx(answer.number, rel=1e-5)
    assert found.said == f"{answer.number:.6g}"
    assert (answer.deviation is None) == (loss == "squared")
    assert answer.label is None
    with pytest.raises(ConfigError, match="--target up: expected none where a number is predicted"):
        ostinato.why(run, data, target="up")


def test_several_labels(tmp_path: Path) -> None:
    data = slopes(tmp_path, both)
    run = learnt(small(tmp_path / "run", data, training=TRAINING))
    answer = run.predict(data=data)[2]
    for label, p in answer.probabilities.items():
        found = replies(run, data, rows=[2], target=label)["gates"][0]
        assert found.answer == pytest.approx(odds(p), abs=1e-3)
        assert found.about == f"label {label}"
    likeliest = max(answer.probabilities, key=answer.probabilities.get)
    assert ostinato.why(run, data, rows=[2])[0].about == f"label {likeliest}"
    assert all(label in answer._repr_html_() for label in answer.probabilities)
    with pytest.raises(ConfigError, match="expected a label"):
        ostinato.why(run, data, target="low")


def test_numbers_of_steps(tmp_path: Path) -> None:
    rows = [(*row[:4], f"{row[3] - 101_325:.3f}" if row[3] else "0") for row in breaths(16)]
    data = write(tmp_path / "a.csv", rows)
    model = TaggerSettings(hidden_size=8, num_layers=1)
    run = learnt(small_tagger(tmp_path / "run", data, model=model, training=TRAINING))
    answer = run.predict(data=data)[1]
    assert answer.tags is None
    assert replies(run, data, rows=[1])["gates"][0].answer == pytest.approx(np.mean(answer.numbers), rel=1e-4)
    step = replies(run, data, rows=[1], target=4)["gates"][0]
    assert step.answer == pytest.approx(answer.numbers[4], rel=1e-4)
    with pytest.raises(ConfigError, match="expected the number of a step"):
        ostinato.why(run, data, target="4:in")


@pytest.mark.parametrize("cell", ["grud", "cfc", "phasedlstm"])
def test_cells_that_read_masks_and_times(cell: str, tmp_path: Path) -> None:
    data = write(tmp_path / "a.csv", breaths(20, gaps=0.3, uneven=True))
    model = ClassifierSettings(cell=cell, hidden_size=6, dropout=0.0)
    run = learnt(small(tmp_path / "run", data, model=model, training=TRAINING))
    found = replies(run, data, rows=[1])["gates"][0]
    assert found.answer == pytest.approx(odds(run.predict(data=data)[1].probability), abs=1e-3)
    times = () if cell == "grud" else ("time between steps",)
    assert found.channels == ("acc", "pressure", *times)


def test_what_is_not_missing_and_not_late_is_nothing(tmp_path: Path) -> None:
    data = write(tmp_path / "a.csv", breaths(20, gaps=0.3, uneven=True))
    model = ClassifierSettings(cell="grud", hidden_size=6)
    run = learnt(small(tmp_path / "run", data, model=model, training=dataclasses.replace(TRAINING, max_steps=2)))
    part = run.task.read_part(run.settings, run.known, data, labelled=True)
    scaling, item = run.known.scaling, part.items[0]
    means = np.tile(np.array(scaling.means), (len(item), 1))
    plain = dataclasses.replace(item, values=means, times=np.arange(len(item)) * scaling.step)
    (question,) = run.task.questions(run, part, [0], None)
    np.testing.assert_allclose(question.baseline[:, 0].numpy(), scaling.apply(plain), atol=1e-5)


def test_tags_by_a_cell_that_reads_masks(tmp_path: Path) -> None:
    data = write(tmp_path / "a.csv", breaths(12, turns=True, gaps=0.2, uneven=True))
    model = TaggerSettings(cell="grud", hidden_size=6, num_layers=1)
    run = learnt(small_tagger(tmp_path / "run", data, model=model, training=TRAINING))
    answer = run.predict(data=data)[1]
    found = replies(run, data, rows=[1], target=3)["gates"][0]
    assert found.answer == pytest.approx(odds(answer.probabilities[3]), abs=1e-3)


def test_sound(tmp_path: Path) -> None:
    draw, rate = np.random.default_rng(0), 8000
    for at in range(24):
        folder = tmp_path / "tones" / ("low", "high")[at % 2]
        folder.mkdir(parents=True, exist_ok=True)
        tone = np.sin(2 * math.pi * (300, 1500)[at % 2] * np.arange(rate // 4) / rate) + 0.1 * draw.normal(
            size=rate // 4
        )
        with wave.open(str(folder / f"{at}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes((tone / 2 * 2**14).astype("<i2").tobytes())
    data = str(tmp_path / "tones")
    run = learnt(small(tmp_path / "run", data, training=TRAINING))
    found = replies(run, data, rows=[0])["gates"][0]
    assert found.answer == pytest.approx(odds(run.predict(data=data)[0].probability), abs=1e-2)
    assert found.channels == run.known.scaling.channels
    assert ostinato.load(run.folder).predict(data=data)[0].label in ("low", "high")
