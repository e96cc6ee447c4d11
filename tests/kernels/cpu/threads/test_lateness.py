from __future__ import annotations

import pytest

from ostinato.kernels.cpu.threads.lateness import FIRST_S, LATE, LONGEST_S, SEVERE, Lateness


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def late(now: list[float]) -> Lateness:
    made = Lateness(lambda: now[0])
    made.note(0.0, 1.0)  # its threads are awake
    return made


def test_nothing_is_late_that_has_not_been_seen(late: Lateness) -> None:
    assert late.now() == 0.0
    late.note(LATE, 1.0)
    assert late.now() == 0.0


def test_who_was_late_once_is_soon_tried_again(late: Lateness, now: list[float]) -> None:
    late.note(0.08, 0.04)
    assert late.now() == 2.0
    now[0] = FIRST_S
    assert late.now() == 0.0


def test_who_is_late_again_and_again_is_done_without_for_longer_and_longer(late: Lateness, now: list[float]) -> None:
    pauses = []
    for _ in range(20):
        late.note(1.0, 1.0)
        begin = now[0]
        while late.now():
            now[0] += FIRST_S / 4
        pauses.append(now[0] - begin)
    assert pauses == sorted(pauses)
    assert pauses[0] < 2 * FIRST_S
    # Half of a second is forgotten within one; the rest nearly doubles.
    assert LONGEST_S / 2 < pauses[-1] <= LONGEST_S


@pytest.mark.parametrize("how", ["by calls", "by time"])
def test_lateness_is_forgotten(how: str, late: Lateness, now: list[float]) -> None:
    for _ in range(30):
        late.note(1.0, 1.0)
    if how == "by calls":
        for _ in range(60):
            late.note(0.0, 1.0)
            assert late.now() == 0.0
    now[0] = 20.0 if how == "by time" else 0.0
    late.note(1.0, 1.0)
    now[0] += 2 * FIRST_S
    assert late.now() == 0.0


def test_one_long_pause_of_the_machine_counts_no_more_than_a_late_thread(late: Lateness) -> None:
    late.note(10.0, 0.001)
    late.note(10.0, 0.001)
    assert late.now() == SEVERE


@pytest.mark.parametrize(("every", "alone"), [(1, True), (2, True), (20, False)])
def test_what_is_late_often_is_done_alone_and_what_is_late_seldom_is_not(
    every: int, alone: bool, late: Lateness, now: list[float]
) -> None:
    """Calls of a millisecond, of which each `every`-th with several threads takes twice as long."""
    tried = without = 0
    for _ in range(20_000):
        now[0] += 1e-3
        if late.now():
            without += 1
        else:
            tried += 1
            late.note(1e-3 if tried % every == 0 else 0.0, 1e-3)
    assert (without > 10 * tried) if alone else (tried > 2 * without)
