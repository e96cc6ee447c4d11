from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.batches import batches as module
from ostinato.data.batches.batches import Batch, Batches, InOrder, TargetBatch, pad
from ostinato.errors import ConfigError, DataError, RunError


class Numbers:
    """Example n is the number n, as often as its length says, and has `counts[n]` terms."""

    def __init__(self, lengths, counts=None):
        self.lengths = np.asarray(lengths)
        self.counts = np.ones_like(self.lengths) if counts is None else np.asarray(counts)

    def batch(self, rows):
        input, lengths = pad([np.full(self.lengths[row], row) for row in rows])
        return Batch(input, torch.as_tensor(rows), lengths, torch.as_tensor(rows))


sizes = {
    "lengths": st.lists(st.integers(0, 9), min_size=1, max_size=40),
    "batch_size": st.integers(1, 9),
    "max_steps": st.none() | st.integers(1, 30),
}


def rows_of(batches):
    return [batch.rows.tolist() for batch in batches]


@settings(deadline=None)
@given(**sizes, seed=st.integers(0, 3))
def test_an_epoch_holds_every_example_once_within_the_sizes(lengths, batch_size, max_steps, seed):
    batches = Batches(Numbers(lengths), batch_size, max_steps=max_steps, seed=seed)
    for _ in range(2):
        expected = batches.chunks_per_epoch
        given_now = list(batches)
        assert len(given_now) == expected
        assert sorted(chain(*rows_of(given_now))) == list(range(len(lengths)))
        for batch in given_now:
            T, B = batch.input.shape
            assert batch_size >= B
            assert max_steps is None or max_steps >= T * B or B == 1
            for b, row in enumerate(batch.rows.tolist()):
                steps = T if batch.lengths is None else int(batch.lengths[b])
                assert steps == lengths[row]
                assert batch.input[:steps, b].tolist() == [row] * steps


@settings(deadline=None)
@given(**sizes, taken=st.integers(0, 12))
def test_a_place_that_was_saved_is_gone_on_from(lengths, batch_size, max_steps, taken):
    def make():
        return Batches(Numbers(lengths), batch_size, max_steps=max_steps, seed=5)

    whole = make()
    expected = rows_of(whole) + rows_of(whole) + rows_of(whole)
    taken = min(taken, len(expected) - 1)
    first, given_first = make(), []
    while len(given_first) < taken:
        for batch in first:
            given_first.append(batch.rows.tolist())
            if len(given_first) == taken:
                break
    second = make()
    second.load_state_dict(first.state_dict())
    rest = [*rows_of(second), *rows_of(second), *rows_of(second)]
    assert given_first + rest[: len(expected) - taken] == expected


@settings(deadline=None)
@given(**sizes, world=st.integers(1, 4))
def test_the_mean_over_processes_is_the_mean_over_all_rows(lengths, batch_size, max_steps, world):
    counts = np.asarray(lengths)
    values = np.random.default_rng(0).normal(size=len(lengths))  # the sum of the loss of each example

    def loss(batch):
        return values[batch.rows.numpy()].sum() / batch.count * batch.weight if batch.count else 0.0

    values[counts == 0] = 0.0
    shares = [
        list(Batches(Numbers(lengths, counts), batch_size, max_steps=max_steps).share(rank, world))
        for rank in range(world)
    ]
    for whole, *parts in zip(Batches(Numbers(lengths, counts), batch_size, max_steps=max_steps), *shares, strict=True):
        assert all(part.total == whole.count == whole.total for part in parts)
        if whole.count:
            expected = values[whole.rows.numpy()].sum() / whole.count
            assert np.mean([loss(part) for part in parts]) == pytest.approx(expected)


def test_every_epoch_has_an_order_of_its_own_that_the_seed_repeats():
    def epochs(seed):
        batches = Batches(Numbers([3] * 64), 8, seed=seed)
        return rows_of(batches), rows_of(batches)

    first, second = epochs(0)
    assert first != second
    assert epochs(0) == (first, second)
    assert epochs(1)[0] != first


def test_examples_of_like_length_come_together():
    lengths = np.random.default_rng(0).integers(1, 100, 2000)
    steps = sum(batch.input.numel() for batch in Batches(Numbers(lengths), 20))
    assert steps < 1.08 * lengths.sum()


@settings(deadline=None)
@given(**sizes)
def test_in_order_is_the_same_each_time_and_leaves_nothing_out(lengths, batch_size, max_steps):
    batches = InOrder(Numbers(lengths), batch_size, max_steps=max_steps)
    rows = rows_of(batches)
    assert rows == rows_of(batches)
    assert len(rows) == len(batches)
    flat = list(chain(*rows))
    assert sorted(flat) == list(range(len(lengths)))
    assert [lengths[row] for row in flat] == sorted(lengths)


