"""Independent examples in batches of about equal length: the input of every task but language models.

No state goes from one batch to the next, unlike in the chunks of `ostinato.data.batches.streams`, so the order is free.
Each epoch has its own order: the examples are shuffled, cut into pools of many batches, sorted by length within a pool,
and cut into batches; then the batches are shuffled. So there is little padding, and the neighbours of an example still
change from epoch to epoch. The order is a function of the seed and the number of the epoch, so two numbers say a place
in the data. With more than two million examples the order is not stored: a pool holds the examples that a computed
permutation has at the pool's places, and the batches of a pool are shuffled among themselves.

Several processes share the rows of every batch, however many there are: `Batch.weight` makes the mean of the processes' losses
the mean over all rows.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, overload

import numpy as np
import torch
from typing_extensions import override

from ostinato.data.batches.permutation import key_of, permuted
from ostinato.errors import ConfigError, DataError, RunError

MOST_LISTED = 2**21  # examples whose order is stored
POOL_BATCHES = 50  # batches that are sorted together; a larger number means less padding and less mixing


@dataclass(frozen=True)
class Batch:
    """Examples side by side, padded to the longest. A task that needs more tensors adds fields in a class of its own.

    Attributes:
        input: time first, (T, B, ...).
        target: (B,) for one answer an example, (T, B, ...) for one a step.
        lengths: (B,) int64, the steps of `input` that are real, from 0 to T; None where all are.
        rows: (B,) int64, which examples these are.
        count: how many terms `loss` is the mean of; 0 for a row that is there only because every process must have one.
        total: how many terms the rows of all processes have together.
        weight: the factor for the loss of these rows, so that the mean over the processes is the mean over all rows.
    """

    input: Any
    target: Any
    lengths: torch.Tensor | None
    rows: torch.Tensor
    count: int = 0
    total: int = 0
    weight: float = 1.0


@dataclass(frozen=True)
class TargetBatch(Batch):
    """A batch whose answers are sequences with lengths of their own, as those of a translator or a captioner.

    Attributes:
        target: (T_out, B, ...), padded to the longest answer.
        target_lengths: (B,) int64, the steps of `target` that are real, from 0 to T_out; None where all are.
    """

    target_lengths: torch.Tensor | None = None


class Examples(Protocol):
    """N examples that can be put into batches.

    Attributes:
        lengths: (N,) integers, the steps of each example; examples of similar length come together.
        counts: (N,) integers, the terms of the loss that each example has: 1 if it has one answer, its number of steps
            if it has one answer a step.
    """

    @property
    def lengths(self) -> np.ndarray:
        """(N,) integers: steps."""
        ...

    @property
    def counts(self) -> np.ndarray:
        """(N,) integers: terms of the loss."""
        ...

    def batch(self, rows: np.ndarray) -> Batch:
        """Put the examples `rows`, (B,) int64, side by side; `share_of` then sets `count`, `total` and `weight`."""
        ...


class PlacedBatches(ABC):
    """Batches in a new order each epoch, of which each process gives its share of the rows.

    A checkpoint keeps the place in the order.

    Args:
        batch_size: the most rows of a batch, those of all processes together; at least 1.
        seed: of the order.
        rank: which share of the rows of each batch these are.
        world: how many shares there are.

    Raises:
        ConfigError: a size is out of its range.
    """

    chunk_length: int | None = None  # batches are never cut
    rows = range(0)  # the rows whose state goes on to the next batch: none

    def __init__(self, batch_size: int, *, seed: int = 0, rank: int = 0, world: int = 1):
        if batch_size < 1:
            raise ConfigError(f"batch_size: expected at least 1, got {batch_size}")
        if not 0 <= rank < world:
            raise ConfigError(f"rank: expected 0 <= rank < world = {world}, got {rank}")
        self.batch_size, self.seed = batch_size, seed
        self._rank, self._world = rank, world
        self.position = self.epoch = 0

    @property
    @abstractmethod
    def chunks_per_epoch(self) -> int:
        """Batches in this epoch."""

    @abstractmethod
    def _begin_epoch(self, epoch: int) -> None: ...

    @abstractmethod
    def _rows(self, position: int) -> np.ndarray:
        """Return the numbers of the examples in the batch at `position` of this epoch, for all processes."""

    @abstractmethod
    def _share(self, rows: np.ndarray) -> Batch:
        """Put this process's share of `rows` into a batch."""

    @abstractmethod
    def _sizes(self) -> dict[str, int | None]:
        """Return the sizes that a place depends on; a saved place fits no others."""

    def share(self, rank: int, world: int) -> Self:
        """Return the same batches at the same place, with only the rows of process `rank` of `world`."""
        shared = copy.copy(self)
        shared._rank, shared._world = rank, world
        return shared

    def __iter__(self) -> Iterator[Batch]:
        while self.position < self.chunks_per_epoch:
            rows = self._rows(self.position)
            self.position += 1
            yield self._share(rows)
        self.position = 0
        self._begin_epoch(self.epoch + 1)

    def state_dict(self) -> dict[str, int | None]:
        """Return the place and the sizes that it depends on, the same for every process and any number of processes."""
        return {"position": self.position, "epoch": self.epoch, **self._sizes()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken.

        Raises:
            RunError: the state belongs to other examples or sizes.
        """
        sizes = self._sizes()
        saved = {name: state.get(name) for name in sizes}
        if saved != sizes:
            raise RunError(
                f"the saved place is in batches with {saved}, but these have {sizes}: resume with the same data and sizes"
            )
        self._begin_epoch(state["epoch"])
        self.position = state["position"]


class Batches(PlacedBatches):
    """Examples in random batches, epoch after epoch; what `ostinato.training.fit` takes for its training data.

    Iterating goes from `position` to the end of the epoch and sets `position` back to 0. `position` counts a batch as soon as it is
    given, so a state that is saved while a batch is being used begins after that batch.

    Args:
        examples: at least one.
        batch_size: the most rows of a batch, those of all processes together; at least 1.
        max_steps: the most steps of a batch, padding counted, so that batches of long examples have fewer rows; at least 1, or None
            for any number. A longer example has a batch of its own.
        seed: of the order.
        rank: which share of the rows of each batch these are.
        world: how many shares there are.

    Raises:
        ConfigError: a size is out of its range.
        DataError: there are no examples.
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        *,
        max_steps: int | None = None,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ):
        super().__init__(batch_size, seed=seed, rank=rank, world=world)
        _check_sizes(examples, batch_size, max_steps)
        self.examples, self.max_steps = examples, max_steps
        self._order: Sequence[np.ndarray]
        self._begin_epoch(0)

    @property
    @override
    def chunks_per_epoch(self) -> int:
        """Batches in this epoch; with `max_steps` the number differs between epochs."""
        return len(self._order)

    @override
    def _rows(self, position: int) -> np.ndarray:
        return self._order[position]

    @override
    def _share(self, rows: np.ndarray) -> Batch:
        return share_of(self.examples, rows, np.asarray(self.examples.counts)[rows], self._rank, self._world)

    @override
    def _begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        lengths = np.asarray(self.examples.lengths)
        if len(lengths) > MOST_LISTED:
            self._order = _ComputedOrder(lengths, self.batch_size, self.max_steps, self.seed, epoch)
            return
        generator = np.random.default_rng((self.seed, epoch))
        shuffled = generator.permutation(len(lengths))
        pool = POOL_BATCHES * self.batch_size
        batches: list[np.ndarray] = []
        for start in range(0, len(shuffled), pool):
            batches += _by_length(shuffled[start : start + pool], lengths, self.batch_size, self.max_steps)
        self._order = [batches[int(at)] for at in generator.permutation(len(batches))]

    @override
    def _sizes(self) -> dict[str, int | None]:
        return {
            "examples": len(self.examples.lengths),
            "batch_size": self.batch_size,
            "max_steps": self.max_steps,
            "order_seed": self.seed,
            # Runs from before there was a computed order had another order, and their saved places lack this.
            **({"computed": True} if len(self.examples.lengths) > MOST_LISTED else {}),
        }


