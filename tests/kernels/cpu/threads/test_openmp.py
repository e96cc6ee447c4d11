"""The number of threads changes no bit, and neither does who runs them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import torch
from llvmlite import ir

from ostinato import LSTM, cells
from ostinato.cells import options
from ostinato.kernels.compiled import Compiled
from ostinato.kernels.cpu.code import target
from ostinato.kernels.cpu.code.builder import I64, Code
from ostinato.kernels.cpu.run import passes
from ostinato.kernels.cpu.run.buffers import pool
from ostinato.kernels.cpu.run.library import library
from ostinato.kernels.cpu.run.passes import Team
from ostinato.kernels.cpu.run.route import Route
from ostinato.kernels.cpu.threads import cores, division, lateness
from ostinato.kernels.cpu.threads import openmp as threads
from tests.kernels.cpu.against import Example, outcome

CELLS = {
    "lstm": cells.lstm,
    "norm": options.layer_norm(options.peephole(cells.lstm)),
    "gru_reset_before": options.zoneout(cells.gru_reset_before, {"h": 0.3}),
    "rhn_2": cells.rhn(2),
    "min_gru": cells.min_gru,
    "projected": options.projection(cells.lstm),
}


@pytest.fixture(autouse=True)
def _number_of_threads_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr(pool, "poison", True)
    # As many as a test wants, whatever the machine has.
    monkeypatch.setattr(cores, "_affinity", lambda: 64)
    monkeypatch.setattr(cores, "_quota", lambda: 64)
    monkeypatch.setattr(cores, "FEW_BYTES", 0)
    yield
    torch.set_num_threads(before)


def divide(monkeypatch: pytest.MonkeyPatch, count: int, by_rows: bool) -> None:
    monkeypatch.setattr(Route, "teams", lambda self: ((Team(count, by_rows),), False))


def results(example: Example, count: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    torch.set_num_threads(count)
    return outcome(example, Compiled().run, example.request(dtype, poison=True))


@pytest.mark.parametrize("lengths", [None, [3, 0, 5, 1, 5, 2, 4]], ids=["whole", "lengths"])
@pytest.mark.parametrize("name", CELLS)
def test_the_number_of_threads_changes_no_bit(
    name: str, lengths: list[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = CELLS[name]
    for hidden, dtype in ((200, torch.float64), (150, torch.float32)):
        proj = 41 if "projection" in cell.options else 0
        example = Example(cell, 5, 7, 11, hidden, proj, lengths=lengths, reverse=lengths is not None, every_state=True)
        divide(monkeypatch, 1, False)
        expected = results(example, 1, dtype)
        for count in (2, 3, 4, 7):
            divide(monkeypatch, count, False)
            for key, v in results(example, count, dtype).items():
                assert torch.equal(v, expected[key]), f"{key} on {count} threads"


@pytest.mark.parametrize("lengths", [None, [6, 1, 0, 5] * 5 + [3]], ids=["whole", "lengths"])
@pytest.mark.parametrize("name", CELLS)
def test_pieces_of_rows_change_no_bit(name: str, lengths: list[int] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = CELLS[name]
    proj = 9 if "projection" in cell.options else 0
    example = Example(cell, 6, 21, 3, 35, proj, lengths=lengths, every_state=True)
    expected = results(example, 1, torch.float32)
    monkeypatch.setattr(passes, "CHUNK_BYTES", 1)  # so that a thread may be in another chunk than the others
    for pieces, count in ((1, 2), (2, 2), (3, 1), (6, 2), (5, 3), (2, 5)):
        divide(monkeypatch, pieces, True)
        for key, v in results(example, count, torch.float32).items():
            assert torch.equal(v, expected[key]), f"{key} in {pieces} pieces on {count} threads"


@pytest.mark.parametrize("lengths", [None, [6, 1, 0, 5, 2]], ids=["whole", "lengths"])
def test_directions_at_the_same_time_change_no_bit(lengths: list[int] | None) -> None:
    found = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        torch.manual_seed(0)
        layer, x = LSTM(4, 150, 2, bidirectional=True, layer_norm=True), torch.randn(60, 5, 4, requires_grad=True)
        output, (h, c) = layer(x, lengths=lengths)
        (output.square().sum() + h.sum() + c.sum()).backward()
        found.append([output, h, c, x.grad, *(p.grad for p in layer.parameters())])
        with torch.no_grad():
            assert torch.equal(layer(x, lengths=lengths)[0], output)
    for each in found[1:]:
        assert all(map(torch.equal, each, found[0]))


def test_more_threads_than_there_is_work_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some have no units of their own, one unit block is the last one's; all must come to every meeting."""
    example = Example(CELLS["norm"], 3, 2, 2, 3)
    expected = results(example, 1, torch.float64)
    for count in (2, 5):
        divide(monkeypatch, count, False)
        for key, v in results(example, 1, torch.float64).items():
            assert torch.equal(v, expected[key]), f"{key} on {count} threads"