def test_rows_without_steps_are_padded_to_one():
    padded, lengths = pad([np.zeros((0, 3), np.float32)] * 2)
    assert padded.shape == (1, 2, 3)
    assert lengths is not None
    assert lengths.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ConfigError, "batch_size: expected at least 1, got 0"),
        ({"max_steps": 0}, ConfigError, "max_steps: expected at least 1, or none, got 0"),
        ({"examples": Numbers([])}, DataError, "expected at least one example, got none"),
        ({"rank": 2, "world": 2}, ConfigError, "rank: expected 0 <= rank < world = 2, got 2"),
    ],
)
def test_what_cannot_be_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Batches(**{"examples": Numbers([1]), "batch_size": 1, **arguments})


def test_a_place_in_other_batches_is_refused():
    with pytest.raises(RunError, match="resume with the same data and sizes"):
        Batches(Numbers([1, 2]), 2).load_state_dict(Batches(Numbers([1, 2]), 1).state_dict())


class Repeated(Numbers):
    """Number n becomes itself, once for each of its terms."""

    def batch(self, rows):
        input, lengths = pad([np.full(self.lengths[row], row) for row in rows])
        target, target_lengths = pad([np.full(self.counts[row], row) for row in rows])
        return TargetBatch(input, target, lengths, torch.as_tensor(rows), target_lengths=target_lengths)


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20), world=st.integers(1, 3)
)
def test_answers_with_lengths_of_their_own_stay_with_their_examples(pairs, world):
    examples = Repeated(*zip(*pairs, strict=True))
    for batch in chain(*(Batches(examples, 4, rank=rank, world=world) for rank in range(world))):
        assert isinstance(batch, TargetBatch)
        for b, row in enumerate(batch.rows.tolist()):
            for tokens, lengths, length in (
                (batch.input, batch.lengths, pairs[row][0]),
                (batch.target, batch.target_lengths, pairs[row][1]),
            ):
                steps = len(tokens) if lengths is None else int(lengths[b])
                assert tokens[:steps, b].tolist() == [row] * length


class TestComputedOrder:
    """Of examples that are too many to list their order."""

    @pytest.fixture(autouse=True)
    def _few_are_many(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_LISTED", 10)
        monkeypatch.setattr(module, "POOL_BATCHES", 3)

    @pytest.mark.parametrize("max_steps", [None, 20])
    def test_every_example_comes_once_with_those_of_like_length(self, max_steps):
        lengths = np.random.default_rng(0).integers(1, 9, 101)
        batches = Batches(Numbers(lengths), 4, max_steps=max_steps, seed=3)
        epochs = []
        for _ in range(2):
            count = batches.chunks_per_epoch
            found = [batch.rows.tolist() for batch in batches]
            assert len(found) == count
            assert sorted(row for rows in found for row in rows) == list(range(101))
            assert all(lengths[rows].tolist() == sorted(lengths[rows]) for rows in map(np.array, found))
            if max_steps is not None:
                assert all(len(rows) * lengths[rows].max() <= 20 for rows in map(np.array, found))
            epochs.append(found)
        assert epochs[0] != epochs[1]

    def test_it_goes_on_where_it_was_and_is_shared(self):
        lengths = np.random.default_rng(1).integers(1, 9, 57)
        whole = Batches(Numbers(lengths), 4, seed=5)
        found = [batch.rows.tolist() for batch, _ in zip(whole, range(9), strict=False)]
        again = Batches(Numbers(lengths), 4, seed=5)
        for _ in zip(again, range(4), strict=False):
            pass
        state = again.state_dict()
        other = Batches(Numbers(lengths), 4, seed=5)
        other.load_state_dict(state)
        begin = state["position"]
        assert [batch.rows.tolist() for batch, _ in zip(other, range(3), strict=False)] == found[begin : begin + 3]
        shares = [Batches(Numbers(lengths), 4, seed=5).share(rank, 2) for rank in range(2)]
        first = [next(iter(share)).rows.tolist() for share in shares]
        assert sorted(first[0] + first[1]) == sorted(found[0])

    def test_a_place_of_a_listed_order_is_refused(self):
        batches = Batches(Numbers(np.ones(57, np.int64)), 4)
        state = {name: value for name, value in batches.state_dict().items() if name != "computed"}
        with pytest.raises(RunError, match="resume with the same data"):
            batches.load_state_dict(state)
