from collections import defaultdict

import pytest

from ostinato.data.records.pairs import Pair, Pairs
from ostinato.recipes.translate.baselines import baselines, word_by_word, word_table
from ostinato.recipes.translate.settings import ScoringSettings, TranslateReadingSettings

TEXTS = [
    ("das Haus", "the house"),
    ("das Buch", "the book"),
    ("ein Buch", "a book"),
    ("ein Haus, das Buch", "a house, the book"),
]
PAIRS = tuple(Pair(*each) for each in TEXTS)


def model_1(texts, rounds):
    """IBM model 1 over different words of each pair, as the paper's equations say it."""
    words = [
        (["", *dict.fromkeys(a.replace(",", " ,").split())], [*dict.fromkeys(b.replace(",", " ,").split())])
        for a, b in texts
    ]
    t = {(e, f): 1.0 for sources, targets in words for e in sources for f in targets}
    for _ in range(rounds):
        counts = defaultdict(float)
        for sources, targets in words:
            for f in targets:
                total = sum(t[e, f] for e in sources)
                for e in sources:
                    counts[e, f] += t[e, f] / total
        t = {
            (e, f): count / sum(c for (other, _), c in counts.items() if other == e) for (e, f), count in counts.items()
        }
    return t


def test_the_table_is_that_of_ibm_model_1():
    t, table = model_1(TEXTS, 5), word_table(PAIRS)
    assert set(table) == {e for e, _ in t} - {""}
    for e, f in table.items():
        assert t[e, f] == pytest.approx(max(p for (other, _), p in t.items() if other == e))
    assert {e: table[e] for e in ("das", "Haus", "ein", "Buch")} == {
        "das": "the",
        "Haus": "house",
        "ein": "a",
        "Buch": "book",
    }


def test_words_that_are_not_in_the_table_stay_and_so_do_blanks():
    assert word_by_word("ein Haus, ein Kiel!", word_table(PAIRS)) == "a house, a Kiel!"
    assert word_table(()) == {}
    assert word_table((Pair("", "x"), Pair("x", ""))) == {}


def test_copies_and_words_are_judged_as_translations_are():
    part = Pairs("test", (Pair("Das Buch", "the book"), Pair("Kiel", "Kiel")), (), 0)
    train = Pairs("train", PAIRS, (), 0)
    found = baselines(train, {"test": part}, TranslateReadingSettings(lower_case=True), ScoringSettings())["test"]
    assert found["copy of the source"]["exact_match"] == 0.5
    assert found["word by word"]["exact_match"] == 1.0
    assert found["word by word"]["chrf"] == pytest.approx(100.0)
