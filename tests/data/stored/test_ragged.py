"""Sequences of differing lengths as two arrays, against lists of arrays."""

import numpy as np
import pytest
import torch

from ostinato.data.batches.batches import pad
from ostinato.data.stored import ragged
from ostinato.data.stored.ragged import Ragged


def sequences(lengths, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.integers(1, 99, length).astype(np.uint16) for length in lengths]


@pytest.mark.parametrize("rows", [None, np.array([3, 0, 4, 2]), np.array([1], dtype=np.int32)])
def test_what_is_laid_behind_each_other_comes_back(rows, monkeypatch):
    monkeypatch.setattr(ragged, "BLOCK", 2)
    lists = sequences([3, 0, 5, 1, 2])
    found, expected = Ragged.of(lists).take(rows), lists if rows is None else [lists[row] for row in rows]
    assert [each.tolist() for each in found] == [each.tolist() for each in expected]
    assert [found[at].tolist() for at in range(len(found))] == [each.tolist() for each in expected]
    assert found.lengths().tolist() == [len(each) for each in expected]
    terms = np.arange(99) % 7
    assert found.sums(terms).tolist() == [int(terms[each].sum()) for each in expected]
    assert found[-1].tolist() == expected[-1].tolist()
    with pytest.raises(IndexError):
        found[len(found)]


def test_a_take_of_a_take_has_the_rows_of_the_first():
    lists = sequences([1, 2, 3, 4])
    found = Ragged.of(lists).take(np.array([3, 1, 0])).take(np.array([2, 0]))
    assert [each.tolist() for each in found] == [lists[0].tolist(), lists[3].tolist()]


@pytest.mark.parametrize("lengths", [[3, 0, 5], [4, 4], [0, 0], [0], [7]])
def test_padding_is_that_of_batches(lengths):
    lists = sequences(lengths)
    rows = np.arange(len(lists))[::-1].copy()
    found, expected = Ragged.of(lists).padded(rows), pad([lists[row].astype(np.int64) for row in rows])
    assert torch.equal(found[0], expected[0])
    assert (found[1] is None) == (expected[1] is None)
    assert found[1] is None or torch.equal(found[1], expected[1])


def test_numbers_may_stand_for_others():
    lists = [np.array([0, 2]), np.array([-1, 1])]
    found = Ragged.of(lists).standing_for(np.array([5, 6, 7, 8]))
    assert [each.tolist() for each in found] == [[5, 7], [8, 6]]
    assert found.padded(np.array([1, 0]))[0].tolist() == [[8, 5], [6, 7]]
