"""Counting, for naive Bayes, the texts of each class that contain a token or a run of tokens; in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ostinato.data.tokens.counts import counting_on_disk

MOST_NUMBERS = 4_000_000  # numbers in a table of counts, 16 MB
_LEAST_TEXTS = 2  # texts that must have a run: a run in one text only says nothing about others
_BLOCK_TOKENS = 2**20
_HELD = 2**20  # counts held in memory, 16 MB, and some 100 MB while they are added up; more go to disk
_FILES = 64  # files for the runs of each length; one is read at a time
_COUNT = np.dtype([("key", np.int64), ("label", np.int32), ("count", np.int32)])


@dataclass(frozen=True)
class FeatureCounts:
    """The counts of features in training texts.

    Attributes:
        runs: for runs of 2, 3, ... N tokens, their sorted keys, (M_n,) int64; the key of the ids a, b is a V + b, and
            so on.
        counts: (V + M_2 + ... + M_N, C) int64, the texts of each class with each token, then with each run.
        classes: (C,) int64, the texts of each class.
    """

    runs: tuple[np.ndarray, ...]
    counts: np.ndarray
    classes: np.ndarray

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many runs of each length there are."""
        return tuple(len(keys) for keys in self.runs)


def count_features(
    texts: Sequence[np.ndarray],
    labels: np.ndarray,
    *,
    vocabulary_size: int,
    num_classes: int,
    longest: int = 2,
    most: int = MOST_NUMBERS,
) -> FeatureCounts:
    """Counts the texts of each class that contain a token or a run of tokens, once or more often.

    Source: Wang & Manning 2012, section 2.1 ("binarized" counts).

    Args:
        texts: N texts, ids from 0 to V - 1.
        labels: (N,) int64, from 0 to C - 1.
        vocabulary_size: V.
        num_classes: C.
        longest: N, the tokens of the longest run; 1 to count no runs.
        most: how many numbers the table may have; the runs in the fewest texts are left out above it, and runs in one
            text always.
    """
    V, C = vocabulary_size, num_classes
    tokens = np.zeros(V * C, np.int64)
    room = max(0, most // C - V)
    with ExitStack() as stack:
        counters = [_RunCounter(stack) for _ in range(2, longest + 1)]
        for ids, rows, classes in _blocks(texts, labels):
            once = _counted(ids, rows, classes)
            np.add.at(tokens, once["key"] * C + once["label"], once["count"])
            keys = ids
            for n, counter in enumerate(counters, start=2):
                inside = rows[n - 1 :] == rows[: max(0, len(rows) - n + 1)]
                keys = keys[: max(0, len(ids) - n + 1)] * V + ids[n - 1 :]
                counter.add(_counted(keys[inside], rows[n - 1 :][inside], classes))
        kept = _most_frequent(counters, room)
    tables = [tokens.reshape(V, C)]
    runs: list[np.ndarray] = []
    for counts in kept:
        keys, places = np.unique(counts["key"], return_inverse=True)
        table = np.zeros((len(keys), C), np.int64)
        table[places, counts["label"]] = counts["count"]
        runs.append(keys)
        tables.append(table)
    return FeatureCounts(tuple(runs), np.concatenate(tables), np.bincount(labels, minlength=C))


def _blocks(texts: Sequence[np.ndarray], labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Blocks of texts: their tokens, (M,) int64; the text of each token, from 0, (M,); and the texts' labels."""
    begin, held = 0, list[np.ndarray]()
    count = 0
    for at, each in enumerate(texts):
        held.append(each)
        count += len(each)
        if count >= _BLOCK_TOKENS or at + 1 == len(texts):
            rows = np.repeat(np.arange(len(held)), list(map(len, held)))
            yield np.concatenate(held).astype(np.int64), rows, labels[begin : at + 1]
            begin, held, count = at + 1, [], 0


def _counted(features: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many texts of each class have each feature that occurs, sorted by feature, then by class; as `_COUNT`.

    Args:
        features: (M,) int64.
        rows: (M,), the text of each feature, ascending.
        labels: the labels of the texts.
    """
    order = np.argsort(features, kind="stable")
    features, rows = features[order], rows[order]
    is_new = _differs(features)
    once = is_new | _differs(rows)
    which = (np.cumsum(is_new) - 1)[once]
    classes = int(labels.max(initial=0)) + 1
    found, counts = np.unique(which * classes + labels[rows[once]], return_counts=True)
    which, label = np.divmod(found, classes)
    return _counts(features[is_new][which], label, counts)


def _differs(values: np.ndarray) -> np.ndarray:
    """Whether each value differs from the one before it."""
    found = np.ones(len(values), dtype=bool)
    found[1:] = values[1:] != values[:-1]
    return found


def _counts(keys: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    found = np.empty(len(keys), _COUNT)
    found["key"], found["label"], found["count"] = keys, labels, counts
    return found


class _RunCounter:
    """Adds up the counts of runs of one length.

    Args:
        stack: the stack that deletes the files at its end.
    """

    def __init__(self, stack: ExitStack):
        self._stack, self._folder = stack, None
        self._held, self._size = list[np.ndarray](), 0

    def add(self, counts: np.ndarray) -> None:
        """Adds counts in the form of `_counted`."""
        self._held.append(counts)
        self._size += len(counts)
        if self._size > _HELD:
            self._added_up()
            if self._size > _HELD // 2:
                self._to_disk()

    def _added_up(self) -> None:
        self._held = [_sum(np.concatenate(self._held))]
        self._size = len(self._held[0])

    @counting_on_disk()
    def _to_disk(self) -> None:
        if self._folder is None:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="ostinato-counts-")))
        (counts,) = self._held
        file = (counts["key"].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(58)
        for at in range(_FILES):
            with (self._folder / str(at)).open("ab") as content:
                content.write(counts[file == at].tobytes())
        self._held, self._size = [], 0

    def parts(self) -> Iterator[np.ndarray]:
        """Gives all counts in parts, each with all counts of its runs."""
        if self._folder is None:
            if self._held:
                self._added_up()
                yield self._held[0]
            return
        if self._held:
            self._added_up()
            self._to_disk()
        for at in range(_FILES):
            yield _sum(np.fromfile(self._folder / str(at), _COUNT))


def _sum(counts: np.ndarray) -> np.ndarray:
    """Adds up the counts of each run and class, and sorts them."""
    counts = counts[np.lexsort((counts["label"], counts["key"]))]
    first = np.flatnonzero(_differs(counts["key"]) | _differs(counts["label"]))
    if not len(first):
        return counts
    return _counts(counts["key"][first], counts["label"][first], np.add.reduceat(counts["count"], first))


def _most_frequent(counters: Sequence[_RunCounter], room: int) -> list[np.ndarray]:
    """The counts of the runs in the most texts, of all lengths together; shorter runs first, then by key."""
    kept = [np.zeros(0, _COUNT) for _ in counters]
    for at, counter in enumerate(counters):
        for part in counter.parts():
            kept[at] = np.concatenate([kept[at], part])
            kept = _best(kept, room)
    return kept


def _best(kept: list[np.ndarray], room: int) -> list[np.ndarray]:
    keys, texts = list[np.ndarray](), list[np.ndarray]()
    for at, counts in enumerate(kept):
        kept[at] = counts = counts[np.argsort(counts["key"], kind="stable")]
        first = np.flatnonzero(_differs(counts["key"]))
        texts.append(np.add.reduceat(counts["count"], first) if len(first) else np.zeros(0, np.int64))
        keys.append(counts["key"][first])
    said = np.concatenate(texts) if texts else np.zeros(0, np.int64)
    order = np.argsort(-said, kind="stable")[:room]  # a stable sort of what is sorted by length, then by key
    chosen = np.zeros(len(said), dtype=bool)
    chosen[order] = said[order] >= _LEAST_TEXTS
    found: list[np.ndarray] = []
    begin = 0
    for counts, its in zip(kept, keys, strict=True):
        of_run = np.cumsum(_differs(counts["key"])) - 1
        found.append(counts[chosen[begin : begin + len(its)][of_run]] if len(counts) else counts)
        begin += len(its)
    return found
