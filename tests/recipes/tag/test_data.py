import dataclasses
import json

import numpy as np
import pytest
import torch

from ostinato.data.records.conll import Sentence
from ostinato.data.sources.syntax import SYNTAX_CLASSES, Highlighted, highlight
from ostinato.recipes.tag.data import CharacterExamples, TagKnown, WordExamples, cut, is_source
from ostinato.recipes.tag.settings import TagReadingSettings

READING = TagReadingSettings(min_count=2)


def sentence(*pairs):
    return Sentence(tuple(word for word, _ in pairs), tuple(tag for _, tag in pairs), 1)


TRAIN = (
    sentence(("The", "DET"), ("cat", "NOUN"), ("sat", "VERB")),
    sentence(("the", "DET"), ("cat", None), ("sat", "VERB"), ("qui", "X")),
)


def source(text):
    return Highlighted("a.py", text, highlight(text))


def test_tags_words_and_characters_are_those_of_training():
    known = TagKnown.of(TRAIN, READING)
    assert known.tags == ("DET", "NOUN", "VERB", "X")
    assert known.tag_counts == (2, 1, 2, 1)
    assert dict(zip(known.words, known.counts, strict=True)) == {"the": 2, "cat": 2, "sat": 2, "qui": 1}
    assert known.word_ids(["THE", "cat", "zebra"]).tolist() == [known.words.index("the") + 1, 1, 0]
    assert set(known.characters.characters) == set("hecats")  # "T", "q", "u" and "i" occur once
    exact = TagKnown.of(TRAIN, dataclasses.replace(READING, lower_case=False, vocabulary_size=3))
    assert len(exact.words) == 3
    assert exact.word_ids(["THE"]).tolist() == [0]
    assert known.with_unknown((sentence(("x", "AUX"), ("y", None)),)) == ["DET", "NOUN", "VERB", "X", "AUX"]


def test_characters_are_never_all_unknown():
    assert TagKnown.of((sentence(("ab", "X")),), READING).characters.characters == "ab"


IOB1 = (sentence(("Ada", "I-PER"), ("Byron", "B-PER"), ("in", "O"), ("Rome", "I-LOC")), sentence(("no", "O")))


def test_the_scheme_of_spans_is_that_of_the_data_and_is_kept():
    known = TagKnown.of(IOB1, READING)
    assert known.scheme.name == "IOB1"
    assert TagKnown.from_dict(json.loads(json.dumps(known.to_dict()))).scheme == known.scheme
    assert TagKnown.of(TRAIN, READING).scheme is None


def test_a_word_with_an_accent_in_two_ways_is_one_where_words_are_normalised():
    train = (sentence(("cafe\u0301", "NOUN"), ("caf\u00e9", "NOUN")),)
    known = TagKnown.of(train, dataclasses.replace(READING, normalisation="nfc"))
    assert known.words == ("caf\u00e9",)
    again = TagKnown.from_dict(known.to_dict())
    assert again.word_ids(["cafe\u0301"]).tolist() == [1]
    assert len(WordExamples(train, again).batch(np.array([0])).input.spellings) == 4


def test_runs_of_before_the_scheme_was_kept_have_that_of_the_letters():
    content = TagKnown.of(IOB1, READING).to_dict()
    del content["scheme"]
    assert TagKnown.from_dict(content).scheme.name == "IOB2"
    with pytest.raises(ValueError, match="scheme 'IOB9'"):
        TagKnown.from_dict({**content, "scheme": {"name": "IOB9", "broken": []}})


def test_what_is_known_comes_back_from_plain_values():
    for part in (TRAIN, (source("x = 1\n"),)):
        known = TagKnown.of(part, READING)
        again = TagKnown.from_dict(known.to_dict())
        assert again.to_dict() == known.to_dict()
        assert again.word_ids(["the", "cat"]).tolist() == known.word_ids(["the", "cat"]).tolist()


def test_a_batch_has_each_spelling_once():
    known = TagKnown.of(TRAIN, READING)
    part = (TRAIN[1], sentence(), sentence(("cat", "NEW"), ("Cat", "DET")))
    examples = WordExamples(part, known)
    assert examples.lengths.tolist() == [4, 0, 2]
    assert examples.counts.tolist() == [3, 0, 1]
    batch = examples.batch(np.array([2, 1, 0]))
    words = batch.input
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [2, 0, 4]
    assert batch.target[:, 0].tolist() == [4, 0, 0, 0]  # the one that training never had comes after its four
    assert batch.target[:, 2].tolist() == [0, -1, 2, 3]
    assert words.spellings.shape[1] == 5  # cat, Cat, the, sat, qui
    for row, given in enumerate((part[2], part[1], part[0])):
        for step, word in enumerate(given.words):
            place = words.places[step, row]
            spelt = words.spellings[: words.spelling_lengths[place], place]
            assert known.characters.encode(word).tolist() == spelt.tolist()
            assert words.ids[step, row] == known.word_ids([word])[0]


def test_a_batch_of_empty_sentences_can_be_made():
    batch = WordExamples((sentence(), sentence()), TagKnown.of(TRAIN, READING)).batch(np.array([0, 1]))
    assert batch.input.ids.shape == (1, 2)
    assert batch.input.spelling_lengths.tolist() == [0]


def test_of_a_very_long_word_both_ends_are_read():
    examples = WordExamples((sentence(("t" * 500 + "sat", "X")),), TagKnown.of(TRAIN, READING))
    batch = examples.batch(np.array([0]))
    assert batch.input.spelling_lengths.tolist() == [40]
    assert batch.input.spellings[-3:, 0].tolist() == TagKnown.of(TRAIN, READING).characters.encode("sat").tolist()


def test_source_is_read_character_by_character():
    text = "if x:\n    pass  # ü\n"
    known = TagKnown.of((source(text * 3),), READING)
    assert known.tags == SYNTAX_CLASSES
    assert known.words is None
    assert known.tag_counts == tuple(np.bincount(highlight(text * 3), minlength=7))
    part = (source(text), Highlighted("b", "", np.zeros(0, np.uint8)), Highlighted("c", "é", None))
    examples = CharacterExamples(part, known)
    assert examples.lengths.tolist() == [len(text), 0, 1]
    assert examples.counts.tolist() == [len(text), 0, 0]
    batch = examples.batch(np.array([2, 0]))
    assert batch.target[:, 1].tolist() == highlight(text).tolist()
    assert batch.target[0, 0] == -1
    assert batch.input[0, 0] == 0  # unknown
    assert torch.all(batch.input[:, 1] > 0)


def test_pieces_joined_are_the_files():
    files = (source("x = 1\ny = 22\n"), source("pass\n"))
    pieces = cut(files, 5)
    assert [len(piece.text) for piece in pieces] == [5, 5, 3, 5]
    assert "".join(piece.text for piece in pieces) == files[0].text + files[1].text
    assert np.array_equal(np.concatenate([p.labels for p in pieces]), np.concatenate([f.labels for f in files]))


def test_nothing_is_no_source():
    assert not is_source(())
    assert is_source((source("x"),))
    assert not is_source(TRAIN)
