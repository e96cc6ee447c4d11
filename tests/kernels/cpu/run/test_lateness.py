from __future__ import annotations

import pytest

from ostinato.kernels.cpu.run.lateness import FIRST_S, LATE, LONGEST_S, SEVERE, Lateness


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def late(now: list[float]) -> Lateness:
    return Lateness(lambda: now[0])


def test_nothing_is_late_that_has_not_been_seen(late: Lateness) -> None:
    assert late.now() == 0.0
    late.note(LATE, 1.0)
    assert late.now() == 0.0


def test_who_was_late_once_is_soon_tried_again(late: Lateness, now: list[float]) -> None:
    late.note(0.02, 0.04)
    assert late.now() == 0.5
    now[0] = FIRST_S
    assert late.now() == 0.0


def test_who_is_late_again_and_again_is_done_without_for_longer_and_longer(late: Lateness, now: list[float]) -> None:
    tries = 0
    while now[0] < 10.0:
        late.note(1.0, 1.0)
        tries += 1
        assert late.now() == 1.0
        now[0] += LONGEST_S
    assert late._while == LONGEST_S
    assert tries == 10 / LONGEST_S


def test_lateness_is_forgotten_when_nobody_is_late(late: Lateness, now: list[float]) -> None:
    for _ in range(10):
        late.note(1.0, 1.0)
    late.note(0.0, 1.0)
    assert late.now() == 0.0
    for _ in range(30):
        late.note(0.0, 1.0)
    late.note(1.0, 1.0)
    now[0] = FIRST_S
    assert late.now() == 0.0


def test_one_long_pause_of_the_machine_counts_no_more_than_a_late_thread(late: Lateness) -> None:
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
