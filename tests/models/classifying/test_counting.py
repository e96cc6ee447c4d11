"""Counts of runs of tokens, block by block and on disk, against dictionaries of sets."""

from collections import defaultdict

import numpy as np
import pytest

from ostinato.models.classifying import counting
from ostinato.models.classifying.counting import count_features


def by_hand(texts, labels, V, C, longest, room):
    """Of each length the runs that are kept with their counts, and the counts of tokens."""
    classes: dict[tuple[int, ...], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for row, text in enumerate(texts):
        for n in range(1, longest + 1):
            for at in range(len(text) - n + 1):
                classes[tuple(text[at : at + n].tolist())][int(labels[row])].add(row)
    counts = {run: [len(found[c]) for c in range(C)] for run, found in classes.items()}
    key = lambda run: sum(token * V ** (len(run) - 1 - at) for at, token in enumerate(run))  # noqa: E731
    runs = sorted((run for run in counts if len(run) > 1), key=lambda run: (-sum(counts[run]), len(run), key(run)))
    kept = [run for run in runs[:room] if sum(counts[run]) > 1]
    ordered = [sorted((run for run in kept if len(run) == n), key=key) for n in range(2, longest + 1)]
    table = [counts.get((token,), [0] * C) for token in range(V)] + [counts[run] for each in ordered for run in each]
    return [[key(run) for run in each] for each in ordered], table


@pytest.mark.parametrize("block", [5, 2**20])
@pytest.mark.parametrize("held", [3, 2**22])
@pytest.mark.parametrize(("longest", "most"), [(1, 1000), (2, 1000), (3, 40), (4, 30), (2, 1)])
def test_they_are_those_that_one_counts_by_hand(block, held, longest, most, monkeypatch):
    monkeypatch.setattr(counting, "_BLOCK_TOKENS", block)
    monkeypatch.setattr(counting, "_HELD", held)
    generator, V, C = np.random.default_rng(longest * most), 4, 3
    texts = [generator.integers(0, V, generator.integers(0, 9)).astype(np.uint8) for _ in range(30)]
    labels = generator.integers(0, C, 30)
    found = count_features(texts, labels, vocabulary_size=V, num_classes=C, longest=longest, most=most)
    runs, table = by_hand(texts, labels, V, C, longest, max(0, most // C - V))
    assert [keys.tolist() for keys in found.runs] == runs
    assert found.counts.tolist() == table
    assert found.classes.tolist() == [int((labels == c).sum()) for c in range(C)]
