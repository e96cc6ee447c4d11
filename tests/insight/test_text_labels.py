import io
import tokenize

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.insight.text_labels import labels, looks_like_python

CODE = '''import os, re
from sys import path

class Reader(object):
    """Reads "things" # not a comment.

    It's fine.
    """
    def read(self, name, size=[1, (2, 3)]):
        # a comment with "quotes" and (brackets)
        text = "a # b" + 'it\\'s' + f(x[0])
        return {text: r"\\\\", name: 12}
'''
PROSE = 'He said: "Call me Ishmael (or not)." Then he left.\n\nShe never “quite” knew why.\n'


def by_name(text):
    return {label.name: label.values for label in labels(text)}


def marked(text, name):
    """The characters at which a label holds."""
    return "".join(char if value else "." for char, value in zip(text, by_name(text)[name], strict=True))


def python_tokens(text, kinds):
    """Where the characters of Python's own tokens are, each from its first to just before its last character."""
    inside = np.zeros(len(text), dtype=bool)
    lines = np.cumsum([0, *map(len, text.splitlines(keepends=True))])
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds:
            (row, column), (last_row, last_column) = token.start, token.end
            first = lines[row - 1] + column
            # A prefix is not in the string yet; nor is the closing mark any more. Three marks count as one.
            first += len(token.string) - len(token.string.lstrip("rbfu"))
            width = (
                0 if token.type == tokenize.COMMENT else 3 if token.string.lstrip("rbfu")[:3] in ('"""', "'''") else 1
            )
            inside[first : lines[last_row - 1] + last_column - width] = True
    return inside


def test_strings_and_comments_are_those_of_pythons_own_tokenizer():
    assert looks_like_python(CODE)
    found = by_name(CODE)
    strings = python_tokens(CODE, {tokenize.STRING})
    both = found["inside quotes"].astype(bool) | found["inside a docstring"].astype(bool)
    assert np.array_equal(both, strings)
    assert np.array_equal(found["inside a comment"].astype(bool), python_tokens(CODE, {tokenize.COMMENT}))
    assert np.array_equal(found["inside any string or comment"], np.maximum(both, found["inside a comment"]))


def test_depth_counts_the_brackets_that_python_sees():
    expected, depth = np.zeros(len(CODE)), 0
    skipped = by_name(CODE)["inside any string or comment"]
    for place, char in enumerate(CODE):
        if not skipped[place]:
            depth += (char in "([{") - (char in ")]}")
        expected[place] = depth
    found = by_name(CODE)
    assert np.array_equal(found["depth of brackets"], expected)
    assert np.array_equal(found["inside brackets"], expected > 0)
    assert expected.max() == 3


def test_lines_and_keywords_of_python():
    def where(name):
        values = by_name(CODE)[name].astype(bool)
        return "".join(char if value else "~" for char, value in zip(CODE, values, strict=True)).split("~")

    assert [each for each in where("in an import") if each] == ["import os, re", "from sys import path"]
    definitions = [each.strip() for each in where("in the line of a definition") if each]
    assert definitions == ["class Reader(object):", "def read(self, name, size=[1, (2, 3)]):"]
    assert [each for each in where("keyword") if each] == ["import", "from", "import", "class", "def", "return"]


def test_quotes_and_brackets_of_prose():
    assert not looks_like_python(PROSE)
    assert marked(PROSE, "inside quotes").replace(".", "") == '"Call me Ishmael (or not)“quite'
    assert (
        "".join(char for char, value in zip(PROSE, by_name(PROSE)["inside brackets"], strict=True) if value)
        == "(or not"
    )
    assert "inside a comment" not in by_name(PROSE)


def test_a_paragraph_ends_what_was_never_closed():
    text = 'An "open quote (never closed\n\nA new one'
    found = by_name(text)
    end = text.index("\n\n") + 1
    assert found["inside quotes"][end - 1] == 1
    assert not found["inside quotes"][end:].any()
    assert not found["inside brackets"][end:].any()


def test_places_in_the_line_by_hand():
    text = "ab\n\n  Cd 1\n"
    found = by_name(text)
    assert found["position in the line"].tolist() == [1, 2, 0, 0, 1, 2, 3, 4, 5, 6, 0]
    assert found["after a newline"].tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert found["line end"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1]
    assert found["empty line"].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert found["indentation"].tolist() == [0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 0]
    assert found["in the indentation"].tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    assert found["position in the word"].tolist() == [1, 2, 0, 0, 0, 0, 1, 2, 0, 1, 0]
    assert found["capital letter"].tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert found["digit"].tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]
    assert found["vowel"].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]


@given(st.text(alphabet="ab \n\t'\"#()[]\\=1A:é", max_size=80), st.booleans())
def test_any_text_has_a_finite_value_for_every_character(text, as_python):
    if as_python:
        text = "import os\n" * 5 + text
    found = labels(text)
    assert len({label.name for label in found}) == len(found)
    for label in found:
        assert label.values.shape == (len(text),)
        assert label.values.dtype == np.float32
        assert (label.values >= 0).all()
        if label.is_binary:
            assert set(label.values.tolist()) <= {0.0, 1.0}
            assert label.unit == ""
        else:
            assert label.unit
            assert (label.values == np.rint(label.values)).all()


@pytest.mark.parametrize("text", ["", "\n", "x"])
def test_short_texts(text):
    assert all(len(label.values) == len(text) for label in labels(text))
