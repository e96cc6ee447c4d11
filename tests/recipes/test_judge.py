"""Validation data that several processes see between them: what they find is what one process finds, to the last bit."""

import dataclasses
import functools
import threading
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ostinato.data.batches.batches import Batch, InOrder
from ostinato.errors import ConfigError
from ostinato.recipes import open_run, registry
from ostinato.recipes.judge import Judge, see_between
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
            world=self.world, rank=rank, is_first=rank == 0, gather_bytes=lambda mine: self.everybody(rank, mine)
        )

    def total(self, rank):
        return lambda values: functools.reduce(np.add, map(np.array, self.everybody(rank, list(values)))).tolist()

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


# --- judges of one's own ---


class Lengths:
    """Examples that are as long as they say, each a random number a step."""

    def __init__(self, lengths):
        self.lengths = self.counts = np.asarray(lengths)

    def batch(self, rows):
        steps = int(self.lengths[rows].max())
        numbers = np.random.default_rng(rows.tolist()).normal(size=(steps, len(rows)))
        lengths = torch.from_numpy(self.lengths[rows])
        return Batch(torch.from_numpy(numbers), torch.from_numpy(rows % 3), lengths, torch.from_numpy(rows))


class Wordy:
    """Of a class that nothing is known about."""

    def __init__(self):
        self.views, self.texts = [], []

    def __iadd__(self, other):
        self.views += other.views
        self.texts += other.texts
        return self


@dataclasses.dataclass
class Kept:
    row: int
    mean: float = dataclasses.field(init=False)


class EveryKind(Judge):
    """Remembers in all ways that come to mind."""

    memory = ("answers", "counts", "by_label", "rows", "total", "longest", "wholes", "table", "text", "wordy", "pairs")

    def __init__(self):
        self.answers = {}
        self.counts = Counter()
        self.by_label = {}
        self.rows = set()
        self.total = None
        self.longest = []
        self.wholes = np.zeros(3, dtype=np.int64)
        self.table = torch.zeros(3, dtype=torch.int64)
        self.zeroth = self.table[:1]  # must go on seeing what is in the table
        self.text = ""
        self.wordy = Wordy()
        self.pairs = []

    def see(self, batch):
        labels, rows = batch.target.tolist(), batch.rows.tolist()
        self.counts.update(labels)
        for at, (row, label) in enumerate(zip(rows, labels, strict=True)):
            kept = Kept(row)
            kept.mean = float(batch.input[:, at].mean())
            self.answers[row] = kept
            one = self.by_label.setdefault(label, {"right": 0, "first": None, "rows": defaultdict(int)})
            one["right"] += row % 2
            one["rows"][row % 5] += 1
        self.rows |= set(rows)
        found = torch.bincount(batch.target, minlength=3)
        self.total = found if self.total is None else self.total + found
        self.longest.append(batch.input[-1])
        self.wholes = self.wholes + found.numpy() / 2
        self.table += found
        self.text += f"{rows}"
        self.wordy.views.append(batch.input[:1].expand(2, -1))
        self.wordy.texts.append(str(labels))
        self.pairs.append((Counter(labels), batch.input.T[0]))
        return batch.input.sum()

    def figures(self):
        return {}

    def told(self):
        return repr([vars(self.wordy), *({**vars(self), "wordy": None}.items())])


def seen_by(world, make, batches, model):
    threads = Threads(world)

    def see(rank):
        known = make()
        found = see_between(
            threads.seen_from(rank),
            make(),
            known,
            batches,
            model,
            should_stop=lambda: False,
            on_batch=lambda done, size: None,
        )
        return known, found

    return threads.each(see)


def seen_by_one(judge, batches):
    losses = [(judge.see(batch).item(), batch.count) for batch in batches]
    return [loss for loss, _ in losses], [count for _, count in losses]


@pytest.mark.parametrize("world", [2, 3, 9])
def test_whatever_a_judge_remembers_is_what_one_remembers_that_saw_all(world):
    batches, model = InOrder(Lengths([1, 2, 2, 3, 5, 5, 9, 30, 31, 4]), 2), torch.nn.Linear(1, 1)
    expected = EveryKind()
    losses = seen_by_one(expected, batches)
    for known, found in seen_by(world, EveryKind, batches, model):
        assert known.told() == expected.told()
        assert found == losses
        assert type(known.counts) is Counter
        assert type(known.by_label[0]["rows"]) is defaultdict
        assert [tensor.stride() for tensor in known.wordy.views] == [tensor.stride() for tensor in expected.wordy.views]


