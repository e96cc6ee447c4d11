"""Pointwise operations on LLVM vectors, all by one function, `emit`, and under torch's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from ostinato.kernels.cpu.code.lanes import Lanes, Value
from ostinato.kernels.cpu.code.special import Special

__all__ = ["OPERATIONS", "Lanes", "emit"]

_OPERATIONS: dict[str, Callable[..., Value]] = {
    "add": lambda e, a, b: e.b.fadd(a, b),
    "sub": lambda e, a, b: e.b.fsub(a, b),
    "mul": lambda e, a, b: e.b.fmul(a, b),
    "div": lambda e, a, b: e.b.fdiv(a, b),
    "neg": lambda e, a: e.b.fneg(a),
    "abs": lambda e, a: e.intrinsic("fabs", a),
    "sqrt": lambda e, a: e.intrinsic("sqrt", a),
    "rsqrt": Special.rsqrt,
    "reciprocal": Special.reciprocal,
    "exp": Special.exp,
    "expm1": Special.expm1,
    "log": Special.log,
    "log1p": Special.log1p,
    "sigmoid": Special.sigmoid,
    "tanh": Special.tanh,
    "softplus": Special.softplus,
    "exp2": Special.exp2,
    "log2": lambda e, a: e.log(a, 2),
    "log10": lambda e, a: e.log(a, 10),
    "sin": Special.sin,
    "cos": Special.cos,
    "tan": Special.tan,
    "asin": Special.asin,
    "acos": Special.acos,
    "atan": Special.atan,
    "sinh": Special.sinh,
    "cosh": Special.cosh,
    "asinh": Special.asinh,
    "acosh": Special.acosh,
    "atanh": Special.atanh,
    "erf": Special.erf,
    "erfc": lambda e, a: e.each_lane("erfc", a),
    "floor": lambda e, a: e.intrinsic("floor", a),
    "ceil": lambda e, a: e.intrinsic("ceil", a),
    "trunc": lambda e, a: e.intrinsic("trunc", a),
    "round": lambda e, a: e.intrinsic("rint", a),  # halves are rounded to even
    "pow": Special.pow,
    "fmod": Special.fmod,
    "atan2": Special.atan2,
    "hypot": Special.hypot,
    "copysign": lambda e, a, b: e.intrinsic("copysign", a, b),
    "minimum": lambda e, a, b: e.extreme(a, b, "<"),
    "maximum": lambda e, a, b: e.extreme(a, b, ">"),
    "where": lambda e, condition, a, b: e.b.select(condition, a, b),
    "lt": lambda e, a, b: e.b.fcmp_ordered("<", a, b),
    "le": lambda e, a, b: e.b.fcmp_ordered("<=", a, b),
    "gt": lambda e, a, b: e.b.fcmp_ordered(">", a, b),
    "ge": lambda e, a, b: e.b.fcmp_ordered(">=", a, b),
    "eq": lambda e, a, b: e.b.fcmp_ordered("==", a, b),
    "ne": lambda e, a, b: e.b.fcmp_unordered("!=", a, b),
    "and": lambda e, a, b: e.b.and_(a, b),
    "or": lambda e, a, b: e.b.or_(a, b),
    "not": lambda e, a: e.b.not_(a),
}
OPERATIONS = frozenset(_OPERATIONS)


def emit(builder: ir.IRBuilder, lanes: Lanes, op: str, args: Sequence[Value]) -> Value:
    """Write an operation where the builder is.

    Args:
        builder: a builder inside a function of a module for the host, whose special instructions may be used.
        lanes: the lanes of the arguments.
        op: one of `OPERATIONS`, with torch's meaning. A comparison gives a vector of single bits; "and", "or" and "not" take such
            vectors, and "where" takes one as its first argument.
        args: vectors of `lanes.type`, as many as the operation takes.

    Raises:
        NotImplementedError: if there is no such operation.
    """
    if op not in _OPERATIONS:
        raise NotImplementedError(f"expected one of {', '.join(sorted(OPERATIONS))}, got {op!r}")
    return _OPERATIONS[op](Special(builder, lanes), *args)
