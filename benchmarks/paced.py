"""`python -m benchmarks.paced`: one step of a live service every 10 ms, and a layer's whole sequence every 200 ms, beside peers.

A service does not call without a pause: when the next sample comes, threads have gone to sleep, and the caches hold something else.
Each subject is a process of its own, as a service is: where both live in one, the threads of the one that was called last still
spin on the core that the other needs. They take turns, a few calls each.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
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

OURS, TORCH, BOUND, ONNX = "Ostinato", "torch.nn", "ONNX Runtime, bound", "ONNX Runtime"
OF_STEPS, OF_SEQUENCES = (OURS, BOUND, ONNX), (OURS, TORCH, ONNX)
SEQUENCES = (Size(50, 50, 128, 128), Size(256, 1, 256, 256), Size(28, 128, 28, 256))
SEQUENCES_PAUSE_S = 0.2
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
    return layer.bound_step(x) if name == BOUND else layer.step(x)


def sequence_of(name: str, cell: str, size: Size) -> Callable[[], Any]:
    """A whole sequence of a subject, from states of zero."""
    theirs = torch_layer(cell, size).eval()
    x = torch.randn(size.T, size.B, size.I)
    if name == ONNX:
        return OnnxLayer(theirs, size.T, size.B).sequence(x)
    layer = (our_layer(theirs) if name == OURS else theirs).eval()
    return torch.inference_mode()(lambda: layer(x)[0])


def _serve(name: str, cell: str, size: Size, threads: int, asked: Connection) -> None:
    torch.set_num_threads(threads)
    step = (step_of if size.T == 1 else sequence_of)(name, cell, size)
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


def paced(
    cell: str, size: Size, pause_s: float, turns: int, calls: int, subjects: Sequence[str] = OF_STEPS
) -> dict[str, Timing]:
    """Seconds of a call of each subject.

    Args:
        cell: "RNN", "LSTM" or "GRU".
        size: of the layer, and of the batch; a step of one row, or whole sequences.
        pause_s: between calls.
        turns: of each subject.
        calls: in a turn.
        subjects: some of `OF_STEPS` or of `OF_SEQUENCES`.
    """
    found: dict[str, list[float]] = {name: [] for name in subjects}
    with ExitStack() as stack:
        ways = {name: stack.enter_context(_served(name, cell, size)) for name in subjects}
        for _ in range(turns):
            for name, way in ways.items():
                way.send((calls, pause_s))
                found[name] += way.recv()
    return {name: Timing.of(seconds) for name, seconds in found.items()}


def main(cells: Sequence[str] = tuple(GATES), pause_s: float = 0.01, turns: int = 10, calls: int = 25) -> None:
    """Measure and print."""
    for sizes, apart_s, rounds, count, subjects in (
        (STEPS, pause_s, turns, calls, OF_STEPS),
        (SEQUENCES, SEQUENCES_PAUSE_S, -(-turns // 3), -(-calls // 5), OF_SEQUENCES),
    ):
        each = "one step" if subjects == OF_STEPS else "a sequence"
        table = Table(title=f"{each} every {apart_s * 1e3:.0f} ms, microseconds: median (quartiles)")
        for column in ("T x B x I x H", *subjects, "faster peer / Ostinato"):
            table.add_column(column, justify="right" if column in subjects else "left")
        for cell in cells:
            for size in sizes:
                found = paced(cell, size, apart_s, rounds, count, subjects)
                shown = (f"{t.median_s * 1e6:.0f} ({t.q1_s * 1e6:.0f} .. {t.q3_s * 1e6:.0f})" for t in found.values())
                ratio = min(found[name].median_s for name in subjects[1:]) / found[OURS].median_s
                table.add_row(f"{cell} {size}", *shown, f"{ratio:.2f}")
        Console(width=140).print(table)


if __name__ == "__main__":
    main()