class Mean:
    """A metric whose + is that of what it gives, as some libraries have it."""

    def __init__(self, of=()):
        self.of = of

    def __add__(self, other):
        return sum(self.of) / len(self.of) + sum(other.of) / len(other.of)


def judge_with(start, see=lambda value, batch: value, memory=("value",)):
    class Small(Judge):
        def __init__(self):
            self.value = start()

        def see(self, batch):
            self.value = see(self.value, batch)
            return batch.input.sum()

        def figures(self):
            return {}

    Small.memory = memory
    return Small


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (judge_with(lambda: [0] * 12), r"expected value to begin with None, 0 or nothing in it, .* got \[0, 0, 0"),
        (judge_with(lambda: torch.ones(2)), "expected value to begin with None, 0 or nothing in it"),
        (judge_with(lambda: np.inf, lambda value, batch: min(value, 1.0)), "expected value to begin with .* got inf"),
        (judge_with(lambda: {"all": 1.0}), "expected value to begin with"),
        (judge_with(list, memory="value"), "expected names of attributes that are there from the beginning, got 'v'"),
        (
            judge_with(lambda: np.zeros(0), lambda value, batch: np.append(value, batch.count)),
            r"value of several processes cannot be joined \(shapes \(0,\) and \([1-9],\) cannot be added; keep a list",
        ),
        (judge_with(list, lambda value, batch: [*value, lambda: 3]), "cannot be sent to other processes .*lambda"),
        (
            judge_with(Mean, lambda value, batch: Mean([*value.of, batch.count])),
            "value of several processes cannot be joined .Mean has no __iadd__",
        ),
        (
            judge_with(lambda: None, lambda value, batch: SimpleNamespace(a=batch.count)),
            "value of several processes cannot be joined .*SimpleNamespace",
        ),
    ],
)
def test_what_cannot_be_joined_is_told_in_a_line(make, line):
    batches, model = InOrder(Lengths([1, 1, 1, 1]), 1), torch.nn.Linear(1, 1)
    with pytest.raises(ConfigError, match=f"^memory of Small: .*{line}.*; write `remembered` and `join`, or leave"):
        seen_by(2, make, batches, model)


def test_a_judge_that_sees_more_than_the_one_it_inherits_from_is_not_shared_before_it_says_what_it_keeps():
    class Careful(EveryKind):
        def see(self, batch):
            self.more = batch
            return super().see(batch)

    class Told(Careful):
        memory = (*EveryKind.memory, "more")

    class Figures(EveryKind):
        def figures(self):
            return {"a": 1.0}

    class Joined(Careful):
        def remembered(self):
            return self.more

    assert [each().can_be_joined for each in (EveryKind, Careful, Told, Figures, Joined)] == [
        True,
        False,
        True,
        True,
        True,
    ]
    assert not judge_with(list, memory=())().can_be_joined


@pytest.mark.parametrize("world", [2, 3, 5])
def test_processes_that_are_asked_whether_to_stop_have_come_equally_far(world):
    """Else one waits for the others each time, and all together take about as long as one alone."""
    examples = Lengths(np.random.default_rng(world).integers(1, 200, 400))
    batches = InOrder(examples, 4)
    threads = Threads(world)

    def asked(rank):
        judge, done = judge_with(list)(), []
        steps = [0]

        def see(batch):
            steps[0] += batch.input.numel()
            return batch.input.sum()

        judge.see = see
        see_between(
            threads.seen_from(rank),
            judge,
            judge_with(list)(),
            batches,
            torch.nn.Linear(1, 1),
            should_stop=lambda: done.append(steps[0]),
            on_batch=lambda done, size: None,
        )
        return done

    told = threads.each(asked)
    largest = 4 * 200
    assert len({len(each) for each in told}) == 1
    for at_once in zip(*told, strict=True):
        assert max(at_once) - min(at_once) <= 2 * largest


def test_a_figure_of_minus_zero_stays_that():
    run = next(run for run in RUNS if run.name.startswith("tag"))
    threads = Threads(2)

    def found(rank):
        trained = open_run(run)
        part, _ = trained.part_to_judge(data_of(run))
        examples = trained.task.examples(trained.settings, trained.known, part)

        class Judged(type(trained.task)):
            def settle(self, learnt, judge, found):
                return dataclasses.replace(found, figures={"bias": -0.0}, losses=(-0.0, 1.0))

        return Judged().validate(
            trained,
            part,
            examples,
            should_stop=lambda: False,
            total=threads.total(rank),
            processes=threads.seen_from(rank),
            on_batch=lambda done, size: None,
        )

    for each in threads.each(found):
        assert repr((each.figures, each.losses)) == "({'bias': -0.0}, (-0.0, 1.0))"
