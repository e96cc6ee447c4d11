"""What threads run, and how they wait for each other, in machine code."""

from __future__ import annotations

from collections.abc import Callable

import llvmlite.binding as llvm
from llvmlite import ir

from ostinato.kernels.cpu.code.builder import I32, I64, POINTER, Code, Value
from ostinato.kernels.cpu.code.product import SHARE

MONOTONIC = 1  # the clock of `time.monotonic` on Linux
SPINS = 1 << 12  # turns of a waiting thread, of some 20 ns each, before it sleeps
NAP_S = 5e-5  # how long a thread sleeps that has waited for long; more by what the system adds
# Where a meeting place keeps how often all met, how to sleep, for how many nanoseconds threads did, whom to ask for the time,
# and when the first thread found nothing left to do.
MET, NAP, SLEPT, CLOCK, IDLE = 8, 16, 18, 19, 24


def _wait(code: Code, place: Value, goes_on: Callable[[], Value]) -> None:
    """Spin for as long as a thread that is on a core may need, and then sleep, so that one that is on none gets this one.

    To yield is not enough: beside a busy process it hands the core to that one for a whole turn of the scheduler, and who comes
    back finds the others gone. Who sleeps is woken soon.

    Args:
        code: the function that waits.
        place: as `threads.meeting_place` makes it.
        goes_on: emits whether there is still something to wait for.
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
            # Who sleeps may have to wait for its core for milliseconds.
            code.ask(clock, I32, ir.Constant(I32, MONOTONIC), end)
            s, ns = (code.sub(code.load(code.at(end, at)), code.load(code.at(begin, at))) for at in (0, 8))
            code.store(code.add(code.mul(s, 1_000_000_000), ns), slept)
        b.atomic_rmw("add", code.at(place, 8 * SLEPT), code.load(slept), "monotonic")
    b.branch(head)
    b.position_at_end(done)


def _meet(module: ir.Module) -> None:
    """Wait until `threads` threads have come: the last one to come lets the others go."""
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
    """Meet once more before torch's pool waits for its threads.

    It spins for milliseconds for whoever has not come, and takes the core away that a thread may need which was woken on this one.
    """
    code.builder.call(code.builder.module.globals["meet"], [code.builder.inttoptr(place, POINTER), threads])


def _region(module: ir.Module) -> None:
    """What a thread of torch's pool runs.

    `what` is the loop, its fields, OpenMP's two questions, who am I and how many, and where they meet.
    """
    code = Code(module, "region", "*what")
    b = code.builder
    loop, fields, number, count, place = (code.load(code.at(code.arg.what, 8 * n)) for n in range(5))
    thread, threads = (b.sext(code.ask(question, I32), I64) for question in (number, count))
    code.jump(loop, b.inttoptr(fields, POINTER), thread, threads)
    _leave(code, place, threads)
    code.end()


def _pieces(module: ir.Module) -> None:
    """What a thread runs where pieces of the work wait for whoever is there, so that nobody waits for a thread that is on no core.

    `what` is the loop, its fields, pieces taken, pieces, how many threads there are, to be asked, and where they meet.
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
    """For `region`, to measure what a meeting costs. Fields: the place, and how often to meet there."""
    code = Code(module, "meetings", SHARE)
    place, count = (code.load(code.at(code.arg.fields, 8 * n)) for n in range(2))
    with code.loop(0, count):
        code.builder.call(module.globals["meet"], [code.builder.inttoptr(place, POINTER), code.arg.threads])
    code.end()


def _in_turn(module: ir.Module) -> None:
    """Several loops one after the other, for `region`. Fields: how many, and for each: loop, fields."""
    code = Code(module, "in_turn_share", SHARE)
    with code.loop(0, code.load(code.arg.fields)) as n:
        place = code.at(code.arg.fields, code.mul(n, 16))
        loop, fields = (code.load(code.at(place, 8 + 8 * k)) for k in range(2))
        code.jump(loop, code.builder.inttoptr(fields, POINTER), code.arg.thread, code.arg.threads)
    code.end()


def _nth(module: ir.Module) -> None:
    """One of several loops, for `pieces`, the whole of it. Fields: for each loop: its address, and its fields."""
    code = Code(module, "nth_share", SHARE)
    place = code.at(code.arg.fields, code.mul(code.arg.thread, 16))
    loop, fields = (code.load(code.at(place, 8 * k)) for k in range(2))
    code.jump(loop, code.builder.inttoptr(fields, POINTER), code.int(0), code.int(1))
    code.end()


def write(module: ir.Module) -> None:
    """The functions `meet`, `region`, `pieces`, `meetings`, `in_turn_share` and `nth_share`."""
    for each in (_meet, _region, _pieces, _meetings, _in_turn, _nth):
        each(module)
