"""What is chosen from sizes and costs."""

from __future__ import annotations

import ctypes
import time
from types import SimpleNamespace

import pytest

from ostinato.kernels.cpu.run.library import library
from ostinato.kernels.cpu.threads import division
from ostinato.kernels.cpu.threads import openmp as threads
from ostinato.kernels.cpu.threads.division import Costs, Work, divide
from ostinato.kernels.cpu.threads.lateness import LONGEST_S, Lateness
from ostinato.kernels.cpu.threads.openmp import run_pieces

QUIET = Costs(1e-5, 3e-7)


def work(steps: int, rows: int, inputs: int, hidden: int, gates: int = 4) -> Work:
    given, own = gates * hidden * inputs, gates * hidden * hidden
    return Work(steps, rows, steps * rows, given + own, 4 * own, 4 * given, -(-hidden // 64), 1, 16)


def test_rows_where_there_are_many() -> None:
    for each in (work(50, 32, 128, 128), work(28, 128, 28, 256), work(784, 32, 1, 128), work(35, 20, 650, 650, 3)):
        assert divide(each, 2, QUIET) == (2, True)


def test_units_where_there_are_few_rows_and_many_weights() -> None:
    assert divide(work(50, 1, 512, 512), 2, QUIET) == (2, False)
    assert divide(work(50, 1, 2048, 2048), 8, QUIET) == (8, False)


def test_one_thread_for_what_is_small() -> None:
    for each in (work(50, 1, 32, 32), work(1, 8, 64, 64), work(0, 8, 64, 64)):
        assert divide(each, 64, QUIET) == (1, False)
    assert divide(work(50, 32, 128, 128), 1, QUIET) == (1, False)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 20, 32, 500])
@pytest.mark.parametrize("hidden", [16, 130, 512, 1500])
@pytest.mark.parametrize("threads", [1, 2, 3, 8, 64])
def test_no_share_is_empty(rows: int, hidden: int, threads: int) -> None:
    given = work(30, rows, 100, hidden)
    count, by_rows = divide(given, threads, Costs(0.0, 0.0))
    assert 1 <= count <= (rows if by_rows else min(threads, given.groups))
    assert not by_rows or count >= min(rows, threads)


@pytest.mark.parametrize("given", [work(50, 1, 512, 512), work(50, 2, 1024, 1024), work(10, 4, 300, 300)])
def test_units_are_left_as_meetings_take_longer(given: Work) -> None:
    chosen = [divide(given, 2, Costs(QUIET.launch, 1e-7 * 2**n)) for n in range(20)]
    by_units = [count > 1 and not by_rows for count, by_rows in chosen]
    assert by_units == sorted(by_units, reverse=True)
    assert by_units[0]
    assert not by_units[-1]


def test_more_threads_as_there_is_more_to_do() -> None:
    alone = [divide(work(steps, 32, 64, 64), 2, QUIET)[0] == 1 for steps in (1, 2, 4, 8, 16, 32, 64, 128)]
    assert alone == sorted(alone, reverse=True)
    assert alone[0]
    assert not alone[-1]


def test_the_last_thread_is_left_out_where_it_would_have_no_units() -> None:
    assert divide(work(50, 1, 64, 5 * 64), 4, Costs(0.0, 0.0)) == (3, False)


def test_what_is_measured_is_within_reason() -> None:
    functions = library(False)
    costs = division.measured(2, functions["region"], functions["meetings"])
    assert division.LAUNCH_S <= costs.launch <= 10 * division.LAUNCH_S
    assert 1e-7 <= costs.meeting <= 2e-5
    assert division.measured(2, functions["region"], functions["meetings"]) is costs


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing had been seen, by two threads on a machine of two cores."""
    monkeypatch.setattr(division, "late_meetings", Lateness(lambda: 0.0))
    monkeypatch.setattr(division, "late_ends", Lateness(lambda: 0.0))
    monkeypatch.setattr(division, "most_threads", lambda: 2)
    monkeypatch.setattr(division, "measured", lambda *_: QUIET)


@pytest.mark.usefixtures("quiet")
def test_where_meetings_are_late_rows_are_divided_and_where_ends_are_nothing_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    meetings, ends = Lateness(lambda: now[0]), Lateness(lambda: now[0])
    monkeypatch.setattr(division, "late_meetings", meetings)
    monkeypatch.setattr(division, "late_ends", ends)
    functions, given = library(False), work(50, 8, 1024, 4 * 1024)
    assert division.divided(given, functions) == (2, False)
    for _ in range(3):
        meetings.note(1.0, 1.0)
    assert division.divided(given, functions) == (2, True)
    for _ in range(3):
        ends.note(4.0, 1.0)
    assert division.divided(given, functions) == (1, False)
    assert not division.is_worth_two()
    now[0] = LONGEST_S
    assert division.divided(given, functions) == (2, False)
    assert division.is_worth_two()


def test_a_launch_tells_how_long_it_waited_for_who_came_late(monkeypatch: pytest.MonkeyPatch) -> None:
    nap = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(lambda _, n, __: time.sleep(n * 0.02))
    loop = ctypes.cast(nap, ctypes.c_void_p).value
    assert loop is not None
    # On a busy machine one thread may take both pieces, and wait for nobody.
    waited: list[tuple[float, float, float]] = []
    monkeypatch.setattr(threads, "most_threads", lambda: 2)
    monkeypatch.setattr(threads, "late_ends", SimpleNamespace(note=lambda *seen: waited.append(seen)))
    for _ in range(20):
        run_pieces(library(False)["pieces"], loop, 0, 2)
    assert threads.openmp() is None or any(w > 0.015 for w, _, _ in waited)


def test_nothing_is_measured_for_a_small_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(division, "measured", lambda *_: pytest.fail("it was measured"))
    assert division.divided(work(3, 2, 8, 8), library(False)) == (1, False)
