"""`python -m benchmarks.paced`: one step of a live service that is called every 10 ms, beside ONNX Runtime's.

A service does not call without a pause: when the next sample comes, threads have gone to sleep, and the caches hold something else.
Each subject is a process of its own, as a service is: where both live in one, the threads of the one that was called last still
spin on the core that the other needs. They take turns, a few calls each.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import ostinato
from benchmarks.onnx_peer import OnnxLayer
from benchmarks.plain import our_layer, torch_layer
from benchmarks.sizes import GATES, STEPS, Size
from benchmarks.timing import Timing

OURS, PEERS = "Ostinato", ("ONNX Runtime, bound", "ONNX Runtime")
SUBJECTS = (OURS, *PEERS)
WARM = 50  # calls before anything is timed
FIRST = 3  # calls of a turn that are not counted: the process has slept for longer than the pause


def step_of(name: str, cell: str, size: Size) -> Callable[[], Any]:
    """One step of a subject, which goes on from its last state."""
    theirs = torch_layer(cell, size).eval()
    x = torch.randn(1, 1, size.I)
    if name == OURS:
        stream, row = ostinato.Stream(our_layer(theirs).eval()), x[0, 0]
        return lambda: stream(row)
    layer = OnnxLayer(theirs, 1, 1)
    return layer.bound_step(x) if name == PEERS[0] else layer.step(x)


def _serve(name: str, cell: str, size: Size, threads: int, asked: Connection) -> None:
    torch.set_num_threads(threads)
    step = step_of(name, cell, size)
    for _ in range(WARM):
        step()
    asked.send(None)
    while (turn := asked.recv()) is not None:
        calls, pause_s = turn
        seconds = []
        for _ in range(FIRST + calls):
            time.sleep(pause_s)
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        asked.send(seconds[FIRST:])


@contextmanager
def _served(name: str, cell: str, size: Size) -> Iterator[Connection]:
    here, there = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=_serve, args=(name, cell, size, torch.get_num_threads(), there), daemon=True)
    process.start()
    there.close()
    try:
        here.recv()  # it is warm
        yield here
        here.send(None)
    finally:
        process.join(5.0)
        process.kill()


def paced(cell: str, size: Size, pause_s: float, turns: int, calls: int) -> dict[str, Timing]:
    """Seconds of a step of each subject.

    Args:
        cell: "RNN", "LSTM" or "GRU".
        size: of the layer; one step, one row.
        pause_s: between calls.
        turns: of each subject.
        calls: in a turn.
    """
    found: dict[str, list[float]] = {name: [] for name in SUBJECTS}
    with ExitStack() as stack:
        ways = {name: stack.enter_context(_served(name, cell, size)) for name in SUBJECTS}
        for _ in range(turns):
            for name, way in ways.items():
                way.send((calls, pause_s))
                found[name] += way.recv()
    return {name: Timing.of(seconds) for name, seconds in found.items()}


def main(cells: tuple[str, ...] = tuple(GATES), pause_s: float = 0.01, turns: int = 10, calls: int = 25) -> None:
    """Measure and print."""
    table = Table(title=f"one step, I = H, every {pause_s * 1e3:.0f} ms, microseconds: median (quartiles)")
    for column in ("", *SUBJECTS, "faster peer / Ostinato"):
        table.add_column(column, justify="right" if column else "left")
    for cell in cells:
        for size in STEPS:
            found = paced(cell, size, pause_s, turns, calls)
            each = (f"{t.median_s * 1e6:.0f} ({t.q1_s * 1e6:.0f} .. {t.q3_s * 1e6:.0f})" for t in found.values())
            ratio = min(found[name].median_s for name in PEERS) / found[OURS].median_s
            table.add_row(f"{cell} {size.H}", *each, f"{ratio:.2f}")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
