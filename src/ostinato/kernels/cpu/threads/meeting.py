"""The functions in machine code that threads run, and the barrier at which they wait for each other."""

from __future__ import annotations

from collections.abc import Callable

import llvmlite.binding as llvm
from llvmlite import ir

from ostinato.kernels.cpu.code.builder import I32, I64, POINTER, Code, Value
from ostinato.kernels.cpu.code.product import SHARE

MONOTONIC = 1  # the clock of `time.monotonic` on Linux
SPINS = 1 << 12  # turns of a waiting thread, of some 20 ns each, before it sleeps
NAP_S = 5e-5  # how long a thread then sleeps; the system adds some time
# Indices in a meeting place: of how often all threads have met; of the function to sleep by, and its argument; of how many
# nanoseconds threads slept; of the function that tells the time; and of when the first thread found nothing left to do.
MET, NAP, SLEPT, CLOCK, IDLE = 8, 16, 18, 19, 24


def _wait(code: Code, place: Value, goes_on: Callable[[], Value]) -> None:
    """Spin for as long as a thread that has a core may need, and then sleep, so that a thread without a core gets this one.

    To yield is not enough: with a busy process on the machine, that process gets the core for a whole turn of the scheduler, and
    the thread comes back too late. A thread that sleeps is woken soon.

    Args:
        code: the function that waits.
        place: a meeting place, as `openmp.meeting_place` makes it.
        goes_on: emits the condition to go on waiting.
    """
    b = code.builder
    head, wait, done = (code.function.append_basic_block(n) for n in ("head", "wait", "done"))
    turns = code.slot(I64, code.int(0))
    b.branch(head)
    b.position_at_end(head)
    b.cbranch(goes_on(), wait, done)
    b.position_at_end(wait)
    turn = code.add(b.load(turns, typ=I64), 1)
    b.store(turn, turns)
    machine = llvm.get_default_triple().partition("-")[0]
    if "86" in machine:
        code.call("llvm.x86.sse2.pause", ir.VoidType())
    elif machine in ("aarch64", "arm64"):
        code.call("llvm.aarch64.isb", ir.VoidType(), ir.Constant(I32, 15))
    with code.when(code.is_(turn, ">", SPINS)):
        nap, time, clock = (code.load(code.at(place, 8 * n)) for n in (NAP, NAP + 1, CLOCK))
        is_told = code.is_(clock, "!=", 0)
        begin, end = (code.slot(ir.ArrayType(I64, 2)) for _ in range(2))
        with code.when(is_told):
            code.ask(clock, I32, ir.Constant(I32, MONOTONIC), begin)
        code.ask(nap, I32, b.trunc(time, I32))
        slept = code.slot(I64, code.int(round(1e9 * NAP_S)))
        with code.when(is_told):
            # Measured, as a thread that sleeps may have to wait for a core for milliseconds.
            code.ask(clock, I32, ir.Constant(I32, MONOTONIC), end)
            s, ns = (code.sub(code.load(code.at(end, at)), code.load(code.at(begin, at))) for at in (0, 8))
            code.store(code.add(code.mul(s, 1_000_000_000), ns), slept)
        b.atomic_rmw("add", code.at(place, 8 * SLEPT), code.load(slept), "monotonic")
    b.branch(head)
    b.position_at_end(done)


def _meet(module: ir.Module) -> None:
    """Write `meet`, a barrier: wait until `threads` threads have come; the last one releases the others."""
    code = Code(module, "meet", "*place threads")
    b = code.builder
    with code.when(code.is_(code.arg.threads, "<=", 1)):
        b.ret_void()
    round_ = code.at(code.arg.place, 8 * MET)
    before = b.load_atomic(round_, "acquire", 8, typ=I64)
    came = b.atomic_rmw("add", code.arg.place, code.int(1), "acq_rel")
    last = code.is_(code.add(came, 1), "==", code.arg.threads)
    with code.when(last):
        b.atomic_rmw("xchg", code.arg.place, code.int(0), "monotonic")
        b.atomic_rmw("xchg", round_, code.add(before, 1), "release")
        b.ret_void()
    _wait(code, code.arg.place, lambda: code.is_(b.load_atomic(round_, "acquire", 8, typ=I64), "==", before))
    code.end()


