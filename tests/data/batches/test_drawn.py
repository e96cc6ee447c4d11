"""Batches that nobody lists."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from ostinato.data.batches.batches import Batch
from ostinato.data.batches.drawn import DrawnBatches
from ostinato.data.batches.permutation import permuted
from ostinato.errors import ConfigError, DataError, RunError


class Numbers:
    def __init__(self, count: int):
        self._count = count

    def __len__(self) -> int:
        return self._count

    def counts_of(self, rows: np.ndarray) -> np.ndarray:
        return rows % 3

    def batch(self, rows: np.ndarray) -> Batch:
        return Batch(torch.from_numpy(rows), None, None, torch.from_numpy(rows))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 1000, 4097])
def test_every_number_comes_once(count):
    found = permuted(np.arange(count), count, 5)
    assert sorted(found.tolist()) == list(range(count))


def test_orders_look_drawn():
    first, second = (permuted(np.arange(10_000), 10_000, key) for key in (1, 2))
    assert abs(np.corrcoef(first, np.arange(10_000))[0, 1]) < 0.05
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05
    # Steps from one to the next: about as many upward as downward, none more often than chance has it.
    assert abs((np.diff(first) > 0).mean() - 0.5) < 0.02
    assert max(Counter(np.diff(first).tolist()).values()) < 12


def test_numbers_of_a_huge_range_need_no_list():
    found = permuted(np.arange(1000), 10**15, 3)
    assert len(set(found.tolist())) == 1000
    assert found.min() >= 0
    assert found.max() < 10**15


def test_an_epoch_has_every_example_once_and_the_next_another_order():
    batches = DrawnBatches(Numbers(23), 5, seed=1)
    epochs = [[each.rows.tolist() for each in batches] for _ in range(2)]
    for epoch in epochs:
        assert sorted(itertools.chain(*epoch)) == list(range(23))
        assert [len(rows) for rows in epoch] == [5, 5, 5, 5, 3]
    assert epochs[0] != epochs[1]
    assert batches.epoch == 2
    assert batches.chunks_per_epoch == 5


def test_a_place_is_gone_on_from_and_is_that_of_these_examples_only():
    batches = DrawnBatches(Numbers(23), 5, seed=1)
    iterator = iter(batches)
    next(iterator), next(iterator)
    state = batches.state_dict()
    expected = [each.rows.tolist() for each in iterator]
    again = DrawnBatches(Numbers(23), 5, seed=1)
    again.load_state_dict(state)
    assert [each.rows.tolist() for each in again] == expected
    with pytest.raises(RunError, match="resume with the same data"):
        DrawnBatches(Numbers(24), 5, seed=1).load_state_dict(state)


def test_processes_share_the_rows_and_their_mean_is_that_of_all():
    whole = list(DrawnBatches(Numbers(23), 5))
    shares = [list(DrawnBatches(Numbers(23), 5).share(rank, 2)) for rank in range(2)]
    for at, batch in enumerate(whole):
        rows = [each[at].rows.tolist() for each in shares]
        assert sorted(itertools.chain(*rows)) == sorted(batch.rows.tolist())
        assert sum(each[at].count for each in shares) == batch.count == batch.total == int((batch.rows % 3).sum())
        assert sum(each[at].weight for each in shares) / 2 == pytest.approx(1.0)


def test_sizes_that_cannot_be():
    with pytest.raises(ConfigError, match="batch_size"):
        DrawnBatches(Numbers(3), 0)
    with pytest.raises(ConfigError, match="rank"):
        DrawnBatches(Numbers(3), 1, rank=2, world=2)
    with pytest.raises(DataError, match="at least one example"):
        DrawnBatches(Numbers(0), 1)
