import math

import numpy as np
import pytest

from ostinato.data.records.conll import Sentence
from ostinato.data.sources.syntax import SYNTAX_CLASSES, Highlighted
from ostinato.recipes.tag.baselines import baselines
from ostinato.recipes.tag.settings import TagReadingSettings


def sentence(text):
    words, tags = zip(*(pair.split("/") for pair in text.split()), strict=True)
    return Sentence(words, tuple(tag if tag != "-" else None for tag in tags), 1)


def test_each_word_gets_the_tag_that_it_has_most_often():
    train = (sentence("Run/VERB run/NOUN run/NOUN the/DET the/DET the/DET"), sentence("cat/NOUN dog/-"))
    test = (sentence("RUN/NOUN the/DET cat/VERB zebra/DET yak/NOUN hm/-"),)
    found = baselines(train, {"test": test}, TagReadingSettings())["test"]["most frequent tag"]
    # NOUN, DET, NOUN; DET and NOUN have three each: DET, the first by name
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["unknown_word_accuracy"] == 1 / 2
    assert "span_f1" not in found


def test_spans_are_counted_whole_where_tags_mark_them():
    train = (sentence("Ada/B-PER Byron/I-PER is/O Rome/B-LOC"),)
    test = (sentence("Ada/B-PER Byron/I-PER in/O Kiel/B-LOC"),)
    found = baselines(train, {"test": test}, TagReadingSettings())["test"]["most frequent tag"]
    assert found["accuracy"] == 3 / 4  # an unknown word is B-LOC: of tags that are there once the first by name
    assert found["span_f1"] == pytest.approx(2 * 2 / (2 + 3))
    assert math.isnan(
        baselines(train, {"test": train}, TagReadingSettings())["test"]["most frequent tag"]["unknown_word_accuracy"]
    )


def test_of_source_it_is_the_tag_of_a_character():
    def source(text, labels):
        return Highlighted("a.py", text, np.array([SYNTAX_CLASSES.index(label) for label in labels], dtype=np.uint8))

    train = (source("xx1x", ["name", "name", "number", "keyword"]), Highlighted("b", "zz", None))
    test = (source("x1ü1", ["name", "number", "name", "name"]),)
    found = baselines(train, {"test": test}, TagReadingSettings())["test"]["most frequent tag"]
    assert found["accuracy"] == 3 / 4
