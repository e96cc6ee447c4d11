import json

import numpy as np
import pytest
import torch

from ostinato.errors import ConfigError, DataError
from ostinato.recipes import load, train
from ostinato.recipes.classify.settings import (
    ClassifierSettings,
    ClassifyReadingSettings,
    ClassifySettings,
    UpdateSettings,
)
from ostinato.recipes.classify.task import Classify

from ..reviews import rows, small, write


def test_the_built_in_digits_are_learnt(tmp_path):
    settings = ClassifySettings(
        run=str(tmp_path / "run"),
        device="cpu",
        precision="32-true",
        quiet=True,
        model=ClassifierSettings(hidden_size=32),
        training=UpdateSettings(batch_size=64, learning_rate=1e-2, max_epochs=6),
    )
    result = train(settings)
    assert result.scores["test"].examples == 357
    assert result.scores["test"].figures["accuracy"] > 0.8
    assert len(result.scores["test"].details["classes"]) == 10


def images(path, count=60):
    """A bright column: its place is the class."""
    labels = np.arange(count) % 3
    pixels = np.random.default_rng(0).integers(0, 60, (count, 5, 4)).astype(np.uint8)
    pixels[np.arange(count), :, labels] += 180
    np.savez(path, images=pixels, labels=labels)
    return str(path)


def test_images_of_a_user_are_learnt_and_predicted_for(tmp_path):
    data = images(tmp_path / "rows.npz")
    training = UpdateSettings(batch_size=8, learning_rate=0.02, max_steps=100)
    result = train(small(tmp_path / "run", data, training=training))
    trained = load(result.run.path)
    answers = trained.predict(data=data)
    assert len(answers) == 60
    right = [answer["class"] == str(n % 3) for n, answer in enumerate(answers)]
    assert np.mean(right) == trained.evaluate(data)[0].figures["accuracy"] > 0.9
    assert set(answers[0]) == {"class", "probability", "probabilities"}


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_texts_can_be_read_in_other_tokens(tmp_path, kind):
    data = write(tmp_path / "reviews.csv", rows())
    reading = ClassifyReadingSettings(tokens=kind, vocabulary_size=280)
    result = train(small(tmp_path / "run", data, reading=reading))
    assert load(result.run.path).evaluate()[0].figures["accuracy"] > 0.6


def test_a_rare_class_is_found_where_classes_are_balanced(tmp_path):
    often = [(text, label) for text, label in rows(200) if label == "bad"]
    rare = [("meh", "good")] * 20 + [("meh", "bad")] * 60  # the same text, which alone does not tell
    data = write(tmp_path / "reviews.csv", often + rare)
    training, recall = UpdateSettings(batch_size=20, learning_rate=0.05, max_steps=60, evaluate_every=20), {}
    for weights in ("none", "balanced"):
        model = ClassifierSettings(embedding_size=8, hidden_size=8, dropout=0.0, class_weights=weights)
        result = train(small(tmp_path / weights, data, model=model, training=training))
        trained = load(result.run.path)
        recall[weights] = trained.evaluate(data)[0].details["classes"]["good"]["recall"]
    assert recall == {"none": 0.0, "balanced": 1.0}


def test_the_embedding_begins_with_word_vectors(tmp_path):
    data = write(tmp_path / "reviews.csv", rows())
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("good " + " ".join(["0.5"] * 8) + "\nbad " + " ".join(["-0.5"] * 8) + "\n")
    task, settings = Classify(), small(tmp_path / "run", data, reading=ClassifyReadingSettings(vectors=str(vectors)))
    known = task.learn(settings, task.read(settings).train)
    model = task.build(settings, known)
    (line,) = task.begin(settings, known, model)
    assert line.startswith("vectors.txt: vectors for 2 of ")
    assert known.vocabulary is not None
    assert model.embedding is not None
    torch.testing.assert_close(
        model.embedding.weight[known.vocabulary.encode("good").tolist()], torch.full((1, 8), 0.5)
    )


def test_word_vectors_need_words(tmp_path):
    with pytest.raises(ConfigError, match=r"reading[.]vectors: expected texts that are read as words"):
        train(small(tmp_path / "run", images(tmp_path / "rows.npz"), reading=ClassifyReadingSettings(vectors="v.txt")))


def test_only_tables_have_files_of_their_own(tmp_path):
    reading = ClassifyReadingSettings(test="test.csv")
    with pytest.raises(DataError, match="only tables have files of their own"):
        train(small(tmp_path / "run", images(tmp_path / "rows.npz"), reading=reading))


def test_separate_files_are_read_and_paths_are_kept_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, count in (("a.csv", 60), ("b.csv", 20), ("c.csv", 10)):
        write(tmp_path / name, rows(count))
    result = train(small("run", "a.csv", reading=ClassifyReadingSettings(validation="b.csv", test="c.csv")))
    assert {part: scores.examples for part, scores in result.scores.items()} == {"validation": 20, "test": 10}
    monkeypatch.chdir("/")
    assert load(tmp_path / "run").evaluate()[0].examples == 10
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["scores"]["validation"]["examples"] == 20


@pytest.mark.parametrize(
    ("group", "values", "message"),
    [
        (ClassifyReadingSettings, {"min_count": 0}, "reading.min_count: expected at least 1, got 0"),
        (ClassifyReadingSettings, {"max_length": 0}, "reading.max_length: expected at least 1, got 0"),
        (ClassifyReadingSettings, {"validation_share": 0.6, "test_share": 0.4}, "together below 1, got 0.6 and 0.4"),
    ],
)
def test_settings_that_cannot_be_are_refused(group, values, message):
    with pytest.raises(ConfigError, match=message):
        group(**values)


def test_one_class_is_nothing_to_learn(tmp_path):
    data = write(tmp_path / "a.csv", [(f"text {n}", "same") for n in range(30)])
    with pytest.raises(DataError, match=r"expected at least two classes to tell apart, got 1 \(same\)"):
        train(small(tmp_path / "run", data))
    assert not (tmp_path / "run").exists()


def test_a_table_without_a_header_is_read_as_settings_say(tmp_path):
    (tmp_path / "a.csv").write_text("".join(f"film {n}; {'good' if n % 2 else 'NA'}\n" for n in range(40)))
    settings = ClassifySettings(
        data=str(tmp_path / "a.csv"), reading=ClassifyReadingSettings(header=False, separator=";", label="2")
    )
    task = Classify()
    splits = task.read(settings)
    known = task.learn(settings, splits.train)
    assert known.classes == ("NA", "good")
    assert len(task.read_part(settings, known, settings.data, labelled=True)) == 40
    assert task.read_part(settings, known, settings.data, labelled=False)[1].text == "film 1"