@pytest.mark.parametrize("name", ["norm", "rhn_2"])
def test_without_openmp_threads_of_python_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    example = Example(CELLS[name], 4, 3, 5, 150, lengths=[4, 1, 0])
    expected = results(example, 1, torch.float32)
    monkeypatch.setattr(threads, "openmp", lambda: None)
    for count, by_rows in ((2, False), (3, False), (2, True), (3, True)):
        divide(monkeypatch, count, by_rows)
        for key, v in results(example, 2, torch.float32).items():
            assert torch.equal(v, expected[key]), f"{key} on {count} threads"
    assert threads._python_threads.cache_info().currsize


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the machine were never found busy."""
    monkeypatch.setattr(lateness.Lateness, "note", lambda *_: None)
    monkeypatch.setattr(division, "late_ends", lateness.Lateness())
    monkeypatch.setattr(division, "late_meetings", lateness.Lateness())


def test_a_small_call_is_left_to_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As more of them cost more than they bring."""
    chosen: list[tuple[int, bool]] = []
    choose = Route.teams

    def noted(self: Route) -> tuple[tuple[Team, ...], bool]:
        made = choose(self)
        chosen.extend(made[0])
        return made

    monkeypatch.setattr(Route, "teams", noted)
    monkeypatch.setattr(division, "measured", lambda *_: division.Costs(1e-5, 1e-6))
    results(Example(cells.lstm, 2, 2, 3, 130), 2, torch.float64)
    assert set(chosen) == {(1, False)}
    chosen.clear()
    results(Example(cells.lstm, 20, 64, 3, 130), 2, torch.float64)
    assert set(chosen) == {(2, True)}
    chosen.clear()
    results(Example(cells.lstm, 4, 64, 3, 130), 1, torch.float64)
    assert set(chosen) == {(1, False)}


SMALL_TEAM = """
import sys, torch
from ostinato.cells import lstm, options
from ostinato.kernels.compiled import Compiled
from ostinato.kernels.cpu.threads import cores
from ostinato.kernels.cpu.run.route import Route
from ostinato.kernels.cpu.run.passes import Team
from tests.kernels.cpu.against import Example, outcome
cores._affinity = cores._quota = lambda: 64
example = Example(options.layer_norm(lstm), 3, 13, 4, 150, lengths=[3, 1, 2] * 4 + [3])
found = []
for count, by_rows in ((1, False), (3, False), (3, True)):
    torch.set_num_threads(count)
    Route.teams = lambda self: ((Team(count, by_rows),), False)
    found.append(outcome(example, Compiled().run, example.request(torch.float32)))
print([all(torch.equal(v, found[0][key]) for key, v in each.items()) for each in found])
"""


def test_a_team_that_is_smaller_than_asked_for_leaves_nothing_out() -> None:
    limited = {**os.environ, "OMP_THREAD_LIMIT": "2"}
    ran = subprocess.run([sys.executable, "-c", SMALL_TEAM], env=limited, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "[True, True, True]", ran.stderr


def who() -> tuple[ctypes.Array[ctypes.c_int64], int, object]:
    """A loop that counts at the place of each thread how often it came, and notes of how many it was told."""
    module = ir.Module("who")
    code = Code(module, "who", "*fields thread threads")
    place = code.at(code.arg.fields, code.mul(code.arg.thread, 16))
    code.store(code.add(code.load(place, I64), 1), place)
    code.store(code.arg.threads, code.at(place, 8))
    code.end()
    loaded = target.load(target.compile(module), ["who"])
    return (ctypes.c_int64 * 16)(), loaded.address("who"), loaded


@pytest.mark.parametrize("by_openmp", [True, False])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_thread_runs_the_loop_once(count: int, by_openmp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not by_openmp:
        monkeypatch.setattr(threads, "openmp", lambda: None)
    seen, loop, _alive = who()
    for turn in range(1, 4):
        threads.run(library(False)["region"], loop, ctypes.addressof(seen), count)
        assert list(seen) == [v for _ in range(count) for v in (turn, count)] + [0] * (16 - 2 * count)


@pytest.mark.parametrize("by_openmp", [True, False])
@pytest.mark.parametrize("pieces", [1, 2, 7])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_piece_is_taken_once(count: int, pieces: int, by_openmp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not by_openmp:
        monkeypatch.setattr(threads, "openmp", lambda: None)
    torch.set_num_threads(count)
    seen, loop, _alive = who()
    for turn in range(1, 4):
        threads.run_pieces(library(False)["pieces"], loop, ctypes.addressof(seen), pieces)
        assert list(seen) == [v for _ in range(pieces) for v in (turn, pieces)] + [0] * (16 - 2 * pieces)


@pytest.mark.skipif(threads.openmp() is None, reason="threads of Python wait otherwise")
def test_who_has_nothing_left_to_do_sleeps_instead_of_spinning_in_the_pool() -> None:
    nap = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(lambda _, n, __: time.sleep(n * 0.02))
    loop = ctypes.cast(nap, ctypes.c_void_p).value
    assert loop is not None
    place = threads.meeting_place()
    threads.run(library(False)["region"], loop, 0, 2, place)
    assert threads.slept_s(place) > 0.01
    assert threads.slept_s(place) == 0.0
