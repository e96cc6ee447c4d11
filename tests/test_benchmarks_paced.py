from __future__ import annotations

from collections.abc import Sequence

import pytest
from benchmarks.paced import OF_SEQUENCES, OF_STEPS, paced
from benchmarks.sizes import Size


@pytest.mark.parametrize(
    ("size", "subjects"), [(Size(1, 1, 8, 8), OF_STEPS), (Size(3, 2, 8, 8), OF_SEQUENCES)], ids=["steps", "sequences"]
)
def test_each_engine_runs_in_a_process_of_its_own(size: Size, subjects: Sequence[str]) -> None:
    found = paced("RNN", size, pause_s=1e-4, turns=2, calls=3, subjects=subjects)
    assert set(found) == set(subjects)
    assert {timing.samples for timing in found.values()} == {6}
