"""The section `busy`: an LSTM on a machine that others use too, with fewer and with more threads than there are cores."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch

from benchmarks.case import Case, Subject
from benchmarks.plain import our_layer, torch_layer
from benchmarks.sizes import BUSY, GATES, Mode, Size
from benchmarks.small import BASELINE, MODES, output_of, pair, without_gradient

THREADS = (1, 2, 4, 8, 16)
NEIGHBOURS = (0, 1, 2, 4)
# Some turns of the system's scheduler. Who has slept comes first, for a few milliseconds: so short a sample would not notice the
# neighbours.
SAMPLE_S = 0.03
# It spins until it is killed, and ends by itself when its input does: that of a process whose parent is gone, however it went.
_SPIN = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print(flush=True)
while True:
    pass
"""


def busy(
    sizes: Sequence[Size] = BUSY,
    cells: Sequence[str] = tuple(GATES),
    threads: Sequence[int] = THREADS,
    neighbours: Sequence[int] = NEIGHBOURS,
) -> Iterator[Case]:
    """The LSTM in both modes, with each number of threads beside each number of neighbours.

    Args:
        sizes: of the layer.
        cells: nothing is measured unless "LSTM" is one of them.
        threads: torch's.
        neighbours: processes that spin.
    """
    for mode in MODES if "LSTM" in cells else ():
        for size in sizes:
            for n in threads:
                for beside in neighbours:
                    yield Case(
                        *("busy", "LSTM", mode, size, tuple(_subjects(size, mode)), (BASELINE,)),
                        setting=f"threads {n}, neighbours {beside}",
                        within=lambda n=n, beside=beside, mode=mode: crowded(n, beside, mode),
                        sample_s=SAMPLE_S,
                    )


@contextmanager
def crowded(threads: int, neighbours: int, mode: Mode) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many threads of torch and so many neighbours inside the `with` block, and no gradient in inference."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with spinning(neighbours) as started, without_gradient(mode):
            yield started
    finally:
        torch.set_num_threads(before)


@contextmanager
def spinning(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many processes that spin inside the `with` block; they have ended when it is left, whatever happened in it."""
    with ExitStack() as stack:
        started = [_neighbour(stack) for _ in range(count)]
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()  # it spins from here on
        yield started


def _neighbour(stack: ExitStack) -> subprocess.Popen[bytes]:
    # Its own group: Ctrl-C is not for it, or it would print a traceback. No session of its own: to some systems that is a share of
    # the processor, however many there are in a session.
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _SPIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
    )
    stack.enter_context(process)  # waits for its end
    stack.callback(process.kill)
    return process


def _subjects(size: Size, mode: Mode) -> Iterator[Subject]:
    theirs = torch_layer("LSTM", size)
    x = torch.randn(size.T, size.B, size.I)
    yield from pair(output_of(theirs), output_of(our_layer(theirs)), x, mode, size.flops(GATES["LSTM"], mode))
