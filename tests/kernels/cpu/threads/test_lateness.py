from __future__ import annotations

import pytest

from ostinato.kernels.cpu.threads.lateness import (
    ASLEEP_S,
    FIRST_S,
    LATE,
    LEAST_CALLS,
    LONGEST_S,
    SEVERE,
    Activity,
    Lateness,
    LateThreads,
)


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


@pytest.fixture
def activity(now: list[float]) -> Activity:
    return Activity(lambda: now[0])


@pytest.fixture
def threads(activity: Activity, now: list[float]) -> LateThreads:
    return LateThreads(activity, lambda: now[0])


def test_threads_sleep_when_they_have_done_nothing_together_for_a_while(activity: Activity, now: list[float]) -> None:
    assert activity.are_asleep()
    activity.met()
    assert not activity.are_asleep()
    now[0] += ASLEEP_S / 2
    activity.worked()  # alone
    assert not activity.are_asleep()
    now[0] += 0.9 * ASLEEP_S
    assert activity.are_asleep()
    assert not activity.is_first()
    now[0] += 0.2 * ASLEEP_S
    assert activity.is_first()


def test_who_had_to_be_woken_is_not_late_in_the_calls_that_follow(
    threads: LateThreads, activity: Activity, now: list[float]
) -> None:
    threads.note(1.0, 1.0, woken=True)
    assert threads.now() == 1.0, "the next call after a while must wake them again"
    activity.worked()
    assert threads.now() == 0.0, "they are awake for a call that follows at once"
    threads.note(2.0, 1.0, woken=False)
    assert threads.now() == 2.0
    now[0] += 2 * ASLEEP_S
    assert threads.now() == 1.0


@pytest.mark.parametrize("apart", [0.02, 0.2, 60.0])
def test_after_waking_in_vain_some_calls_are_done_alone_however_rare_they_are(
    apart: float, threads: LateThreads, activity: Activity, now: list[float]
) -> None:
    threads.note(1.0, 1.0, woken=True)
    activity.worked()
    for _ in range(LEAST_CALLS):
        now[0] += apart
        assert threads.now() == threads.now() == 1.0
        activity.worked()
    now[0] += apart
    assert threads.now() == 0.0


def test_one_late_thread_after_a_long_sleep_is_soon_forgotten(
    threads: LateThreads, activity: Activity, now: list[float]
) -> None:
    activity.met()
    activity.worked()
    now[0] += 60.0
    threads.note(1.0, 1.0, activity.are_asleep())
    activity.met()
    activity.worked()
    alone = 0
    while now[0] < 70.0:
        now[0] += 5e-3  # more than the threads stay awake
        if threads.now():
            alone += 1
        else:
            threads.note(0.0, 1.0, activity.are_asleep())
            activity.met()
        activity.worked()
    assert alone <= LEAST_CALLS


def test_calls_that_are_rare_and_wake_threads_in_vain_are_mostly_done_alone(
    threads: LateThreads, activity: Activity, now: list[float]
) -> None:
    """Calls of 3 ms, a fifth of a second apart, that take 12 ms if they wake threads."""
    alone = 0
    for _ in range(300):
        now[0] += 0.2
        if threads.now():
            alone += 1
        else:
            threads.note(10.5e-3, 1.5e-3, activity.are_asleep())
            activity.met()
        activity.worked()
    assert alone > 200