class _ComputedOrder(Sequence[np.ndarray]):
    """The batches of an epoch; one pool of them is in memory at a time.

    Args:
        lengths: (N,) integers.
        batch_size: the most rows of a batch.
        max_steps: the most steps of a batch, or None.
        seed: of the order.
        epoch: its number.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, max_steps: int | None, seed: int, epoch: int):
        self._lengths, self._sizes, self._seed = lengths, (batch_size, max_steps), (seed, epoch)
        self._key, self._pool = key_of(seed, epoch), POOL_BATCHES * batch_size
        self._held: tuple[int, list[np.ndarray]] = (-1, [])
        pools = range(-(-len(lengths) // self._pool))
        if max_steps is None:
            counts = [-(-min(self._pool, len(lengths) - at * self._pool) // batch_size) for at in pools]
        else:
            counts = [len(self._sorted(at)) for at in pools]
        self._ends = np.cumsum(counts)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @overload
    def __getitem__(self, at: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, at: slice) -> list[np.ndarray]: ...
    @override
    def __getitem__(self, at: int | slice) -> np.ndarray | list[np.ndarray]:
        """Return the rows of a batch, or of several."""
        if isinstance(at, slice):
            return [self[position] for position in range(*at.indices(len(self)))]
        pool = int(np.searchsorted(self._ends, at, side="right"))
        if self._held[0] != pool:
            batches = self._sorted(pool)
            order = np.random.default_rng((*self._seed, pool)).permutation(len(batches))
            self._held = pool, [batches[int(each)] for each in order]
        return self._held[1][at - (int(self._ends[pool - 1]) if pool else 0)]

    def _sorted(self, pool: int) -> list[np.ndarray]:
        count = len(self._lengths)
        places = np.arange(pool * self._pool, min((pool + 1) * self._pool, count))
        return _by_length(permuted(places, count, self._key), self._lengths, *self._sizes)


class InOrder:
    """Every example once, the shortest first, always in the same batches: for evaluation and prediction.

    Args:
        examples: at least one.
        batch_size: the most rows of a batch; at least 1.
        max_steps: as in `Batches`.

    Raises:
        ConfigError: a size is out of its range.
        DataError: there are no examples.
    """

    def __init__(self, examples: Examples, batch_size: int, *, max_steps: int | None = None):
        _check_sizes(examples, batch_size, max_steps)
        self.examples = examples
        lengths = np.asarray(examples.lengths)
        self._order = _cut(np.argsort(lengths, kind="stable"), lengths, batch_size, max_steps)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Batch]:
        return self.between(0, len(self))

    def between(self, first: int, stop: int) -> Iterator[Batch]:
        """Give the batches from number `first` to `stop` - 1."""
        for rows in self._order[first:stop]:
            yield share_of(self.examples, rows, np.asarray(self.examples.counts)[rows], 0, 1)

    def shares(self, world: int) -> list[tuple[int, int]]:
        """Return (first batch, last batch + 1) of each of `world` processes: about equally many steps, with padding."""
        middles, total = self._middles(0, len(self))
        edges = [bisect_left(middles, total * rank / world) for rank in range(1, world)]
        return list(itertools.pairwise((0, *edges, len(self))))

    def turns(self, first: int, stop: int, number: int) -> list[int]:
        """Divide the batches from `first` to `stop` into turns of about equally many steps.

        In the same turn all processes have then done about the same share of their work, even if one has a few long batches and
        another many short ones.

        Returns:
            For each of `number` turns, how many of the batches are done after it.
        """
        middles, total = self._middles(first, stop)
        return [bisect_left(middles, total * turn / number) for turn in range(1, number)] + [stop - first]

    def _middles(self, first: int, stop: int) -> tuple[list[float], int]:
        """For each batch, the steps (with padding) up to its middle; and the steps of all of them."""
        lengths = np.asarray(self.examples.lengths)
        steps = [len(rows) * max(1, int(lengths[rows].max())) for rows in self._order[first:stop]]
        ends = list(itertools.accumulate(steps))
        return [end - step / 2 for end, step in zip(ends, steps, strict=True)], ends[-1] if ends else 0


def pad(sequences: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Put sequences side by side, time first, padded with zeros at their ends.

    Args:
        sequences: B arrays (T_b, ...), of the same shape but for T_b, which may be 0.

    Returns:
        (T, B, ...), with T at least 1, because no layer runs over zero steps; and the lengths, (B,) int64, or None if
        all are T.
    """
    lengths = [len(each) for each in sequences]
    T = max(1, *lengths)
    padded = np.zeros((T, len(sequences), *sequences[0].shape[1:]), dtype=sequences[0].dtype)
    for row, each in enumerate(sequences):
        padded[: len(each), row] = each
    return torch.as_tensor(padded, device="cpu"), None if min(lengths) == T else torch.tensor(lengths)


