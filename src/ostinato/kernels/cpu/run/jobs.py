"""Loops of machine code that a call runs one after the other, and the numbers that every call has of its own.

Nearly all that a loop reads in its fields is the same in every call. What is not, above all addresses, a call lays out in one list;
the first job stores each of them wherever it belongs, so that Python touches no field.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from llvmlite import ir

from ostinato.kernels.cpu.code.builder import POINTER, Code
from ostinato.kernels.cpu.code.product import SHARE
from ostinato.kernels.cpu.threads.cores import threads_for
from ostinato.kernels.cpu.threads.openmp import run

Where = tuple[int, int]  # which of a call's numbers, and what to add to it: an address, and how many bytes behind it


def write(module: ir.Module) -> None:
    """The functions, for `region`.

    `tell_share`, for one thread. Fields: the numbers, how many stores, and for each: where to, which number, what to add to it.
    `place_share`, addresses of rows. Fields: to, how far each row lies behind the first, rows, the address of the first.
    """
    code = Code(module, "tell_share", SHARE)
    numbers, count = code.load(code.arg.fields, POINTER), code.load(code.at(code.arg.fields, 8))
    with code.loop(0, count) as n:
        store = code.at(code.arg.fields, code.mul(n, 24))
        to, which, more = (code.load(code.at(store, 16 + 8 * k)) for k in range(3))
        number = code.load(code.at(numbers, code.mul(which, 8)))
        code.store(code.add(number, more), code.builder.inttoptr(to, POINTER))
    code.end()
    code = Code(module, "place_share", SHARE)
    to, behind = (code.load(code.at(code.arg.fields, 8 * n), POINTER) for n in range(2))
    rows, first = (code.load(code.at(code.arg.fields, 8 * n)) for n in (2, 3))
    begin, end = (
        code.div(code.mul(rows, n), code.arg.threads) for n in (code.arg.thread, code.add(code.arg.thread, 1))
    )
    with code.loop(begin, end) as n:
        at = code.mul(n, 8)
        code.store(code.add(code.load(code.at(behind, at)), first), code.at(to, at))
    code.end()


class Job(NamedTuple):
    """A loop of machine code.

    Attributes:
        loop: its address.
        fields: the address of what it reads.
        bytes: that it touches, for the number of threads.
    """

    loop: int
    fields: int
    bytes: int = 0


class Jobs:
    """Makes jobs, and tells them a call's numbers.

    Args:
        functions: addresses of the functions that all cells share.
    """

    def __init__(self, functions: Mapping[str, int]) -> None:
        self._functions, self._numbers = functions, (ctypes.c_int64 * 0)()
        self._stores: list[int] = []
        self._held: list[object] = []

    def hold(self, *constants: object) -> None:
        """Have what fields point to live as long."""
        self._held += constants

    def tell(self, fields: ctypes.Array[ctypes.c_int64], n: int, where: Where) -> None:
        """Have every call store one of its numbers in a field."""
        self._stores += (ctypes.addressof(fields) + 8 * n, *where)

    def make(self, name: str, *values: int | Where, bytes: int = 0) -> Job:
        """One of the functions with its fields."""
        fields = (ctypes.c_int64 * len(values))()
        for n, value in enumerate(values):
            if isinstance(value, tuple):
                self.tell(fields, n, value)
            else:
                fields[n] = value
        self.hold(fields)
        return Job(self._functions[name], ctypes.addressof(fields), bytes)

    def telling(self, numbers: int) -> Job:
        """The job that stores the numbers, so many; once all fields are known."""
        self._numbers = (ctypes.c_int64 * numbers)()
        return self.make("tell_share", ctypes.addressof(self._numbers), len(self._stores) // 3, *self._stores)

    def put(self, numbers: Sequence[int]) -> None:
        """Those of a call."""
        self._numbers[:] = numbers

    def run(self, jobs: Sequence[Job]) -> None:
        """Each on as many threads as it is worth."""
        for job in jobs:
            run(self._functions["region"], job.loop, job.fields, threads_for(job.bytes))
