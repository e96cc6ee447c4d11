"""Copies rows of a tensor to other places, in machine code and on all threads: from a padded batch to flat rows and back."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

from llvmlite import ir

from ostinato.kernels.cpu.code.builder import POINTER, Code
from ostinato.kernels.cpu.code.product import Shape
from ostinato.kernels.cpu.run.buffers import pool
from ostinato.kernels.cpu.threads.cores import threads_for
from ostinato.kernels.cpu.threads.openmp import run
from ostinato.types import Tensor

UNROLLED = 4  # vectors that are copied in one turn of the loop


def write(module: ir.Module, shape: Shape) -> None:
    """Write the functions `move_share` and `add_share`, to be run by `region`; `add_share` adds to what is there.

    Fields: to, from, for each row of `to` the row of `from` (or -1 for zeros), rows, numbers in a row, bytes from one row of `to`
    to the next, and of `from`.
    """
    for adds in (False, True):
        _write(module, shape, adds)


def _write(module: ir.Module, shape: Shape, adds: bool) -> None:
    code = Code(module, "add_share" if adds else "move_share", "*fields thread threads")
    arg = code.arg
    to, source, places = (code.load(code.at(arg.fields, 8 * n), POINTER) for n in range(3))
    rows, width, to_row, from_row = (code.load(code.at(arg.fields, 8 * n)) for n in range(3, 7))
    begin, end = (code.div(code.mul(rows, n), arg.threads) for n in (arg.thread, code.add(arg.thread, 1)))
    turn = UNROLLED * shape.lanes
    turns, whole = (code.mul(code.div(width, n), n) for n in (turn, shape.lanes))
    rest = shape.mask(code, code.sub(width, whole))
    with code.loop(begin, end) as row:
        place = code.load(code.at(places, code.mul(row, 8)))
        target = code.at(to, code.mul(row, to_row))
        # A negative index stands for a row of zeros, for which nothing is read.
        for there in (True,) if adds else (True, False):
            with code.when(code.is_(place, ">=" if there else "<", 0)):
                here = code.at(source, code.mul(place, from_row))

                def copy(first: ir.Value, mask: ir.Value | None, there: bool = there, here: ir.Value = here) -> None:
                    at = code.mul(first, shape.bytes)
                    value = shape.load(code, code.at(here, at), mask) if there else shape.zero()
                    if adds:
                        value = code.builder.fadd(shape.load(code, code.at(target, at), mask), value)
                    shape.store(code, value, code.at(target, at), mask)

                with code.loop(0, turns, turn) as n:
                    for k in range(UNROLLED):
                        copy(code.add(n, k * shape.lanes), None)
                with code.loop(turns, whole, shape.lanes) as n:
                    copy(n, None)
                with code.when(code.is_(whole, "<", width)):
                    copy(whole, rest)
    code.end()


def moved(v: Tensor, places: Tensor, functions: Mapping[str, int]) -> Tensor:
    """Copy rows of `v`, `(N, F)`, into a new tensor, `(M, F)`: row m is row `places[m]` of `v`, or zeros if that is -1.

    Args:
        v: the numbers of a row are side by side in memory.
        places: `(M,)` int64, contiguous, below N.
        functions: the library for `v`'s dtype.
    """
    to = pool.take(places.numel(), v.shape[1], dtype=v.dtype)
    move(v, places, to, functions)
    return to


def move(v: Tensor, places: Tensor, to: Tensor, functions: Mapping[str, int]) -> None:
    """Like `moved`, into the tensor `to`, `(M, F)`, whose numbers of a row are side by side in memory."""
    # A few rows are copied before a second thread could start.
    threads = threads_for(to.nbytes)
    bytes_ = v.itemsize
    copy(
        functions, to.data_ptr(), to.stride(0) * bytes_, v.data_ptr(), v.stride(0) * bytes_, places, v.shape[1], threads
    )


def copy(
    functions: Mapping[str, int],
    to: int,
    to_row: int,
    source: int,
    source_row: int,
    places: Tensor,
    width: int,
    threads: int = 1,
) -> None:
    """Like `move`, with addresses, and the bytes from one row to the next."""
    fields = (ctypes.c_int64 * 7)(to, source, places.data_ptr(), places.numel(), width, to_row, source_row)
    run(functions["region"], functions["move_share"], ctypes.addressof(fields), threads)
