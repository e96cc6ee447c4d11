import re
import unicodedata
from itertools import pairwise

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from ostinato.data.tokens.words import normalised, pieces, spaced, without_marks_around

# What is joined in one way or another, among letters, marks and blanks.
HARD = (
    "aé1_.-' \u0301\u0323\u0940\u094d\u0915\u0937\u0e19\u0e49\u0e33\u0bae\u0bbf\u200d\u200c\u00ad\u2060\u0600\u0661"
    "👩👍🏽🇩🇪\ufe0f\u20e3\u2139한\u1100\u1161\u11a8"
)
TEXTS = st.text(st.sampled_from(HARD) | st.characters(codec="utf-8"), max_size=30)


def words(text, **arguments):
    return [piece for part in pieces(text, **arguments) for piece in part]


@given(TEXTS, st.sampled_from(["", "'-"]))
@example("\u2139\u200d👍", "")
@example("\x1b\u0816", "")
def test_no_word_is_cut_at_a_mark_or_within_what_people_see_as_a_character(text, within):
    for part, found in zip(text.split(), pieces(text, within=within), strict=True):
        assert "".join(found) == part
        assert all(found)
        # Behind a control character a mark has nothing to stand on, and Unicode cuts there (UAX #29, GB4).
        assert not [
            piece
            for before, piece in pairwise(found)
            if unicodedata.category(piece[0]).startswith("M") and unicodedata.category(before[-1]) != "Cc"
        ]
        ends = {match.end() for match in regex.finditer(r"\X", part)}
        assert {sum(map(len, found[: n + 1])) for n in range(len(found))} <= ends
        assert "".join(without_marks_around(part)) == part


@given(
    st.text(st.characters(codec="ascii") | st.sampled_from("äßñœЖ中\u2019—…½²"), max_size=40),
    st.sampled_from(["", "'\u2019-"]),
)
def test_of_text_without_combining_marks_words_are_those_of_before(text, within):
    assert words(text, within=within) == words(text, within=within, breaks="code points")
    if not within:
        assert words(text) == re.findall(r"\w+|[^\w\s]", text)


@pytest.mark.parametrize(
    "word",
    [
        "नमस्ते", "क्\u200dष", "தமிழ்", "สวัสดี", "น้ำ", "מָה", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "cafe\u0301",
        "Vie\u0323\u0302t",
        "한국", "👍🏽", "👩\u200d👩\u200d👧", "🇩🇪", "1\ufe0f\u20e3", "co\u00adoperate", "\u0600\u0661\u0662",
    ],
)  # fmt: skip
def test_words_of_many_languages_stay_whole(word):
    assert words(f"{word} ({word})") == [word, "(", word, ")"]
    assert without_marks_around(f"«{word}...") == ["«", word, "..."] or not word[0].isalnum()


def test_english_is_cut_as_ever():
    assert words("don't pay $1,003.5") == ["don", "'", "t", "pay", "$", "1", ",", "003", ".", "5"]
    assert words("a well-known man's", within="'\u2019-") == ["a", "well-known", "man's"]


def test_an_accent_in_two_ways_is_one_where_text_is_normalised():
    assert normalised("cafe\u0301 ﬁ", "nfc") == "café ﬁ"
    assert normalised("cafe\u0301 ﬁ", "nfkc") == "café fi"
    assert normalised("cafe\u0301", "none") == "cafe\u0301"
    assert normalised("CAFE\u0301", "nfc", lower_case=True) == "café"


@given(text=TEXTS)
def test_what_follows_without_a_blank_has_the_joiner_before_it(text):
    assert spaced(text).split() == words(text)
    if "￭" not in text:
        assert spaced(text, joiner="￭").replace(" ￭", "") == " ".join(text.split())
