"""Which examples a model is looked at on."""

import numpy as np
import pytest
import torch

from ostinato.data.batches.batches import Batch, pad
from ostinato.errors import DataError
from ostinato.recipes.few import few, mostly_short


class Numbers:
    """Example n has a number of steps, each of them n."""

    def __init__(self, lengths, counts=None):
        self.lengths = np.array(lengths)
        self.counts = np.ones(len(lengths), dtype=np.int64) if counts is None else np.array(counts)

    def batch(self, rows):
        input, lengths = pad([np.full(self.lengths[row], row) for row in rows])
        return Batch(input, torch.from_numpy(rows), lengths, torch.from_numpy(rows))


def test_long_ones_and_those_without_a_loss_are_left_out():
    examples = Numbers([3, 5000, 7, 2, 512, 9], counts=[1, 1, 1, 0, 1, 1])
    batch = few(examples, 10)
    assert mostly_short(examples)
    assert sorted(batch.rows.tolist()) == [0, 2, 4, 5]
    assert batch.count == 4
    assert batch.input.shape == (512, 4)


def test_they_are_drawn_by_the_seed():
    examples = Numbers([5] * 100)
    drawn = [few(examples, 8, seed).rows.tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 8


def test_where_all_are_long_it_is_the_shortest():
    examples = Numbers([5000, 2000, 3000, 10], counts=[1, 1, 1, 0])
    assert not mostly_short(examples)
    assert few(examples, 8).rows.tolist() == [1]


def test_one_short_among_long_ones_is_no_choice():
    assert not mostly_short(Numbers([5000, 2000, 10]))
    assert mostly_short(Numbers([5000, 20, 10]))
    assert mostly_short(Numbers([5000, 5000, 10], counts=[0, 0, 1]))
    assert not mostly_short(Numbers([10], counts=[0]))


def test_none_at_all_is_told():
    with pytest.raises(DataError, match="expected examples that have a loss, got none"):
        few(Numbers([3, 4], counts=[0, 0]), 8)
