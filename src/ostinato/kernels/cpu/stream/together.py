"""One call of machine code on several threads, or on the calling thread alone if the others would come late."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence

from ostinato.kernels.cpu.stream.record import THREADS
from ostinato.kernels.cpu.threads.cores import most_threads
from ostinato.kernels.cpu.threads.lateness import ASLEEP_S, Lateness
from ostinato.kernels.cpu.threads.openmp import openmp, slept_s

THREAD_BYTES = 1 << 21  # of weights for each thread: to wake a sleeping one takes longer than to read fewer
GAIN = 0.5  # share of the time: with more lateness than this, several threads gain nothing
WAKING_BYTES = 1 << 24  # of weights from which on it is worth waking threads


def fitting_threads(weight_bytes: int, blocks: int) -> int:
    """How many threads are worth using if `weight_bytes` bytes are read and `blocks` blocks of units can be divided."""
    return 1 if openmp() is None else max(1, min(most_threads(), blocks, weight_bytes // THREAD_BYTES))


class Together:
    """Makes calls of machine code, each on several threads or on the calling one alone.

    Args:
        start: the function to call, which takes the address of a call's arguments.
        meeting: the meeting place of the threads.
        weight_bytes: how many bytes of weights a call reads.
    """

    def __init__(self, start: Callable[[int], None], meeting: ctypes.Array[ctypes.c_int64], weight_bytes: int) -> None:
        self._start, self._meeting = start, meeting
        self._are_worth_waking = weight_bytes >= WAKING_BYTES
        self._late, self._last = Lateness(), 0.0

    def __call__(
        self, argument: int, arguments: Sequence[ctypes.Array[ctypes.c_int64]], threads: Sequence[int]
    ) -> None:
        """Take one step.

        Args:
            argument: the address that `start` takes.
            arguments: the arguments of each part of the call, in which the number of threads is set.
            threads: for each part, how many threads it is worth.
        """
        now = time.monotonic()
        is_paced, self._last = now - self._last > ASLEEP_S, now
        alone = (is_paced and not self._are_worth_waking) or self._late.now() > GAIN
        for each, most in zip(arguments, threads, strict=True):
            each[THREADS] = 1 if alone else most
        self._start(argument)
        if not alone and (most := max(threads)) > 1:
            slept = slept_s(self._meeting) / (most - 1)
            self._late.note(slept, time.monotonic() - now - slept)
