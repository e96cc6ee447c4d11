import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ostinato.data.batches.batches import Batch
from ostinato.models.tagging.tagger import Tagger
from ostinato.models.tagging.words import Words
from ostinato.nn import SpanScheme
from ostinato.recipes.tag.judge import TagJudge

from .test_spans import conlleval


class Parrot(Tagger):
    """Says what it is shown: ids of words are tags."""

    def __init__(self, tags):
        super().__init__(nn.Embedding(2, 2), tags, hidden_size=1)

    def forward(self, input, lengths=None):
        ids = input.ids if isinstance(input, Words) else input
        return nn.functional.one_hot(ids, self.num_tags).float()


def batch_of(rows, words=False):
    """Rows of (answer, target), padded with what must not be counted."""
    T = max(1, *map(len, rows))
    answers, targets = torch.zeros(T, len(rows)).long(), torch.zeros(T, len(rows)).long()
    for row, pairs in enumerate(rows):
        for step, (answer, target) in enumerate(pairs):
            answers[step, row], targets[step, row] = answer, target
    input = Words(answers, torch.ones(1, 1).long(), torch.tensor([1]), torch.zeros_like(answers)) if words else answers
    return Batch(input, targets, torch.tensor([len(pairs) for pairs in rows]), torch.arange(len(rows)))


NAMES = ["O", "B-x", "I-x", "B-y"]  # the last one training never had
pairs = st.tuples(st.integers(0, 2), st.integers(-1, 3))


@settings(deadline=None, max_examples=50)
@given(rows=st.lists(st.lists(pairs, max_size=5), min_size=1, max_size=4))
def test_figures_are_those_counted_by_hand(rows):
    judge = TagJudge(Parrot(3).eval(), NAMES, "word", scheme=SpanScheme.of(NAMES))
    for row in rows:
        judge.see(batch_of([row], words=True))
    together = TagJudge(judge.model, NAMES, "word", scheme=SpanScheme.of(NAMES))
    together.see(batch_of(rows, words=True))
    assert together.figures() == pytest.approx(judge.figures(), nan_ok=True)
    known = [(answer, target) for row in rows for answer, target in row if target >= 0]
    figures = judge.figures()
    assert judge.confusion().sum() == len(known)
    if known:
        assert figures["accuracy"] == pytest.approx(sum(a == t for a, t in known) / len(known))
    unknown = [(answer, target) for answer, target in known if answer == 0]
    if unknown:
        assert figures["unknown_word_accuracy"] == pytest.approx(sum(a == t for a, t in unknown) / len(unknown))
    else:
        assert math.isnan(figures["unknown_word_accuracy"])
    said = [conlleval([NAMES[answer] for answer, _ in row]) for row in rows]
    there = [conlleval([None if target < 0 else NAMES[target] for _, target in row]) for row in rows]
    both = sum(len(set(a) & set(b)) for a, b in zip(said, there, strict=True))
    total = sum(map(len, said + there))
    assert figures["span_f1"] == pytest.approx(2 * both / total if total else math.nan, nan_ok=True)


def test_characters_have_no_unknown_words_and_a_strange_tag_is_named():
    judge = TagJudge(Parrot(3).eval(), NAMES, "character")
    loss = judge.see(batch_of([[(0, 0), (1, 3)], []]))
    torch.testing.assert_close(loss, -torch.tensor([1.0, 0.0, 0.0]).log_softmax(0)[0])
    assert set(judge.figures()) == {"accuracy", "macro_f1"}
    assert judge.figures()["accuracy"] == 0.5
    assert judge.warnings() == ["training never had the label B-y: 1 of the characters count as errors, without a loss"]
    assert judge.pictures()["confusion"].axes[0].get_title(loc="left") == "Confusion: 2 characters"
    assert "spans" not in judge.details()
