"""Greedy decoding and sampling against a plain loop over one row."""

import itertools
import math
from collections import Counter

import pytest
import torch

from ostinato.errors import ConfigError, ModelError
from ostinato.models import Hypothesis, StepByStep, copy_unknown, decode
from ostinato.models.writing.decoding import log_softmax
from tests.models.support import small

from .test_beam import END, Table


def by_hand(model, row, max_length):
    tokens, last, p = [], (model.begin, model.begin), 0.0
    while True:
        log_p = model.log_p[row, last[0], last[1]]
        token = END if len(tokens) == max_length else int(log_p.argmax())
        p += float(log_p[token])
        if token == END:
            return tuple(tokens), p
        tokens.append(token)
        last = (last[1], token)


def test_greedy_takes_the_most_likely_token_at_each_step():
    model = Table(9, 5)
    limits = [8, 0, 1, 2, 8, 20, 3, 8, 8]
    found = decode(model, model.start(range(9)), 9, begin=model.begin, end=END, max_length=limits)
    for row, (hypothesis, limit) in enumerate(zip(found, limits, strict=True)):
        tokens, p = by_hand(model, row, limit)
        assert hypothesis.tokens == tokens
        assert hypothesis.log_probability == pytest.approx(p)
        assert hypothesis.is_finished
        read = [model.begin, *tokens[:-1]]
        assert (hypothesis.positions or ()) == (
            tuple(int(model.weights[row, t].argmax()) for t in read) if tokens else ()
        )


def draw(model, rows, **arguments):
    return decode(
        model, model.start(rows), len(rows), begin=model.begin, end=END, **{"max_length": 6, "temperature": 1.0, **arguments}
    )  # fmt: skip


def test_a_seed_draws_the_same_again_whatever_the_other_rows_are():
    model = Table(3, 5)
    first = [h.tokens for h in draw(model, [0, 1, 2], seed=3)]
    torch.rand(5)
    assert [h.tokens for h in draw(model, [0, 1, 2], seed=3)] == first
    assert draw(model, [0, 2, 1], seed=3)[0].tokens == first[0]
    several = {tuple(h.tokens for h in draw(model, [0, 1, 2], seed=seed)) for seed in range(8)}
    assert len(several) > 4


def test_draws_follow_the_probabilities():
    model = Table(1, 3)
    rows, limit = 4000, 1
    drawn = Counter(h.tokens for h in draw(model, [0] * rows, seed=0, max_length=limit))
    p = model.log_p[0, model.begin, model.begin].exp()
    for token in range(3):
        expected = float(p[token])
        tolerance = 4 * math.sqrt(expected * (1 - expected) / rows)
        assert drawn[() if token == END else (token,)] / rows == pytest.approx(expected, abs=tolerance)


def test_what_is_not_allowed_is_not_drawn():
    model = Table(1, 4)
    best = {int(model.log_p[0, a, b].argmax()) for a, b in itertools.product(range(5), repeat=2)}
    for h in draw(model, [0] * 50, seed=0, top_k=1):
        assert set(h.tokens) <= best
    assert all(2 not in h.tokens for h in draw(model, [0] * 50, seed=0, forbidden=[2]))


def test_decoding_can_be_stopped():
    model = Table(2, 4)
    model.log_p[:, :, :, END] = -50.0
    asked = iter([False, False, False, True])
    found = decode(
        model, model.start([0, 1]), 2, begin=model.begin, end=END, max_length=10**9, should_stop=lambda: next(asked)
    )
    assert [(len(h.tokens), h.is_finished) for h in found] == [(3, False)] * 2


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_end_that_is_impossible_leaves_a_row_of_its_longest_unfinished(temperature):
    model = Table(2, 4)
    model.log_p[0, :, :, END] = -math.inf
    first, second = draw(model, [0, 1], max_length=3, temperature=temperature, should_stop=at_most(4))
    assert (len(first.tokens), first.log_probability, first.is_finished) == (3, -math.inf, False)
    assert second.is_finished


def at_most(steps):
    asked = itertools.count()

    def should_stop():
        assert next(asked) < steps
        return False

    return should_stop


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_scores_that_are_no_numbers_are_told(temperature, bad):
    model = Table(2, 4)
    model.log_p[1, :, :, 2] = bad
    with pytest.raises(
        ModelError, match=f"token 1 of row 1 that are numbers, got {'NaN' if bad != bad else 'infinity'}"
    ):
        draw(model, [0, 1], temperature=temperature)
    assert draw(model, [0, 1], temperature=temperature, forbidden=[2])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_weights_that_are_no_numbers_are_named(temperature):
    model = small()
    with torch.no_grad():
        model.output.bias[1] = math.nan
    with pytest.raises(ModelError, match=r"output\.bias"):
        model.generate("", 5, temperature=temperature)
    with pytest.raises(ModelError, match=r"output\.bias"):
        decode(StepByStep(model), None, 1, begin=0, end=None, max_length=5, temperature=temperature)


def test_a_language_model_writes_what_it_generates():
    model = small()
    (found,) = decode(
        StepByStep(model), None, 1, begin=model.vocabulary.encode("\n")[0].item(), end=None, max_length=12
    )
    assert model.vocabulary.decode(found.tokens) == model.generate("", 12, temperature=0.0)


def test_unknown_words_are_copied_from_where_the_model_looked():
    words = ["<unk>", "the", "sleeps"]
    hypothesis = Hypothesis((1, 0, 2), -1.0, -1.0, positions=(0, 1, 2))
    assert list(copy_unknown(words, hypothesis, ["die", "Ottilie", "schläft"], 0)) == ["the", "Ottilie", "sleeps"]
    blind = Hypothesis((1, 0), -1.0, -1.0)
    assert list(copy_unknown(words, blind, ["die"], 0)) == ["the", "<unk>"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_log_probabilities_are_written_over_logits_only_where_nothing_is_recorded(dtype):
    logits = torch.randn(3, 50).to(dtype)
    expected = logits.double().log_softmax(1)
    before = logits.clone()
    recorded = log_softmax(logits.requires_grad_())
    torch.testing.assert_close(recorded.double(), expected, rtol=1e-6, atol=1e-5)
    assert recorded.requires_grad
    assert torch.equal(logits, before)
    with torch.no_grad():
        torch.testing.assert_close(log_softmax(logits).double(), expected, rtol=1e-6, atol=1e-5)


def test_logits_that_share_their_memory_are_not_written_over():
    row = torch.randn(1, 50)
    expected = row.log_softmax(1).expand(3, 50)
    with torch.no_grad():  # as of a model that says the same of every row
        torch.testing.assert_close(log_softmax(row.expand(3, 50)), expected)


def test_errors_say_what_was_expected():
    model = Table(1, 3)
    with pytest.raises(ConfigError, match="max_length: expected at least 0"):
        draw(model, [0], max_length=-1)
    with pytest.raises(ConfigError, match="temperature"):
        draw(model, [0], temperature=-1.0)
