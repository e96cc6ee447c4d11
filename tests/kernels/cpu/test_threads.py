"""The number of threads changes no bit, and neither does who runs them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest
import torch
from llvmlite import ir

from ostinato import cells
from ostinato.cells import options
from ostinato.kernels.compiled import Compiled
from ostinato.kernels.cpu import engine, packing, target, threads
from ostinato.kernels.cpu.code import I64, Code
from ostinato.kernels.cpu.kernel import library
from ostinato.kernels.cpu.memory import pool
from tests.kernels.cpu.against import Example, changed, outcome

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
    monkeypatch.setattr(engine, "SMALL", 0)
    monkeypatch.setattr(packing, "_threads", lambda bytes_: torch.get_num_threads())
    yield
    torch.set_num_threads(before)


def results(example: Example, count: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    torch.set_num_threads(count)
    return outcome(example, Compiled().run, example.request(dtype, poison=True))


@pytest.mark.parametrize("lengths", [None, [3, 0, 5, 1, 5, 2, 4]], ids=["whole", "lengths"])
@pytest.mark.parametrize("name", CELLS)
def test_the_number_of_threads_changes_no_bit(name: str, lengths: list[int] | None) -> None:
    cell = CELLS[name]
    for hidden, dtype in ((200, torch.float64), (150, torch.float32)):
        proj = 41 if "projection" in cell.options else 0
        example = Example(cell, 5, 7, 11, hidden, proj, lengths=lengths, reverse=lengths is not None, every_state=True)
        expected = results(example, 1, dtype)
        for count in (2, 3, 4, 7):
            for key, v in results(example, count, dtype).items():
                assert torch.equal(v, expected[key]), f"{key} on {count} threads"


@pytest.mark.parametrize("lengths", [None, [6, 1, 0, 5] * 5 + [3]], ids=["whole", "lengths"])
@pytest.mark.parametrize("name", CELLS)
def test_threads_with_rows_of_their_own_change_no_bit(
    name: str, lengths: list[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = CELLS[name]
    proj = 9 if "projection" in cell.options else 0
    example = Example(cell, 6, 21, 3, 35, proj, lengths=lengths, every_state=True)
    expected = results(example, 1, torch.float32)
    monkeypatch.setattr(engine, "CHUNK_BYTES", 1)  # so that a thread may be in another chunk than the others
    for count in (1, 2, 3, 6):
        monkeypatch.setattr(engine.Engine, "_threads", lambda self, count=count: (count, True))
        for key, v in results(example, 1, torch.float32).items():
            assert torch.equal(v, expected[key]), f"{key} on {count} threads"


@pytest.mark.parametrize(("rows", "hidden", "own"), [(64, 32, True), (8, 32, False), (64, 600, False)])
def test_many_rows_and_few_weights_give_threads_rows_of_their_own(
    rows: int, hidden: int, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[bool] = []
    choose = engine.Engine._threads

    def noted(self: engine.Engine) -> tuple[int, bool]:
        count, apart = choose(self)
        chosen.append(apart)
        return count, apart

    monkeypatch.setattr(engine.Engine, "_threads", noted)
    results(Example(cells.lstm, 2, rows, 3, hidden), 2, torch.float32)
    assert set(chosen) == {own}


def test_more_threads_than_there_is_work_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some have no units of their own, one unit block is the last one's; all must come to every meeting."""
    example = Example(CELLS["norm"], 3, 2, 2, 3)
    expected = results(example, 1, torch.float64)
    for count in (2, 5):
        monkeypatch.setattr(engine.Engine, "_threads", lambda self, count=count: (count, False))
        for key, v in results(example, 1, torch.float64).items():
            assert torch.equal(v, expected[key]), f"{key} on {count} threads"


@pytest.mark.parametrize("name", ["norm", "rhn_2"])
def test_without_openmp_threads_of_python_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    example = Example(CELLS[name], 4, 3, 5, 150, lengths=[4, 1, 0])
    expected = results(example, 1, torch.float32)
    monkeypatch.setattr(threads, "openmp", lambda: None)
    for count in (2, 3):
        for key, v in results(example, count, torch.float32).items():
            assert torch.equal(v, expected[key]), f"{key} on {count} threads"
    assert threads._python_threads.cache_info().currsize


def test_a_small_step_is_left_to_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As more of them cost more than they bring."""
    used: list[int] = []
    run = threads.run
    monkeypatch.setattr(engine, "run", lambda *given: (used.append(given[3]), run(*given)))
    example = Example(cells.lstm, 2, 2, 3, 130)
    results(example, 2, torch.float64)
    assert set(used) == {2}
    used.clear()
    monkeypatch.setattr(engine, "SMALL", 1 << 19)
    results(example, 2, torch.float64)
    assert set(used) == {1}
    used.clear()
    results(changed(example, rows=64), 2, torch.float64)
    assert set(used) == {2}


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
