"""Places in like states, against a search by brute force."""

import numpy as np
import pytest

from ostinato.errors import ConfigError
from ostinato.insight import similar_ranges


def by_force(query, sequences, count, score, without=None):
    """The best, then the best that does not overlap, and so on."""
    L, every = len(query), []
    for number, states in sequences.items():
        every += [
            (score(query, states[start : start + L]), number, start)
            for start in range(len(states) - L + 1)
            if without is None or number != without[0] or start + L <= without[1] or start >= without[2]
        ]
    chosen = []
    for value, number, start in sorted(every, key=lambda each: -each[0]):
        if all(number != n or abs(start - s) >= L for _, n, s in chosen):
            chosen.append((value, number, start))
    return chosen[:count]


def cosine(a, b):
    return np.mean([u @ v / np.linalg.norm(u) / np.linalg.norm(v) for u, v in zip(a, b, strict=True)])


def overlap(a, b):
    on = [{(s, h) for s in (1, -1) for h in range(a.shape[1]) if (s * v[:, h] > 0.3).all()} for v in (a, b)]
    return len(on[0] & on[1]) / len(on[0] | on[1])


def walks(seed):
    draw = np.random.default_rng(seed)
    return {
        n: np.tanh(draw.standard_normal((size, 5)).cumsum(0) * 0.4) for n, size in ((3, 90), (7, 2), (8, 60), (9, 17))
    }


def blocks(sequences, size):
    for number, states in sequences.items():
        for start in range(0, len(states), size):
            yield number, states[start : start + size]


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_nearest_by_cosine(seed, size):
    sequences = walks(seed)
    query = sequences[3][20:24]
    found = similar_ranges(query, blocks(sequences, size), 10, without=(3, 20, 24))
    wanted = by_force(query, sequences, 10, cosine, (3, 20, 24))
    assert [(each.sequence, each.start, each.end) for each in found] == [(n, s, s + 4) for _, n, s in wanted]
    np.testing.assert_allclose([each.score for each in found], [value for value, *_ in wanted], atol=1e-5)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_nearest_by_units_that_are_on(size):
    sequences = walks(2)
    query = sequences[8][30:33]
    found = similar_ranges(query, blocks(sequences, size), 10, measure="threshold")
    scores = [value for value, *_ in by_force(query, sequences, 10, overlap)]
    np.testing.assert_allclose([each.score for each in found], scores, atol=1e-6)
    assert found[0].score == 1.0  # itself
    for each in found:
        assert each.score == pytest.approx(overlap(query, sequences[each.sequence][each.start : each.end]))
    places = [(each.sequence, at) for each in found for at in range(each.start, each.end)]
    assert len(set(places)) == len(places)


def test_there_may_be_fewer_or_none():
    sequences = walks(0)
    assert len(similar_ranges(sequences[9][:8], blocks({9: sequences[9]}, 5), 10)) == 2
    assert similar_ranges(sequences[3][:8], blocks({7: sequences[7]}, 5)) == []


def test_what_is_wrong_is_told():
    states = np.zeros((3, 2))
    for match, change in {
        "expected at least 1 range": {"count": 0},
        "expected one of cosine, threshold": {"measure": "euclid"},
        "expected a number above 0": {"measure": "threshold", "threshold": 0.0},
        "no unit is beyond it": {"measure": "threshold"},
    }.items():
        with pytest.raises(ConfigError, match=match):
            similar_ranges(states, [(0, states)], **change)
    with pytest.raises(ConfigError, match="at least one step"):
        similar_ranges(states[:0], [(0, states)])
