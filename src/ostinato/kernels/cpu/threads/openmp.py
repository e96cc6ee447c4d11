"""The threads that run the loops: torch's own OpenMP pool, used through the functions of its library.

A pool of our own would compete with torch's, whose threads go on spinning for milliseconds after each operator and keep the cores.
If torch's OpenMP library cannot be used, a call runs on Python threads.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

from ostinato.kernels.cpu.threads.cores import most_threads
from ostinato.kernels.cpu.threads.lateness import activity, late_ends, late_meetings
from ostinato.kernels.cpu.threads.meeting import CLOCK, IDLE, NAP, NAP_S, SLEPT

_LOOP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


@dataclass(frozen=True)
class OpenMP:
    """The functions of the OpenMP library that torch has loaded.

    Attributes:
        parallel: runs a region on threads: `void (void (*region)(void*), void*, unsigned threads, unsigned flags)`.
        number: the address of the function that gives the number of the calling thread.
        count: the address of the function that gives the number of threads.
    """

    parallel: Callable[..., None]
    number: int
    count: int


@functools.cache
def openmp() -> OpenMP | None:
    """torch's OpenMP library; None if it has none that can be used."""
    if not sys.platform.startswith("linux") or not torch.backends.openmp.is_available():
        return None
    torch.zeros(1 << 16, device="cpu").add_(1)  # makes sure that it is loaded
    try:
        with open("/proc/self/maps") as maps:
            paths = {line.split()[-1] for line in maps if "omp" in os.path.basename(line.split()[-1])}
    except OSError:
        return None
    # If several are loaded, torch's own is the one in torch's folder.
    for path in sorted(paths, key=lambda p: os.path.dirname(torch.__file__) not in p):
        try:
            library = ctypes.CDLL(path)
            parallel = library.GOMP_parallel
            number, count = (
                ctypes.cast(f, ctypes.c_void_p).value for f in (library.omp_get_thread_num, library.omp_get_num_threads)
            )
        except (OSError, AttributeError):
            continue
        parallel.restype = None
        parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        if number and count:
            return OpenMP(parallel, number, count)
    return None


@functools.cache
def _python_threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="ostinato")


@functools.lru_cache(maxsize=1024)
def function(address: int) -> Any:
    """The loop at an address as a function of Python, `(fields, thread, threads)`."""
    return _LOOP(address)


def run(region: int, loop: int, fields: int, threads: int, place: ctypes.Array[ctypes.c_int64] | None = None) -> None:
    """Run `loop(fields, thread, threads)` on `threads` threads and wait for them. Releases Python's lock.

    Args:
        region: the address of the library's `region`.
        loop: the address of a loop of machine code.
        fields: the address of what it reads.
        threads: the number of threads.
        place: the meeting place of the threads, in the loop and at its end; a new one by default.
    """
    if threads == 1:
        function(loop)(fields, 0, 1)
        return
    if (library := openmp()) is not None:
        place = meeting_place() if place is None else place
        what = (ctypes.c_int64 * 5)(loop, fields, library.number, library.count, ctypes.addressof(place))
        library.parallel(region, ctypes.addressof(what), threads, 0)
        return
    _run_on_python_threads(loop, fields, threads, threads)


def _run_on_python_threads(loop: int, fields: int, shares: int, threads: int) -> None:
    one = function(loop)
    waiting = [_python_threads(threads).submit(one, fields, n, shares) for n in range(shares)]
    for each in waiting:
        each.result()


class InTurn:
    """A call that runs several loops one after the other on one thread; `jobs` are addresses, `(loop, fields)` each."""

    def __init__(self, functions: Mapping[str, int], jobs: Sequence[tuple[int, int]]) -> None:
        numbers = [number for job in jobs for number in job]
        self._fields = (ctypes.c_int64 * (1 + len(numbers)))(len(jobs), *numbers)
        self._address = ctypes.addressof(self._fields)
        self._run = function(functions["in_turn_share"])

    def __call__(self) -> None:
        """Run the loops."""
        self._run(self._address, 0, 1)


def run_shares(region: int, loop: int, fields: int, threads: int, place: ctypes.Array[ctypes.c_int64]) -> None:
    """Like `run`, and note how long threads slept at the barriers in the loop."""
    slept_s(place)
    woken, begin = activity.are_asleep(), time.monotonic()
    run(region, loop, fields, threads, place)
    slept = slept_s(place) / (threads - 1)
    activity.met()
    late_meetings.note(slept, time.monotonic() - begin - slept, woken)


def run_pieces(taking: int, loop: int, fields: int, pieces: int) -> None:
    """Run `loop(fields, piece, pieces)` for each piece, on as many threads as allowed; a free thread takes the next piece.

    Args:
        taking: the address of the library's `pieces`.
        loop: the address of a loop of machine code whose pieces never wait for each other.
        fields: the address of what it reads.
        pieces: the number of pieces.
    """
    threads = min(pieces, most_threads())
    if threads == 1:
        for piece in range(pieces):
            function(loop)(fields, piece, pieces)
    elif (library := openmp()) is not None:
        place = meeting_place()
        what = (ctypes.c_int64 * 6)(loop, fields, 0, pieces, library.count, ctypes.addressof(place))
        woken, begin = activity.are_asleep(), time.monotonic()
        library.parallel(taking, ctypes.addressof(what), threads, 0)
        end = time.monotonic()
        waited = end - place[IDLE] - 1e-9 * place[IDLE + 1]  # since the first thread found nothing left to do
        activity.met()
        late_ends.note(waited if waited > SOON_S else 0.0, end - begin - waited, woken)
    else:
        _run_on_python_threads(loop, fields, pieces, threads)


def run_beside(functions: Mapping[str, int], jobs: Sequence[tuple[int, int]]) -> None:
    """Run several loops at the same time, each on one thread; `jobs` are addresses, `(loop, fields)` each."""
    fields = (ctypes.c_int64 * (2 * len(jobs)))(*[number for job in jobs for number in job])
    run_pieces(functions["pieces"], functions["nth_share"], ctypes.addressof(fields), len(jobs))


SOON_S = 2e-5  # how long the end of a launch may take if all threads have a core


@functools.cache
def _nap() -> tuple[int, int]:
    """The address of a function that sleeps or lets another thread run, and its argument."""
    if sys.platform == "win32":  # its Sleep takes milliseconds; with 0 it lets another thread run
        function, time = ctypes.WinDLL("kernel32").Sleep, 0
    else:
        function, time = ctypes.CDLL(None).usleep, round(NAP_S * 1e6)
    return ctypes.cast(function, ctypes.c_void_p).value or 0, time


@functools.cache
def _clock() -> int:
    """The address of `clock_gettime`; 0 except on Linux, the only system on which OpenMP is used."""
    if not sys.platform.startswith("linux"):
        return 0
    return ctypes.cast(ctypes.CDLL(None).clock_gettime, ctypes.c_void_p).value or 0


def meeting_place() -> ctypes.Array[ctypes.c_int64]:
    """Make a meeting place: memory of a barrier, for one loop at a time.

    In it threads count who has come, and find the functions to sleep by and to tell the time.
    """
    place = (ctypes.c_int64 * 32)()
    place[NAP : NAP + 2] = _nap()
    place[CLOCK] = _clock()
    return place


def slept_s(place: ctypes.Array[ctypes.c_int64]) -> float:
    """How long threads slept at a meeting place, all together, since the last call; they sleep if another is late for long."""
    found = place[SLEPT]
    if found:
        place[SLEPT] = 0
    return 1e-9 * found