def _check_sizes(examples: Examples, batch_size: int, max_steps: int | None) -> None:
    if batch_size < 1:
        raise ConfigError(f"batch_size: expected at least 1, got {batch_size}")
    if max_steps is not None and max_steps < 1:
        raise ConfigError(f"max_steps: expected at least 1, or none, got {max_steps}")
    if len(examples.lengths) == 0:
        raise DataError("expected at least one example, got none; give data with examples in it")


def _by_length(rows: np.ndarray, lengths: np.ndarray, batch_size: int, max_steps: int | None) -> list[np.ndarray]:
    """Sort the rows of a pool by length and cut them into batches."""
    return _cut(rows[np.argsort(lengths[rows], kind="stable")], lengths, batch_size, max_steps)


def _cut(rows: np.ndarray, lengths: np.ndarray, batch_size: int, max_steps: int | None) -> list[np.ndarray]:
    """Cut `rows`, whose lengths must ascend, into batches."""
    if max_steps is None:
        return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    batches: list[np.ndarray] = []
    start = 0
    for end in range(1, len(rows) + 1):
        # The next row would be the longest, and all others would be padded to its length.
        full = end - start == batch_size
        if end == len(rows) or full or (end - start + 1) * max(int(lengths[rows[end]]), 1) > max_steps:
            batches.append(rows[start:end])
            start = end
    return batches


class _ByRows(Protocol):
    def batch(self, rows: np.ndarray) -> Batch: ...


def share_of(examples: _ByRows, rows: np.ndarray, counts: np.ndarray, rank: int, world: int) -> Batch:
    """Make the part of a batch that one of several processes trains on.

    Args:
        examples: what makes the batch from its rows.
        rows: (B,) the numbers of the examples, for all processes together.
        counts: (B,) terms of the loss of each.
        rank: the number of this process.
        world: the number of processes.
    """
    own, total = rows[rank::world], int(counts.sum())
    count = int(counts[rank::world].sum())
    if not len(own):  # fewer rows than processes: each must take part in the exchange of gradients
        own = rows[:1]
    weight = count * world / total if total else 0.0
    return dataclasses.replace(examples.batch(own), count=count, total=total, weight=weight)
