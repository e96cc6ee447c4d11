import math

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel
from torch import nn

from ostinato.data import Batch, Chunk
from ostinato.training import Evaluation, evaluate
from ostinato.training.loop.evaluation import bits_per_character


class Counter(nn.Module):
    """Its loss is how many chunks came before."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.modes = []

    def loss(self, chunk, state=None):
        self.modes.append((self.training, torch.is_grad_enabled()))
        state = torch.zeros(()) if state is None else state + 1
        return self.weight * state, state


def chunk(T):
    return Chunk(torch.zeros(T, 2, dtype=torch.int64), torch.zeros(T, 2, dtype=torch.int64), None)


def test_chunks_weigh_what_they_hold_and_the_state_is_carried():
    model = Counter().train()
    result = evaluate(model, [chunk(4), chunk(4), chunk(1)])
    assert result == Evaluation(nats=0 * 8 + 1 * 8 + 2 * 2, tokens=18)
    assert result.nats_per_token == 12 / 18
    assert set(model.modes) == {(False, False)}
    assert model.training


def test_it_can_be_given_up():
    answers = iter([False, True])
    assert evaluate(Counter(), [chunk(1)] * 5, should_stop=lambda: next(answers)) is None


def test_nothing_to_evaluate_on_is_an_error():
    with pytest.raises(ValueError, match="at least one chunk"):
        evaluate(Counter(), [])
    batch = Batch(torch.zeros(3, 2, dtype=torch.int64), torch.zeros(2), None, torch.arange(2), count=0)
    with pytest.raises(ValueError, match="at least one token or example to evaluate on, got none in 1 chunks"):
        evaluate(Counter(), [batch])


def test_bits_of_a_fair_coin_a_character():
    assert bits_per_character(4 * math.log(2), characters_per_token=4) == pytest.approx(1.0)


def test_of_few_examples_what_they_cannot_tell_from_the_lowest_is_as_good():
    random = np.random.default_rng(0)
    for _ in range(200):
        before, now = random.random(9), random.random(9)
        told = Evaluation(0.0, 9, losses=tuple(now.tolist())).is_as_good_as(before.tolist())
        assert told == (ttest_rel(now, before).statistic <= 1.0)
    assert Evaluation(1.0, 1, losses=(1.0,)).is_as_good_as([1.0])
    assert not Evaluation(1.0, 1, losses=(1.1,)).is_as_good_as([1.0])
    assert not Evaluation(1.0, 2, losses=(math.nan, 0.0)).is_as_good_as([1.0, 1.0])
    assert not Evaluation(1.0, 2, losses=(math.inf, 0.0)).is_as_good_as([1.0, 1.0])
