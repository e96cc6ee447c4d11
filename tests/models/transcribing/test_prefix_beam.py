"""Prefix beam search against all paths, one after the other, and against torch's CTC loss."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from ostinato.errors import ConfigError
from ostinato.models.transcribing.lexicon import Lexicon
from ostinato.models.transcribing.prefix_beam import PrefixBeam, prefix_beam_search
from tests.models.transcribing.paths import random_log_probs, texts_of_all_paths

T, V = 5, 4


class Bigrams:
    """p(unit | the unit before), written as a table; unit 0 begins and ends."""

    def __init__(self, table: np.ndarray):
        self.table = table

    def begin(self, count):
        self.last = np.zeros(count, dtype=np.int64)
        return self.table[self.last]

    def go_on(self, origins, units):
        self.last = np.where(units > 0, units, self.last[origins])
        return self.table[self.last]

    def of(self, text):
        pairs = itertools.pairwise((0, *text, 0))
        return sum(self.table[a, b] for a, b in pairs)


@pytest.mark.parametrize("seed", range(4))
def test_a_full_beam_sums_every_path_of_every_text(seed):
    log_probs = random_log_probs(T, 2, V, seed)
    found = prefix_beam_search(log_probs, how=PrefixBeam(width=400, n_best=400))
    for row in range(2):
        wanted = texts_of_all_paths(log_probs[:, row])
        got = {each.units: math.exp(each.log_probability) for each in found[row]}
        assert got == pytest.approx(wanted, rel=1e-9)
        assert found[row][0].units == max(wanted, key=wanted.__getitem__)
        assert sum(got.values()) == pytest.approx(1.0)


def test_what_it_sums_is_the_loss_of_torch():
    log_probs = random_log_probs(7, 3, 5, seed=1, sharpness=2.0)
    lengths = [7, 4, 6]
    for row, best in enumerate(prefix_beam_search(log_probs, lengths, PrefixBeam(width=3000, n_best=20))):
        for text in best:
            loss = torch.nn.functional.ctc_loss(
                torch.from_numpy(log_probs[:, row : row + 1]),
                torch.tensor([text.units], dtype=torch.int64),
                torch.tensor([lengths[row]]),
                torch.tensor([len(text.units)]),
                reduction="sum",
            )
            assert text.log_probability == pytest.approx(-float(loss), rel=1e-9)


def test_rows_side_by_side_are_as_alone_whatever_lies_past_their_ends():
    log_probs = random_log_probs(9, 4, 6, seed=2)
    lengths = [9, 1, 5, 7]
    together = prefix_beam_search(log_probs, lengths, PrefixBeam(width=7, n_best=3))
    for row, length in enumerate(lengths):
        (alone,) = prefix_beam_search(log_probs[:length, row : row + 1], how=PrefixBeam(width=7, n_best=3))
        assert [each.units for each in together[row]] == [each.units for each in alone]
        assert together[row][0].log_probability == pytest.approx(alone[0].log_probability)


def test_a_prefix_that_was_dropped_and_comes_back_is_the_same():
    """A narrow beam never has a text twice, and what it sums is no more than all paths."""
    for seed in range(30):
        log_probs = random_log_probs(6, 1, 3, seed)
        wanted = texts_of_all_paths(log_probs[:, 0])
        (found,) = prefix_beam_search(log_probs, how=PrefixBeam(width=4, n_best=4))
        texts = [each.units for each in found]
        assert len(set(texts)) == len(texts)
        assert all(math.exp(each.log_probability) <= wanted[each.units] * (1 + 1e-9) for each in found)


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_a_scorer_and_a_bonus_are_added_once_for_each_unit_and_for_the_end(weight):
    bigrams = Bigrams(random_log_probs(V, 1, V, seed=3, sharpness=2.0)[:, 0])
    log_probs = random_log_probs(T, 2, V, seed=4)
    how = PrefixBeam(width=400, n_best=400, weight=weight, bonus=0.3)
    for row, found in enumerate(prefix_beam_search(log_probs, how=how, scorer=bigrams)):
        wanted = {
            text: math.log(p) + weight * bigrams.of(text) + 0.3 * len(text)
            for text, p in texts_of_all_paths(log_probs[:, row]).items()
        }
        assert {each.units: each.score for each in found} == pytest.approx(wanted)
        assert found[0].units == max(wanted, key=wanted.__getitem__)


def test_only_words_of_a_lexicon_are_written():
    """Units 1 and 2 are letters, 3 the blank between words."""
    words = [(1,), (1, 2), (2, 2)]
    log_probs = random_log_probs(6, 3, V, seed=5)
    lexicon = Lexicon(words, V, separator=3)

    def is_written(text):
        return not text or all(tuple(group) in words for group in _parts(text, 3))

    for row, found in enumerate(prefix_beam_search(log_probs, how=PrefixBeam(width=900, n_best=900), lexicon=lexicon)):
        wanted = {text: p for text, p in texts_of_all_paths(log_probs[:, row]).items() if is_written(text)}
        assert {each.units: math.exp(each.log_probability) for each in found} == pytest.approx(wanted)


def _parts(text, separator):
    part: list[int] = []
    for unit in (*text, separator):
        if unit == separator:
            yield part
            part = []
        else:
            part.append(unit)


def test_a_lexicon_of_units_that_are_words():
    log_probs = random_log_probs(T, 1, V, seed=6)
    (found,) = prefix_beam_search(
        log_probs, how=PrefixBeam(width=400, n_best=400), lexicon=Lexicon([(1,), (3,)], V, separator=None)
    )
    wanted = {text: p for text, p in texts_of_all_paths(log_probs[:, 0]).items() if 2 not in text}
    assert {each.units: math.exp(each.log_probability) for each in found} == pytest.approx(wanted)


def test_of_a_word_that_is_cut_off_whole_words_are_left():
    """Nothing but 1 1 2 (over and over) is likely, and no beam of one prefix ends in a whole word."""
    log_probs = np.full((4, 1, V), -50.0)
    log_probs[[0, 1, 2, 3], 0, [1, 3, 2, 2]] = 0.0
    (found,) = prefix_beam_search(log_probs, how=PrefixBeam(width=1), lexicon=Lexicon([(1,), (2, 2)], V, separator=3))
    assert found[0].units == (1,)


def test_few_candidates_and_a_margin_find_the_same_where_probabilities_are_sharp():
    log_probs = random_log_probs(20, 3, 30, seed=7, sharpness=6.0)
    exact = prefix_beam_search(log_probs, how=PrefixBeam(width=20))
    narrow = prefix_beam_search(log_probs, how=PrefixBeam(width=20, candidates=10, margin=15.0))
    assert [each[0].units for each in exact] == [each[0].units for each in narrow]


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"n_best": 17}, {"margin": 0.0}, {"candidates": 0}, {"weight": -1.0}, {"bonus": math.nan}]
)
def test_numbers_out_of_their_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="expected"):
        PrefixBeam(**wrong)


def test_a_lexicon_without_words_is_refused():
    with pytest.raises(ConfigError, match="at least one word"):
        Lexicon([()], V, separator=3)
