"""Runs an operation on arrays: a loop of vectors, compiled for this machine or for a lesser one of its kind."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from llvmlite import ir

from ostinato.kernels.cpu.code import elementary, lanes, target
from ostinato.kernels.cpu.code.lanes import Lanes
from ostinato.kernels.cpu.code.vector import emit

I64 = ir.IntType(64)
HOST = target.host()
# What code for this machine may fall back to where instructions are missing; each runs here, as it has all that is used.
LESSER = {"host": HOST}
if HOST.is_x86:
    LESSER["baseline"] = target.Target(HOST.triple, "x86-64", "")
    if HOST.has_avx2:
        LESSER["avx2"] = target.Target(HOST.triple, "haswell", "+avx2,+fma")


def use(machine: target.Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let code be emitted and compiled for this machine."""
    for module in (elementary, lanes, target):
        monkeypatch.setattr(module, "host", lambda: machine)


def module_of(vectors: Lanes, arguments: int, body: Callable[..., Any]) -> ir.Module:
    """A module with a function `run(count, *arguments, result)` over `count` vectors."""
    module = ir.Module()
    pointer = ir.PointerType()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] + [pointer] * (arguments + 1)), "run")
    count, *inputs, output = function.args
    entry, loop, end = (function.append_basic_block(name) for name in ("entry", "loop", "end"))
    builder = ir.IRBuilder(entry)
    builder.branch(loop)
    builder.position_at_end(loop)
    i = builder.phi(I64)
    i.add_incoming(I64(0), entry)
    first = builder.mul(i, I64(vectors.count))

    def at(array: Any) -> Any:
        return builder.gep(array, [first], source_etype=vectors.scalar)

    result = body(builder, *(builder.load(at(array), typ=vectors.type, align=4) for array in inputs))
    builder.store(result, at(output), align=4)
    following = builder.add(i, I64(1))
    i.add_incoming(following, builder.block)  # an operation may have made blocks of its own
    builder.cbranch(builder.icmp_unsigned("<", following, count), loop, end)
    builder.position_at_end(end)
    builder.ret_void()
    return module


def run(vectors: Lanes, body: Callable[..., Any], *arrays: Any) -> np.ndarray:
    """What `body(builder, *vectors)` makes of each vector of the arrays; their sizes must be a multiple of the lanes."""
    dtype = np.float64 if vectors.double else np.float32
    inputs = [np.ascontiguousarray(a, dtype) for a in np.broadcast_arrays(*arrays)]
    output = np.full_like(inputs[0], np.nan)
    assert output.size % vectors.count == 0
    code = target.load(target.compile(module_of(vectors, len(inputs), body)), ["run"])
    function = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * (len(inputs) + 1))(code.address("run"))
    function(output.size // vectors.count, *(a.ctypes.data for a in inputs), output.ctypes.data)
    return output


def run_op(op: str, vectors: Lanes, *arrays: Any) -> np.ndarray:
    """An operation that gives numbers; one that gives conditions gives 1 and 0."""

    def body(builder: ir.IRBuilder, *args: Any) -> Any:
        result = emit(builder, vectors, op, args)
        return builder.uitofp(result, vectors.type) if result.type != vectors.type else result

    return run(vectors, body, *arrays)
