from __future__ import annotations

from benchmarks.paced import SUBJECTS, paced
from benchmarks.sizes import Size


def test_each_engine_steps_in_a_process_of_its_own() -> None:
    found = paced("RNN", Size(1, 1, 8, 8), pause_s=1e-4, turns=2, calls=3)
    assert set(found) == set(SUBJECTS)
    assert {timing.samples for timing in found.values()} == {6}
