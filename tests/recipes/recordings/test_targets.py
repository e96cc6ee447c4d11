"""Numbers and several labels at once, from the table to the answers and out of torch."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, mean_absolute_error, r2_score

from ostinato.errors import ConfigError, DataError
from ostinato.recipes import open_run, train
from ostinato.recipes.classify.settings import ClassifierSettings, ClassifyReadingSettings, ClassifySettings
from ostinato.recipes.classify.several import several_figures
from ostinato.recipes.exporting.c_folder import export_run
from ostinato.recipes.numbers import number_figures
from tests.recipes.recordings.breaths import FEW, small, small_tagger
from tests.recipes.test_exported import calls, exported

TRAINING = dataclasses.replace(FEW, max_steps=60, evaluate_every=30)
SINGLE = ClassifierSettings(hidden_size=8, dropout=0.0)


def slopes(folder, label, name="a.csv", count=60, header="label"):
    """A recording rises or falls by its slope; what else a label may be is the sign of its other channel."""
    random = np.random.default_rng(0)
    rows = [f"id,t,v,w,{header}"]
    for id in range(count):
        slope, high = random.uniform(-1, 1), random.random() < 0.5
        for step in range(10):
            v = slope * step + random.normal(0, 0.05)
            rows.append(f"{id},{step},{v:.3f},{(1 if high else -1) + random.normal(0, 0.1):.3f},{label(slope, high)}")
    (folder / name).write_text("\n".join(rows) + "\n")
    return str(folder / name)


def both(slope, high):
    return ";".join(["up"] * (slope > 0) + ["high"] * high)


@pytest.mark.parametrize("loss", ["squared", "absolute", "gaussian"])
def test_a_number_of_a_recording(tmp_path, loss):
    data = slopes(tmp_path, lambda slope, high: f"{100 + 10 * slope:.3f}")
    result = train(
        small(tmp_path / "run", data, model=dataclasses.replace(SINGLE, number_loss=loss), training=TRAINING)
    )
    scores = result.scores["test"]
    assert scores.figures["r2"] > 0.8
    assert set(scores.baselines) == {"1-NN DTW", "linear", "mean"}
    assert scores.baselines["linear"]["r2"] > 0.95
    assert scores.baselines["mean"]["r2"] <= 0
    assert (result.run.path / "pictures" / "predicted_test.png").exists()
    report = json.loads((result.run.path / "report.json").read_text())
    assert report["scores"]["test"]["details"]["numbers"] == 6
    run = open_run(tmp_path / "run")
    answers = run.predict(data=data)
    assert set(answers[0]) == {"id", "number"} | ({"deviation"} if loss == "gaussian" else set())
    said = np.array([each["number"] for each in answers])
    labels = np.array(
        [float(each.label) for each in run.task.read_part(run.settings, run.known, data, labelled=True).items]
    )
    figures = run.evaluate(data)[0].figures
    assert figures["mae"] == pytest.approx(mean_absolute_error(labels, said), rel=1e-5)
    assert figures["r2"] == pytest.approx(r2_score(labels, said), rel=1e-4)


def test_several_labels_of_a_recording(tmp_path):
    result = train(small(tmp_path / "run", slopes(tmp_path, both), training=TRAINING))
    scores = result.scores["test"]
    assert scores.figures["micro_f1"] > 0.8
    # Recordings without any label have learnt and are judged too.
    assert scores.examples == 6
    assert set(scores.baselines) == {"1-NN DTW", "linear", "usual labels"}
    run = open_run(tmp_path / "run")
    for answer in run.predict(data=run.settings.data):
        threshold = float(run.model.threshold)
        assert answer["labels"] == [name for name, p in answer["probabilities"].items() if p >= threshold]


def test_columns_of_ones_and_zeros_are_several_labels(tmp_path):
    data = slopes(tmp_path, lambda slope, high: f"{int(slope > 0)},{'true' if high else 'false'}", header="up,high")
    reading = ClassifyReadingSettings(label="up;high")
    train(small(tmp_path / "run", data, reading=reading, training=dataclasses.replace(TRAINING, max_steps=4)))
    run = open_run(tmp_path / "run")
    assert (run.known.classes, run.known.target, run.known.scaling.channels) == (("high", "up"), "several", ("v", "w"))
    same = slopes(tmp_path, both, "b.csv")
    part = run.task.read_part(run.settings, run.known, data, labelled=True)
    with open(same) as file:
        wanted = [set(row.rstrip("\n").split(",")[-1].split(";")) - {""} for row in list(file)[1::10]]
    assert [set(each.label.split(";")) - {""} for each in part.items] == wanted
    assert len(run.predict(data=data)) == 60
    bad = slopes(tmp_path, lambda slope, high: "2,0", "c.csv", header="up,high")
    with pytest.raises(DataError, match="expected 1 or 0 in column 'up', a label, got '2'"):
        run.evaluate(bad)


def test_a_number_at_every_step(tmp_path):
    random = np.random.default_rng(0)
    rows = ["id,t,v,label"]
    for id in range(40):
        total = 0.0
        for step in range(12):
            v = random.normal()
            total = 0.5 * total + v
            rows.append(f"{id},{step},{v:.3f},{total if step else '':.3f}" if step else f"{id},{step},{v:.3f},")
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    result = train(small_tagger(tmp_path / "run", str(tmp_path / "a.csv"), training=TRAINING))
    scores = result.scores["test"]
    assert scores.baselines["a step by itself"]["mae"] < scores.baselines["mean"]["mae"]
    run = open_run(tmp_path / "run")
    answers, part = (
        run.predict(data=str(tmp_path / "a.csv")),
        run.task.read_part(run.settings, run.known, str(tmp_path / "a.csv"), labelled=True),
    )
    pairs = [
        (float(label), said)
        for answer, each in zip(answers, part.items, strict=True)
        for label, said in zip(each.labels, answer["numbers"], strict=True)
        if label is not None
    ]
    assert len(pairs) == 40 * 11
    figures = run.evaluate(str(tmp_path / "a.csv"))[0].figures
    assert figures["mae"] == pytest.approx(mean_absolute_error(*zip(*pairs, strict=True)), rel=1e-5)
    with pytest.raises(ConfigError, match="a number at every step is not exported"):
        run.task.exported(run)


def test_texts_have_numbers_and_several_labels_too(tmp_path):
    random = np.random.default_rng(0)
    words = ["good", "bad", "film", "long"]
    lines = {"number": ["text,label"], "several": ["text,label"], "columns": ["text,good,film"]}
    for _ in range(60):
        some = random.choice(words, 5).tolist()
        text = " ".join(some)
        lines["number"].append(f"{text},{some.count('good') - some.count('bad') + random.uniform(0, 0.1):.3f}")
        lines["several"].append(f"{text},{';'.join(sorted({'good', 'film'} & set(some)))}")
        lines["columns"].append(f"{text},{int('good' in some)},{int('film' in some)}")
    labels = {"number": {}, "several": {"target": "several"}, "columns": {"label": "good;film"}}
    for name, reading in labels.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(lines[name]) + "\n")
        settings = small(tmp_path / name, str(tmp_path / f"{name}.csv"), training=TRAINING)
        result = train(dataclasses.replace(settings, reading=ClassifyReadingSettings(**reading)))
        figures, baselines = result.scores["test"].figures, result.scores["test"].baselines
        run = open_run(tmp_path / name)
        if name == "number":
            assert figures["r2"] > 0.5
            assert baselines["linear"]["r2"] > 0.5
            assert set(run.predict(tmp_path / "number.csv")[0]) == {"text", "number"}
        else:
            assert run.known.classes == ("film", "good")
            assert figures["micro_f1"] > 0.8
    for answer, other in zip(*(open_run(tmp_path / n).known.counts for n in ("several", "columns")), strict=True):
        assert answer == other


@pytest.mark.parametrize("kind", ["number", "several"])
def test_they_are_exported(tmp_path, kind):
    label = (lambda slope, high: f"{slope:.3f}") if kind == "number" else both
    model = dataclasses.replace(SINGLE, number_loss="gaussian", bidirectional=False)
    data = slopes(tmp_path, label)
    train(small(tmp_path / "run", data, model=model, training=dataclasses.replace(TRAINING, max_steps=8)))
    run = open_run(tmp_path / "run")
    part = run.task.read_part(run.settings, run.known, data, labelled=True)
    values = [each.values.tolist() for each in part.items]
    for found, wanted in zip(
        calls(exported(tmp_path / "run"), [["classify_recordings", [values, None], {}]])[0],
        run.predict(data=data),
        strict=True,
    ):
        if kind == "several":
            assert found["labels"] == wanted["labels"]
            assert found["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)
        else:
            assert (found["number"], found["deviation"]) == pytest.approx(
                (wanted["number"], wanted["deviation"]), abs=1e-4
            )
    with pytest.raises(ConfigError, match="C expected a Classifier as it is"):
        export_run(run, tmp_path / "c", say=lambda line: None)


def test_settings_that_do_not_go_together(tmp_path):
    data = slopes(tmp_path, lambda slope, high: f"{slope:.3f}")
    with pytest.raises(ConfigError, match="class_weights: expected none where a number is predicted"):
        train(small(tmp_path / "run", data, model=ClassifierSettings(class_weights="balanced")))
    with pytest.raises(DataError, match="expected numbers as labels, got 'up'"):
        train(
            small(
                tmp_path / "other",
                slopes(tmp_path, lambda slope, high: "up", "b.csv"),
                reading=ClassifyReadingSettings(target="number"),
            )
        )
    assert ClassifySettings.from_dict({"reading": {"target": "several"}}).reading.target == "several"


def test_figures_are_scikit_learns():
    random = np.random.default_rng(0)
    said, target = random.random((2, 30))
    found = number_figures(said, target)
    assert (found["mae"], found["r2"]) == pytest.approx((mean_absolute_error(target, said), r2_score(target, said)))
    sets, labels = random.random((2, 30, 4)) < 0.4
    found = several_figures(sets, labels)
    assert found["micro_f1"] == pytest.approx(f1_score(labels, sets, average="micro"))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, sets, average="macro"))
    assert found["exact"] == pytest.approx(float((sets == labels).all(1).mean()))
