import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import ConfigError, DataError
from ostinato.models.classifying import nearest as module
from ostinato.models.classifying.nearest import nearest_by_dtw


def dtw(a, b, window=1.0):
    """By the recurrence, a cell after the other."""
    band = max(round(window * max(len(a), len(b))), abs(len(a) - len(b)))
    table = np.full((len(a) + 1, len(b) + 1), np.inf)
    table[0, 0] = 0.0
    for i in range(len(a)):
        for j in range(len(b)):
            if abs(i - j) <= band:
                least = min(table[i, j + 1], table[i + 1, j], table[i, j])
                table[i + 1, j + 1] = sum((a[i] - b[j]) ** 2) + least
    return table[-1, -1]


def drawn(rng, count, longest, channels):
    return [rng.normal(size=(rng.integers(1, longest + 1), channels)) for _ in range(count)]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 999),
    channels=st.integers(1, 3),
    longest=st.integers(1, 14),
    window=st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]),
    block=st.sampled_from([1, 30, 24_000]),
    stretch=st.sampled_from([1.0, 1.1, 5.0]),
)
def test_the_nearest_is_that_of_the_recurrence(seed, channels, longest, window, block, stretch):
    rng = np.random.default_rng(seed)
    train, queries = drawn(rng, 7, longest, channels), drawn(rng, 5, longest, channels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        patch.setattr(module, "_STRETCH", stretch)
        found = nearest_by_dtw(train, queries, window=window)
    distances = np.array([[dtw(query, each, window) for each in train] for query in queries])
    assert found.nearest.tolist() == distances.argmin(1).tolist()
    assert found.used == 7


def test_without_a_window_it_is_the_euclidean_distance():
    rng = np.random.default_rng(1)
    train, queries = rng.normal(size=(40, 12, 2)), rng.normal(size=(30, 12, 2))
    euclid = ((queries[:, None] - train[None]) ** 2).sum((2, 3))
    found = nearest_by_dtw(list(train), list(queries), window=0.0)
    assert found.nearest.tolist() == euclid.argmin(1).tolist()


def test_a_recording_is_nearest_to_itself_played_at_another_speed():
    rng = np.random.default_rng(2)
    train = [rng.normal(size=(20, 1)) for _ in range(15)]
    queries = [np.repeat(each, rng.integers(1, 4, size=20), axis=0) for each in train]
    assert nearest_by_dtw(train, queries).nearest.tolist() == list(range(15))
    assert nearest_by_dtw(queries, train).nearest.tolist() == list(range(15))


def test_of_equals_the_first_whatever_its_length():
    slow, fast = np.array([[0.0], [0.0], [1.0]]), np.array([[0.0], [1.0]])
    far = np.array([[9.0]])
    assert nearest_by_dtw([far, slow, fast, slow], [fast, slow]).nearest.tolist() == [1, 1]
    assert nearest_by_dtw([far, fast, slow, fast], [fast, slow]).nearest.tolist() == [1, 1]


@pytest.mark.parametrize(("share", "kept"), [(1.0, range(10)), (0.5, [1, 3, 5, 7, 9]), (0.3, [1, 5, 8]), (0.19, [5])])
def test_evenly_spaced_recordings_are_kept_where_all_are_too_many(share, kept):
    train = [np.full((6, 1), float(at)) for at in range(10)]
    found = nearest_by_dtw(train, train, most_cells=int(share * 10 * 10 * 36))
    assert found.used == len(kept)
    assert sorted(set(found.nearest.tolist())) == list(kept)


def test_a_window_saves_cells():
    train = [np.full((10, 1), float(at)) for at in range(4)]
    cells = sum(abs(i - j) <= 2 for i in range(10) for j in range(10)) * 4 * 4
    assert nearest_by_dtw(train, train, window=0.2, most_cells=cells).used == 4
    assert nearest_by_dtw(train, train, window=0.2, most_cells=cells - 1).used == 3


def test_cells_of_unequal_lengths_are_counted():
    short, long = np.zeros((3, 1)), np.zeros((9, 1))
    cells = 2 * sum(abs(i - j) <= 6 for i in range(3) for j in range(9))  # the band is the difference of the lengths
    for one, other in ((short, long), (long, short)):
        assert nearest_by_dtw([one, one], [other], window=0.1, most_cells=cells).used == 2
        assert nearest_by_dtw([one, one], [other], window=0.1, most_cells=cells - 1).used == 1


def test_memory_is_bounded():
    rng = np.random.default_rng(3)
    train, queries = rng.normal(size=(400, 60, 2)), rng.normal(size=(20, 60, 2))
    tracemalloc.start()
    nearest_by_dtw(list(train), list(queries))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3e6  # all distances of one anti-diagonal are 4 MB


def test_no_queries_have_no_neighbours():
    found = nearest_by_dtw([np.zeros((2, 1))], [])
    assert found.nearest.shape == (0,)
    assert found.nearest.dtype == np.int64


def test_what_cannot_be_compared_is_told():
    one, two = np.zeros((5, 1)), np.zeros((5, 2))
    with pytest.raises(ConfigError, match=r"window must be from 0 to 1, a part of the longer .*; got 1\.5"):
        nearest_by_dtw([one], [one], window=1.5)
    with pytest.raises(DataError, match="expected at least one known recording"):
        nearest_by_dtw([], [one])
    with pytest.raises(DataError, match=r"channels of the first, which is 5x1; query 1 is 5x2"):
        nearest_by_dtw([one], [one, two])
    with pytest.raises(DataError, match=r"known recording 1 is 0x1"):
        nearest_by_dtw([one, one[:0]], [one])
    with pytest.raises(DataError, match="query 0 has others: fill what is missing"):
        nearest_by_dtw([one], [one * np.nan])
    with pytest.raises(DataError, match=r"one known recording needs 25 cells, more than 24: give fewer or shorter"):
        nearest_by_dtw([one, one], [one], most_cells=24)