def _leave(code: Code, place: Value, threads: Value) -> None:
    """Emit a last barrier before torch's pool waits for its threads.

    The pool spins for milliseconds until all have come, and so keeps the core that a thread which was woken on it may need.
    """
    code.builder.call(code.builder.module.globals["meet"], [code.builder.inttoptr(place, POINTER), threads])


def _region(module: ir.Module) -> None:
    """Write `region`, which a thread of torch's pool runs.

    `what` points to the loop, its fields, OpenMP's functions for the number of this thread and for the number of threads, and the
    meeting place.
    """
    code = Code(module, "region", "*what")
    b = code.builder
    loop, fields, number, count, place = (code.load(code.at(code.arg.what, 8 * n)) for n in range(5))
    thread, threads = (b.sext(code.ask(question, I32), I64) for question in (number, count))
    code.jump(loop, b.inttoptr(fields, POINTER), thread, threads)
    _leave(code, place, threads)
    code.end()


def _pieces(module: ir.Module) -> None:
    """Write `pieces`, in which each thread takes the next piece of work, so that no piece waits for a thread without a core.

    `what` points to the loop, its fields, the count of pieces taken, the number of pieces, OpenMP's function for the number of
    threads, and the meeting place.
    """
    code = Code(module, "pieces", "*what")
    b, what = code.builder, code.arg.what
    loop, fields, pieces, count, place = (code.load(code.at(what, 8 * n)) for n in (0, 1, 3, 4, 5))
    take, work, done = (code.function.append_basic_block(n) for n in ("take", "work", "done"))
    b.branch(take)
    b.position_at_end(take)
    piece = b.atomic_rmw("add", code.at(what, 16), code.int(1), "monotonic")
    b.cbranch(code.is_(piece, "<", pieces), work, done)
    b.position_at_end(work)
    code.jump(loop, b.inttoptr(fields, POINTER), piece, pieces)
    b.branch(take)
    b.position_at_end(done)
    at = b.inttoptr(place, POINTER)
    clock = code.load(code.at(at, 8 * CLOCK))
    with code.when(b.and_(code.is_(piece, "==", pieces), code.is_(clock, "!=", 0))):
        code.ask(clock, I32, ir.Constant(I32, MONOTONIC), code.at(at, 8 * IDLE))
    _leave(code, place, b.sext(code.ask(count, I32), I64))
    code.end()


def _meetings(module: ir.Module) -> None:
    """Write `meetings`, to be run by `region`, which measures the cost of a barrier. Fields: the place, how often to meet there."""
    code = Code(module, "meetings", SHARE)
    place, count = (code.load(code.at(code.arg.fields, 8 * n)) for n in range(2))
    with code.loop(0, count):
        code.builder.call(module.globals["meet"], [code.builder.inttoptr(place, POINTER), code.arg.threads])
    code.end()


def _in_turn(module: ir.Module) -> None:
    """Write `in_turn_share`, to be run by `region`: several loops one after the other. Fields: how many; for each: loop, fields."""
    code = Code(module, "in_turn_share", SHARE)
    with code.loop(0, code.load(code.arg.fields)) as n:
        place = code.at(code.arg.fields, code.mul(n, 16))
        loop, fields = (code.load(code.at(place, 8 + 8 * k)) for k in range(2))
        code.jump(loop, code.builder.inttoptr(fields, POINTER), code.arg.thread, code.arg.threads)
    code.end()


def _nth(module: ir.Module) -> None:
    """Write `nth_share`, to be run by `pieces`: piece n is the whole nth loop. Fields: for each loop its address and fields."""
    code = Code(module, "nth_share", SHARE)
    place = code.at(code.arg.fields, code.mul(code.arg.thread, 16))
    loop, fields = (code.load(code.at(place, 8 * k)) for k in range(2))
    code.jump(loop, code.builder.inttoptr(fields, POINTER), code.int(0), code.int(1))
    code.end()


def write(module: ir.Module) -> None:
    """Write the functions `meet`, `region`, `pieces`, `meetings`, `in_turn_share` and `nth_share`."""
    for each in (_meet, _region, _pieces, _meetings, _in_turn, _nth):
        each(module)
