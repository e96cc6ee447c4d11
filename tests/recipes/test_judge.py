"""Validation data that several processes see between them: what they find is what one process finds, to the last bit."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from ostinato.data.batches.batches import InOrder
from ostinato.recipes import open_run, registry
from tests.recipes.engines.test_in_parts import RUNS, data_of

ALONE = SimpleNamespace(world=1, rank=0, is_first=True)


class Threads:
    """What `Processes` of one run tell each other, each a thread."""

    def __init__(self, world):
        self.world, self._barrier = world, threading.Barrier(world, timeout=60)
        self._told = [None] * world

    def everybody(self, rank, mine):
        self._told[rank] = mine
        self._barrier.wait()
        told = list(self._told)
        self._barrier.wait()
        return told

    def seen_from(self, rank):
        return SimpleNamespace(
            world=self.world, rank=rank, is_first=rank == 0, objects=lambda mine: self.everybody(rank, mine)
        )

    def total(self, rank):
        return lambda values: np.sum(self.everybody(rank, list(values)), axis=0).tolist()

    def each(self, function):
        with ThreadPoolExecutor(self.world) as pool:
            return list(pool.map(function, range(self.world)))


def validated(run, processes, total, should_stop=lambda: False):
    """What a process finds, as text, in which NaN is NaN, and what it tells of its progress, once a batch."""
    trained = open_run(run)
    task = trained.task
    task.rows = 3  # so that there are several batches
    part, _ = trained.part_to_judge(data_of(run))
    told = []
    found = task.validate(
        trained,
        part,
        task.examples(trained.settings, trained.known, part),
        should_stop=should_stop,
        total=total,
        processes=processes,
        on_batch=lambda done, size: told.append((done, size)),
    )
    return repr(found), told


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_several_processes_find_between_them_what_one_finds(run):
    expected, one = validated(run, ALONE, list)
    threads = Threads(3)
    found = threads.each(lambda rank: validated(run, threads.seen_from(rank), threads.total(rank)))
    assert [each for each, _ in found] == [expected] * 3
    shares = [len(told) for _, told in found]
    assert sum(shares) == len(one)
    assert 0 < max(shares) < len(one)
    for _, told in found:
        assert told == sorted(told)
        assert not told or told[-1] == one[-1]


def test_more_processes_than_batches_and_all_are_asked_equally_often_whether_to_stop():
    run = next(run for run in RUNS if run.name.startswith("tag"))
    expected, one = validated(run, ALONE, list)
    world = len(one) + 3
    threads, asked = Threads(world), [0] * world

    def seen_from(rank, last):
        def should_stop():
            asked[rank] += 1
            return asked[rank] == last

        return validated(run, threads.seen_from(rank), threads.total(rank), should_stop)

    assert [each for each, _ in threads.each(lambda rank: seen_from(rank, 2))] == [expected] * world
    assert asked == [1] * world
    assert threads.each(lambda rank: seen_from(rank, 2)) == [("None", [])] * world
    assert asked == [2] * world


@pytest.mark.parametrize("world", [1, 2, 3, 7, 40])
def test_shares_are_all_batches_once_in_order_and_of_about_the_same_size(world):
    lengths = np.random.default_rng(world).integers(0, 200, 500)
    batches = InOrder(SimpleNamespace(lengths=lengths, counts=lengths), 8)
    shares = batches.shares(world)
    assert len(shares) == world
    assert [number for share in shares for number in range(*share)] == list(range(len(batches)))
    order = np.sort(lengths, kind="stable")
    steps = [len(rows) * max(rows.max(), 1) for rows in np.split(order, range(8, 500, 8))]
    sizes = [sum(steps[slice(*share)]) for share in shares]
    assert max(sizes) - min(sizes) <= 2 * max(steps)


def test_a_task_that_reads_its_data_in_a_way_of_its_own_is_not_shared():
    assert {name for name, entry in registry.TASKS.items() if not entry.make().sees_batches} == {"lm"}
