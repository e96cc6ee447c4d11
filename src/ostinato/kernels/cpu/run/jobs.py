"""Jobs: loops of machine code that a call runs one after the other, and the numbers that differ from call to call.

Nearly all that a loop reads in its fields is the same in every call. A call puts what differs, mostly addresses, into one list; the
first job stores each of these numbers in the fields that need it, so that Python need not write any field.
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

Where = tuple[int, int]  # the index of one of a call's numbers, and what to add to it: an address, and bytes behind it


def write(module: ir.Module) -> None:
    """Write two functions, to be run by `region`.

    `tell_share` stores a call's numbers in fields, on one thread. Fields: the address of the numbers, how many stores, and for each
    store: where to, which number, what to add to it.
    `place_share` writes the addresses of rows. Fields: where to, the offset of each row from the first, rows, the address of the
    first.
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
        loop: the address of the loop.
        fields: the address of the fields that it reads.
        bytes: how many bytes it reads or writes; the number of threads depends on them.
    """

    loop: int
    fields: int
    bytes: int = 0


class Jobs:
    """Makes jobs, and stores a call's numbers in their fields.

    Args:
        functions: addresses of the functions that all cells share.
    """

    def __init__(self, functions: Mapping[str, int]) -> None:
        self._functions, self._numbers = functions, (ctypes.c_int64 * 0)()
        self._stores: list[int] = []
        self._held: list[object] = []

    def hold(self, *constants: object) -> None:
        """Keep alive what fields point to."""
        self._held += constants

    def tell(self, fields: ctypes.Array[ctypes.c_int64], n: int, where: Where) -> None:
        """Have every call store one of its numbers in a field."""
        self._stores += (ctypes.addressof(fields) + 8 * n, *where)

    def make(self, name: str, *values: int | Where, bytes: int = 0) -> Job:
        """Make a job of one of the functions, with these values in its fields; a `Where` is stored anew in every call."""
        fields = (ctypes.c_int64 * len(values))()
        for n, value in enumerate(values):
            if isinstance(value, tuple):
                self.tell(fields, n, value)
            else:
                fields[n] = value
        self.hold(fields)
        return Job(self._functions[name], ctypes.addressof(fields), bytes)

    def telling(self, numbers: int) -> Job:
        """Make the job that stores the numbers of a call in the fields; to be called once all other jobs are made.

        Args:
            numbers: how many numbers a call has.
        """
        self._numbers = (ctypes.c_int64 * numbers)()
        return self.make("tell_share", ctypes.addressof(self._numbers), len(self._stores) // 3, *self._stores)

    def put(self, numbers: Sequence[int]) -> None:
        """Set the numbers of the call that runs next."""
        self._numbers[:] = numbers

    def run(self, jobs: Sequence[Job]) -> None:
        """Run the jobs one after the other, each on as many threads as its size is worth."""
        for job in jobs:
            run(self._functions["region"], job.loop, job.fields, threads_for(job.bytes))
