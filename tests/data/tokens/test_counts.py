"""Words that are counted on disk where they are many, against a Counter."""

import random
import subprocess
import sys
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


def test_a_temporary_folder_without_room_is_told():
    code = (
        "import resource, signal\n"
        "import numpy as np\n"
        "from ostinato.data.tokens.counts import WordCounts\n"
        "from ostinato.models.classifying import counting\n"
        "from ostinato.errors import DataError\n"
        "counting._HELD = 100\n"
        "ids = [np.arange(2000), np.arange(2000)]\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4, resource.RLIM_INFINITY))\n"
        "for count in (lambda: WordCounts(most=9).add([str(each) for each in range(5000)]),\n"
        "    lambda: counting.count_features(ids, np.array([0, 1]), vocabulary_size=2000, num_classes=2, longest=3)):\n"
        "    try:\n        count()\n    except DataError as error:\n        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    words = "cannot be kept in the system's temporary folder (File too large); make room there"
    assert [words in line for line in done.stdout.splitlines()] == [True, True]
