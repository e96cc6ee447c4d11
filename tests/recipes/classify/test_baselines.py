import math

import numpy as np
import pytest

from ostinato.data.records.images import Images
from ostinato.data.sources.tables import Example
from ostinato.recipes.classify.baselines import baselines
from ostinato.recipes.classify.settings import ClassifyReadingSettings

READING = ClassifyReadingSettings(tokens="word")


def texts(*rows):
    return tuple(Example(text, label) for text, label in rows)


TRAIN = texts(("good film", "yes"), ("good fun", "yes"), ("dull film", "no"))


def test_naive_bayes_is_that_of_the_formula():
    """Multinomial with additive smoothing: of "good" and "dull" the counts in each class, its pairs included."""
    found = baselines(TRAIN, {"test": texts(("dull", "no"), ("good", "no"))}, READING)["test"]["naive Bayes"]
    vocabulary, of_yes, of_no = 7, 6, 3  # good film fun dull, "good film" "good fun" "dull film"
    dull = [1 / (of_yes + vocabulary) * 2 / 3, 2 / (of_no + vocabulary) / 3]
    good = [3 / (of_yes + vocabulary) * 2 / 3, 1 / (of_no + vocabulary) / 3]
    expected = [-math.log(p[1] / sum(p)) for p in (dull, good)]
    assert found["loss"] == pytest.approx(np.mean(expected))
    assert found["accuracy"] == 0.5


def test_the_most_frequent_class_is_that_of_training():
    found = baselines(TRAIN, {"test": texts(("x", "no"), ("x", "no"), ("x", "yes"))}, READING)["test"]["majority"]
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["loss"] == pytest.approx(-(2 * math.log(1 / 3) + math.log(2 / 3)) / 3)
    assert found["calibration_error"] == pytest.approx(1 / 3)


def test_a_label_that_training_never_had_is_an_error_and_has_no_part_in_the_loss():
    found = baselines(TRAIN, {"test": texts(("good", "new"), ("good", "yes"))}, READING)["test"]
    assert {name: figures["accuracy"] for name, figures in found.items()} == {"naive Bayes": 0.5, "majority": 0.5}
    assert found["majority"]["loss"] == pytest.approx(math.log(3 / 2))


def test_images_and_texts_without_a_word_have_the_most_frequent_class_alone():
    images = Images(np.zeros((4, 2, 2)), np.array([0, 1, 1, 1]), ("0", "1"), 1.0)
    assert baselines(images, {"test": images}, READING)["test"].keys() == {"majority"}
    empty = texts(("", "a"), ("", "b"))
    assert baselines(empty, {"test": empty}, READING)["test"].keys() == {"majority"}
