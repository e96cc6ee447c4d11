"""Markov models against a literal, dictionary-based reading of the papers' equations."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import ConfigError, DataError
from ostinato.models.text import markov
from ostinato.models.text.markov import Markov, compare_orders

SMOOTHINGS = ("witten-bell", "kneser-ney")


class Literal:
    """The same two models, slowly: tuples of tokens in dictionaries, one probability at a time."""

    def __init__(self, runs, V, order, smoothing):
        self.V, self.order, self.smoothing = V, order, smoothing
        self.seen = {int(token) for run in runs for token in run}
        self.occurrences = defaultdict(int)
        self.before = defaultdict(set)  # n-gram -> tokens that were seen before it
        for run in runs:
            tokens = tuple(int(token) for token in run)
            for end in range(1, len(tokens) + 1):
                for start in range(max(end - order - 1, 0), end):
                    self.occurrences[tokens[start:end]] += 1
                    if start > 0:
                        self.before[tokens[start:end]].add(tokens[start - 1])

    def count(self, gram):
        highest = self.smoothing == "witten-bell" or len(gram) == self.order + 1
        return self.occurrences.get(gram, 0) if highest else len(self.before.get(gram, ()))

    def discount(self, n, r):
        of = [0] * 6
        for gram in self.occurrences:
            if len(gram) == n and 1 <= self.count(gram) <= 5:
                of[self.count(gram)] += 1
        Y = of[1] / (of[1] + 2 * of[2]) if of[1] * of[2] else 0.5
        if of[r] * of[r + 1]:
            D = (
                (1 - 2 * Y * of[2] / of[1])
                if r == 1
                else (2 - 3 * Y * of[3] / of[2])
                if r == 2
                else (3 - 4 * Y * of[4] / of[3])
            )
            if 0 < D < r:
                return D
        return Y

    def p(self, context, token):
        context = tuple(context)[max(len(context) - self.order, 0) :]
        lower = self.p(context[1:], token) if context else 1 / self.V
        followers = [count for w in self.seen if (count := self.count((*context, w))) > 0]
        if not followers:
            return lower
        count, total = self.count((*context, token)), sum(followers)
        if self.smoothing == "witten-bell":
            return (count + len(followers) * lower) / (total + len(followers))
        D = {r: self.discount(len(context) + 1, r) for r in (1, 2, 3)}
        left = sum(D[min(follower, 3)] for follower in followers)
        return (count - (D[min(count, 3)] if count else 0) + left * lower) / total

    def losses(self, ids):
        return [-math.log(self.p(ids[max(i - self.order, 0) : i], token)) for i, token in enumerate(ids)]


def text(seed, length, V):
    """Tokens with some structure: counts of counts from 1 to 4 occur, and so do unseen contexts."""
    random = np.random.default_rng(seed)
    return (random.integers(0, V, length) * random.integers(0, 2, length) + np.arange(length) // 3) % V


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", [0, 1, 2, 4])
@pytest.mark.parametrize("largest", [2**63 - 1, 40])
def test_equals_the_equations(monkeypatch, smoothing, order, largest):
    monkeypatch.setattr(markov, "_LARGEST", largest)  # with 40 nearly every length has to be renumbered
    runs, V = [text(1, 60, 6), text(2, 1, 6), text(3, 25, 6)], 6
    ids = text(4, 40, 6)
    literal = Literal(runs, V, order, smoothing)
    np.testing.assert_allclose(Markov(order, V, smoothing).fit(runs).score(ids), literal.losses(list(ids)), rtol=1e-12)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_equals_the_equations_where_n_grams_overflow_64_bits(smoothing):
    V, order = 2**20, 5
    rare = np.array([7, 2**20 - 1, 12, 2**19, 9])
    runs, ids = [rare[text(5, 80, 5)], rare[:2]], np.append(rare[text(6, 30, 5)], 3)
    literal = Literal(runs, V, order, smoothing)
    model = Markov(order, V, smoothing).fit(runs)
    np.testing.assert_allclose(model.score(ids), literal.losses(ids.tolist()), rtol=1e-12)
    for end in range(len(ids)):
        distribution = model.probabilities(ids[:end])
        assert distribution.sum() == pytest.approx(1, abs=1e-9)
        assert -math.log(distribution[ids[end]]) == pytest.approx(model.score(ids)[end], rel=1e-9)


tokens = st.lists(st.integers(0, 4), max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(tokens, min_size=1, max_size=3), tokens, st.integers(0, 3), st.sampled_from(SMOOTHINGS))
def test_any_text_equals_the_equations_and_sums_to_one(runs, ids, order, smoothing):
    runs = [[0, 1], *runs]
    model = Markov(order, 5, smoothing).fit([np.array(run, dtype=np.uint8) for run in runs])
    literal = Literal(runs, 5, order, smoothing)
    np.testing.assert_allclose(model.score(np.array(ids, dtype=np.uint8)), literal.losses(ids), rtol=1e-11)
    distribution = model.probabilities(ids)
    assert distribution.min() > 0
    assert distribution.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(distribution, [literal.p(ids, w) for w in range(5)], rtol=1e-11)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_score_is_the_log_of_probabilities(smoothing):
    model, ids = Markov(3, 9, smoothing).fit(text(1, 400, 9)), text(2, 50, 9)
    expected = [-np.log(model.probabilities(ids[:i])[token]) for i, token in enumerate(ids)]
    np.testing.assert_allclose(model.score(ids), expected, rtol=1e-12)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_compare_orders_equals_one_model_an_order(smoothing):
    runs, ids = [text(1, 300, 7), text(2, 90, 7)], text(3, 80, 7)
    compared = compare_orders(runs, ids, 7, orders=[4, 0, 2], smoothing=smoothing)
    assert list(compared) == [4, 0, 2]
    for order, loss in compared.items():
        assert loss == pytest.approx(Markov(order, 7, smoothing).fit(runs).score(ids).mean(), rel=1e-12)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_noise_costs_the_entropy_of_the_alphabet(smoothing):
    random = np.random.default_rng(0)
    loss = Markov(1, 8, smoothing).fit(random.integers(0, 8, 50_000)).score(random.integers(0, 8, 20_000)).mean()
    assert loss == pytest.approx(math.log(8), abs=0.01)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_a_text_that_repeats_costs_next_to_nothing(smoothing):
    text = np.tile([0, 1, 2, 1, 3], 2000)
    assert Markov(2, 50, smoothing).fit(text).score(text)[2:].max() < 0.01


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_no_n_gram_crosses_from_run_to_run(smoothing):
    apart = Markov(1, 4, smoothing).fit([np.array([0, 1]), np.array([2, 3])])
    joined = Markov(1, 4, smoothing).fit(np.array([0, 1, 2, 3]))
    np.testing.assert_allclose(apart.probabilities([1]), apart.probabilities([]))
    assert joined.probabilities([1])[2] > joined.probabilities([])[2]


def test_a_known_witten_bell_value():
    # "a b a c": c(a)=2, c(b)=c(c)=1, three types; p(a) = (2 + 3/3) / (4 + 3). After a: b and c, once each.
    model = Markov(1, 3).fit(np.array([0, 1, 0, 2]))
    assert model.probabilities([])[0] == pytest.approx(3 / 7)
    assert model.probabilities([0])[1] == pytest.approx((1 + 2 * 2 / 7) / (2 + 2))


def test_score_does_not_depend_on_the_type_of_the_ids():
    ids = text(1, 100, 6)
    model = Markov(2, 6).fit(ids.astype(np.uint8))
    np.testing.assert_array_equal(model.score(ids.astype(np.uint16)), model.score(ids))


def test_generate_follows_what_was_counted_and_its_seed():
    model = Markov(2, 6).fit(np.tile([0, 1, 2, 1, 3], 50_000))
    assert model.generate(7, prompt=[0, 1], seed=1).tolist() == [2, 1, 3, 0, 1, 2, 1]
    noisy = Markov(1, 6).fit(text(1, 200, 6))
    first = noisy.generate(60, seed=5)
    np.testing.assert_array_equal(first, noisy.generate(60, seed=5))
    assert first.tolist() != noisy.generate(60, seed=6).tolist()
    assert noisy.generate(0).shape == (0,)


def test_generate_draws_with_the_models_probabilities():
    model = Markov(0, 3).fit(np.array([0, 0, 0, 1]))
    drawn = np.bincount(model.generate(20_000, seed=0), minlength=3) / 20_000
    np.testing.assert_allclose(drawn, model.probabilities([]), atol=0.015)  # over four standard deviations


@pytest.mark.parametrize(
    ("error", "wrong", "says"),
    [
        (ConfigError, lambda: Markov(-1, 5), "order must be 0 or more tokens of context; got -1"),
        (ConfigError, lambda: Markov(1, 0), "vocabulary_size must be at least 1; got 0"),
        (ConfigError, lambda: Markov(1, 5, "laplace"), "smoothing must be witten-bell or kneser-ney; got 'laplace'"),
        (DataError, lambda: Markov(1, 5).score(np.array([1])), "call fit"),
        (DataError, lambda: Markov(1, 5).fit([]), "at least one token"),
        (DataError, lambda: Markov(1, 5).fit(np.array([1, 5])), "ids from 0 to 4; got 5"),
        (DataError, lambda: Markov(1, 5).fit(np.array([-1, 2])), "ids from 0 to 4; got -1"),
        (DataError, lambda: Markov(1, 5).fit(np.array([[1, 2]])), r"shape \(N,\); got shape \(1, 2\)"),
        (DataError, lambda: Markov(1, 5).fit(np.array([1])).probabilities([9]), "got 9"),
        (DataError, lambda: compare_orders(np.array([1]), np.array([], int), 5), "one token to score"),
    ],
)
def test_wrong_input_says_what_was_expected(error, wrong, says):
    with pytest.raises(error, match=says):
        wrong()


def test_a_long_text_is_scored_block_by_block_as_one(monkeypatch):
    random = np.random.default_rng(0)
    seen, ids = random.integers(0, 4, 500), random.integers(0, 4, 100)
    whole = compare_orders(seen, ids, 4, (1, 3))
    monkeypatch.setattr(markov, "_SCORED", 7)
    assert compare_orders(seen, ids, 4, (1, 3)) == pytest.approx(whole, rel=1e-12)
