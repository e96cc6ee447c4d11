"""The threads that run the loops: torch's own OpenMP pool, entered through its door.

A pool of our own would fight with torch's: its threads go on spinning for milliseconds after each operator, and take the cores
away. Where no OpenMP library of torch can be entered, a call runs on Python's threads.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

_LOOP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


@dataclass(frozen=True)
class OpenMP:
    """The functions of the OpenMP library that torch has loaded.

    Attributes:
        parallel: `void (void (*region)(void*), void*, unsigned threads, unsigned flags)`.
        number: address of "which thread am I".
        count: address of "how many are we".
    """

    parallel: Callable[..., None]
    number: int
    count: int


@functools.cache
def openmp() -> OpenMP | None:
    """torch's OpenMP library, or None where it has none that we can enter."""
    if not sys.platform.startswith("linux") or not torch.backends.openmp.is_available():
        return None
    torch.zeros(1 << 16, device="cpu").add_(1)  # makes sure that it is loaded
    try:
        with open("/proc/self/maps") as maps:
            paths = {line.split()[-1] for line in maps if "omp" in os.path.basename(line.split()[-1])}
    except OSError:
        return None
    # Where several are loaded, torch's own lies beside it.
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
def _function(address: int) -> Any:
    return _LOOP(address)


def run(region: int, loop: int, fields: int, threads: int) -> None:
    """Run `loop(fields, thread, threads)` on so many threads and wait; addresses of machine code. Holds no lock of Python's."""
    if threads == 1:
        _function(loop)(fields, 0, 1)
        return
    if (library := openmp()) is not None:
        what = (ctypes.c_int64 * 4)(loop, fields, library.number, library.count)
        library.parallel(region, ctypes.addressof(what), threads, 0)
        return
    function = _function(loop)
    waiting = [_python_threads(threads).submit(function, fields, n, threads) for n in range(threads)]
    for each in waiting:
        each.result()


@functools.cache
def yield_address() -> int:
    """The address of a function that lets another thread run."""
    name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
    library = ctypes.WinDLL("kernel32") if sys.platform == "win32" else ctypes.CDLL(None)
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
