"""Words that are counted on disk where they are many, against a Counter."""

import random
from collections import Counter

import pytest

from ostinato.data.tokens.counts import WordCounts


@pytest.mark.parametrize("most", [3, 10, 1_000_000])
def test_they_are_counted_as_in_memory(most):
    generator = random.Random(0)
    words = [f"w{int(generator.paretovariate(1.0))}é \x85{'x' * generator.randint(0, 2)}" for _ in range(400)]
    found = WordCounts(most)
    for at in range(0, 400, 7):
        found.add(words[at : at + 7])
    found.add_counts({"more": 3})
    expected = Counter(words)
    expected["more"] += 3
    assert dict(found) == expected
    assert dict(found) == expected  # as often as one likes
    assert found.total == 403
    assert found.once() == sum(count == 1 for count in expected.values())
    best = sorted(expected.items(), key=lambda item: (-item[1], item[0]))
    assert found.most_common(5, lambda word, count: True) == best[:5]
    assert found.most_common(5, lambda word, count: count < 3) == [item for item in best if item[1] < 3][:5]
