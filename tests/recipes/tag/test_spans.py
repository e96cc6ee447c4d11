import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.data.records.conll import Sentence
from ostinato.recipes.tag.spans import SpanCounter, scheme_told, spans

TAGS = [None, "O", "X", *(f"{mark}-{kind}" for mark in "BIES" for kind in ("PER", "LOC"))]


def conlleval(tags):
    """Spans by the rules of conlleval: for each boundary, does a span end there, does one begin?"""
    marks = [("O", "") if t is None or t[:2] not in ("B-", "I-", "E-", "S-") else (t[0], t[2:]) for t in tags]
    found, first = [], None
    for step, (before, now) in enumerate(zip([("O", ""), *marks], [*marks, ("O", "")], strict=True)):
        ends = before[0] != "O" and (before[0] in "ES" or now[0] in "BSO" or now[1] != before[1])
        begins = now[0] != "O" and (now[0] in "BS" or before[0] in "ESO" or now[1] != before[1])
        if ends:
            found.append((first, step, before[1]))
        if begins:
            first = step
    return found


@given(st.lists(st.sampled_from(TAGS), max_size=12))
def test_spans_are_those_of_conlleval(tags):
    assert list(spans(tags)) == conlleval(tags)


def test_spans_of_the_usual_forms():
    assert list(spans(["B-PER", "I-PER", "O", "B-LOC", "B-LOC"])) == [(0, 2, "PER"), (3, 4, "LOC"), (4, 5, "LOC")]
    assert list(spans(["I-PER", "I-LOC", "O", "S-LOC", "B-PER", "E-PER"])) == [
        (0, 1, "PER"),
        (1, 2, "LOC"),
        (3, 4, "LOC"),
        (4, 6, "PER"),
    ]
    assert list(spans([])) == []


def test_only_whole_spans_of_the_right_kind_are_found():
    counter = SpanCounter()
    counter.add(["B-PER", "I-PER", "O", "B-LOC", "O"], ["B-PER", "O", "O", "B-LOC", "B-LOC"])
    counter.add(["B-PER", "O"], ["B-LOC", "O"])
    # There: 2 PER, 1 LOC. Said: 1 PER, 3 LOC. Both: 1 LOC.
    assert counter.f1() == pytest.approx(2 * 1 / (3 + 4))
    found = counter.details()
    assert found["PER"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "examples": 2}
    assert found["LOC"] == pytest.approx({"precision": 1 / 3, "recall": 1.0, "f1": 0.5, "examples": 1})


def test_nothing_is_divided_by_nothing():
    counter = SpanCounter()
    counter.add(["O", None], ["O", "O"])
    assert math.isnan(counter.f1())
    assert counter.details() == {}


@pytest.mark.parametrize(
    ("tagged", "line"),
    [
        (["B-x I-x O"], "the tags mark spans by the scheme IOB2"),
        (["I-x B-x O"], "the tags mark spans by the scheme IOB1"),
        (
            ["B-x I-x O B-x", "I-x O", "O I-x"],
            (
                "the tags mark spans by the scheme IOB2, but break it in 2 places; "
                "the first is I-x at the beginning, in the sentence of line 2: a CRF may answer so too"
            ),
        ),
        (["B-x O NOUN"], "tags like B-x would mark spans, but NOUN has another form: spans are not counted"),
    ],
)
def test_the_scheme_is_told_in_a_line(tagged, line):
    sentences = [Sentence(tuple(tags.split()), tuple(tags.split()), n) for n, tags in enumerate(tagged, start=1)]
    assert scheme_told(sentences) == [line]


def test_nothing_is_told_of_tags_that_mark_no_spans():
    assert scheme_told([Sentence(("a", "b"), ("NOUN", None), 1)]) == []
