import math

import numpy as np
import pytest

from ostinato.recipes import confusion

COUNTS = np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]])


def test_figures_count_the_labels_that_occur():
    found = confusion.figures(COUNTS)
    # a: precision 3/5, recall 3/4; b: 4/5, 4/6.
    assert found == pytest.approx({"accuracy": 0.7, "macro_f1": (6 / 9 + 8 / 11) / 2})
    assert all(math.isnan(value) for value in confusion.figures(np.zeros((2, 2))).values())


def test_details_name_each_label():
    found = confusion.details(COUNTS, "abc")
    assert found["confusion"] == COUNTS.tolist()
    assert found["classes"]["a"] == pytest.approx({"precision": 0.6, "recall": 0.75, "f1": 6 / 9, "examples": 4})
    assert found["classes"]["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "examples": 0}


def test_the_picture_says_what_was_counted():
    axes = confusion.pictures(COUNTS, ["a", "b", "c"], "word")["confusion"].axes[0]
    assert sorted(text.get_text() for text in axes.texts) == ["1", "2", "3", "4"]
    assert axes.get_title(loc="left") == "Confusion: 10 words"
    assert confusion.pictures(np.eye(41), [str(n) for n in range(41)]) == {}


def test_labels_that_training_never_had_are_named():
    assert confusion.unknown_label(["a", "b"], 2, 0) == []
    (line,) = confusion.unknown_label(["a", "b", "c"], 2, 7, "word")
    assert line == "training never had the label c: 7 of the words count as errors, without a loss"
