import itertools
import random

import pytest

from ostinato.nn import SpanScheme
from ostinato.nn.crf.span_schemes import mark_of
from ostinato.recipes.tag.spans import spans

LETTERS = {
    "IO": "III", "IOB1": "III", "IOB2": "BII", "IOE1": "III", "IOE2": "IIE", "IOBES": "BIE", "BILOU": "BIL", "BMEWO": "BME",
    "BMES": "BME",
}  # fmt: skip
ALONE = {"IOB2": "B", "IOE2": "E", "IOBES": "S", "BILOU": "U", "BMEWO": "W", "BMES": "S"}


def written(scheme, length, found):
    """Tags of spans (first, end, kind), by the definition of the scheme."""
    tags = ["O"] * length
    first, inside, last = LETTERS[scheme]
    for begin, end, kind in found:
        letters = [first, *inside * (end - begin - 2), last] if end - begin > 1 else [ALONE.get(scheme, "I")]
        if scheme == "IOB1" and (begin, kind) in {(other_end, k) for _, other_end, k in found}:
            letters[0] = "B"
        if scheme == "IOE1" and (end, kind) in {(other, k) for other, _, k in found}:
            letters[-1] = "E"
        tags[begin:end] = [f"{letter}-{kind}" for letter in letters]
    return tags


def drawn(draw, touching=True):
    found, at = [], 0
    while at < 12:
        end = at + draw.choice((1, 1, 2, 3))
        kind = draw.choice("xy")
        touches = found and found[-1][1:] == (at, kind)
        if draw.random() < 0.6 and (touching or not touches):
            found.append((at, end, kind))
        at = end
    return at, found


@pytest.mark.parametrize("scheme", LETTERS)
def test_a_scheme_is_found_in_its_tags_and_they_are_read_as_they_were_written(scheme):
    draw = random.Random(0)
    given = [drawn(draw, touching=scheme != "IO") for _ in range(60)]
    sentences = [written(scheme, *each) for each in given]
    found = SpanScheme.of({tag for tags in sentences for tag in tags}, sentences)
    assert (found.name, found.broken) == (scheme, ())
    assert [list(spans(tags, found.read)) for tags in sentences] == [each for _, each in given]


@pytest.mark.parametrize("scheme", LETTERS)
def test_a_scheme_allows_what_somebody_could_have_written_in_it_and_nothing_else(scheme):
    letters = {*LETTERS[scheme], *ALONE.get(scheme, "")} | {"IOB1": {"B"}, "IOE1": {"E"}}.get(scheme, set())
    tags = ["O", *(f"{letter}-{kind}" for letter in sorted(letters) for kind in "xy")]
    rules = SpanScheme(scheme, SpanScheme.of(tags).marks)
    for length in range(1, 4):
        for tagged in itertools.product(tags, repeat=length):
            allowed = all(itertools.starmap(rules.allows, itertools.pairwise([None, *tagged, None])))
            assert allowed == (written(scheme, length, list(spans(tagged, rules.read))) == list(tagged)), tagged


@pytest.mark.parametrize(
    ("tags", "kinds"),
    [
        (["O", "B_PER", "I_PER"], {"", "PER"}),
        (["O", "PER-B", "PER-I"], {"", "PER"}),
        (["O", "PER_B", "PER_I", "LOC_B"], {"", "PER", "LOC"}),
        (["B", "I", "O"], {""}),
        (["B", "M", "E", "S"], {""}),
        (["B-a-b", "I-a-b", "O"], {"", "a-b"}),
    ],
)
def test_tags_are_written_in_many_ways(tags, kinds):
    scheme = SpanScheme.of(tags)
    assert {scheme.read(tag).kind for tag in tags} == kinds
    assert scheme.read(tags[0].replace("PER", "NEW").replace("O", "X")).letter in ("O", "B")


@pytest.mark.parametrize(
    "tags", [["NOUN", "VERB"], ["O"], [], ["O", "NOUN", "B-x"], ["S-bar", "O"], ["I", "O"], ["B-x", "B_y"]]
)
def test_other_tags_mark_no_spans(tags):
    assert SpanScheme.of(tags) is None


def test_what_the_data_break_is_allowed_and_known():
    whole, broken = ["O", "B-x", "I-x", "O"], ["O", "I-x", "B-y", "O"]
    scheme = SpanScheme.of(["O", "B-x", "I-x", "B-y", "I-y"], [whole] * 9 + [broken])
    assert (scheme.name, scheme.broken) == ("IOB2", (("O", "I-x"),))
    assert scheme.allows("O", "I-x")
    assert not scheme.allows("O", "I-y")
    assert not scheme.allows("B-y", "I-x")


def test_a_step_without_a_tag_says_nothing():
    scheme = SpanScheme.of(["O", "B-x", "I-x"], [["B-x", None, "I-x"], [None], []])
    assert (scheme.name, scheme.broken) == ("IOB2", ())
    assert mark_of(None) == mark_of("O")
