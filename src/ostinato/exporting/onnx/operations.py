"""The compiler's operations in ONNX: by one operator, or by several if ONNX has no such operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import onnx_ir as ir

from ostinato.errors import CellError
from ostinato.exporting.onnx.nodes import Nodes

# The compiler's name to ONNX's.
_SAME = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "neg": "Neg",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "reciprocal": "Reciprocal",
    "abs": "Abs",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "pow": "Pow",
    "minimum": "Min",
    "maximum": "Max",
    "floor": "Floor",
    "ceil": "Ceil",
    "round": "Round",
    "erf": "Erf",
    **{name: name.title() for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
    **{name: name.title() for name in ("sinh", "cosh", "asinh", "acosh", "atanh")},
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
    "eq": "Equal",
    "and": "And",
    "or": "Or",
    "not": "Not",
    "where": "Where",
}


def operation(nodes: Nodes, op: str, args: Sequence[ir.Value]) -> ir.Value:
    """Write a pointwise operation, or the sum or the maximum over the units of each row.

    Args:
        nodes: the list that gets the nodes.
        op: the compiler's name of the operation.
        args: its arguments.

    Raises:
        CellError: ONNX has neither the operation nor operators to make it of.
    """
    if op in _SAME:
        return nodes(_SAME[op], *args)
    if op not in _MADE:
        raise CellError(f"ONNX has no operation for {op!r}, of which a step of this layer consists; write it otherwise")
    return _MADE[op](nodes, *args)


def _sum(nodes: Nodes, v: ir.Value) -> ir.Value:
    return nodes("ReduceSum", v, nodes.integers(-1), keepdims=1)


def _max(nodes: Nodes, v: ir.Value) -> ir.Value:
    """The maximum as in torch: NaN if any number is NaN. Runtimes differ in whether they skip NaN."""
    largest = nodes("ReduceMax", v, nodes.integers(-1), keepdims=1)
    # The sum that is added is 0, or NaN if any number is NaN.
    is_nan = nodes("IsNaN", v)
    nothing = nodes("Where", is_nan, v, nodes.number(0))
    return nodes("Add", largest, _sum(nodes, nothing))


def _ne(nodes: Nodes, a: ir.Value, b: ir.Value) -> ir.Value:
    return nodes("Not", nodes("Equal", a, b))


def _rsqrt(nodes: Nodes, v: ir.Value) -> ir.Value:
    return nodes("Reciprocal", nodes("Sqrt", v))


def _expm1(nodes: Nodes, v: ir.Value) -> ir.Value:
    """tanh(v / 2) (e^v + 1), without cancellation near 0; where e^v is infinite, tanh is 1 and the product infinite."""
    half = nodes("Tanh", nodes("Mul", v, nodes.number(0.5)))
    return nodes("Mul", half, nodes("Add", nodes("Exp", v), nodes.number(1)))


def _log1p(nodes: Nodes, v: ir.Value) -> ir.Value:
    """log(1 + v) by Kahan's method: the rounding of w = 1 + v cancels in log(w) v / (w - 1)."""
    w = nodes("Add", v, nodes.number(1))
    is_small = nodes("Equal", w, nodes.number(1))
    is_large = nodes("Equal", w, nodes.number(math.inf))
    below = nodes("Where", is_small, nodes.number(1), nodes("Sub", w, nodes.number(1)))
    exact = nodes("Mul", nodes("Log", w), nodes("Div", v, below))
    return nodes("Where", is_small, v, nodes("Where", is_large, w, exact))


def _log_to(base: float) -> Callable[[Nodes, ir.Value], ir.Value]:
    return lambda nodes, v: nodes("Mul", nodes("Log", v), nodes.number(1 / math.log(base)))


def _exp2(nodes: Nodes, v: ir.Value) -> ir.Value:
    return nodes("Pow", nodes.number(2), v)


def _erfc(nodes: Nodes, v: ir.Value) -> ir.Value:
    return nodes("Sub", nodes.number(1), nodes("Erf", v))


def _trunc(nodes: Nodes, v: ir.Value) -> ir.Value:
    return nodes("Where", nodes("Less", v, nodes.number(0)), nodes("Ceil", v), nodes("Floor", v))


def _fmod(nodes: Nodes, a: ir.Value, b: ir.Value) -> ir.Value:
    return nodes("Mod", a, b, fmod=1)


def _is_negative(nodes: Nodes, v: ir.Value) -> ir.Value:
    """Whether the sign bit is set. -0 is found by its reciprocal, minus infinity."""
    zero = nodes.number(0)
    return nodes("Or", nodes("Less", v, zero), nodes("Less", nodes("Reciprocal", v), zero))


def _copysign(nodes: Nodes, a: ir.Value, b: ir.Value) -> ir.Value:
    size = nodes("Abs", a)
    return nodes("Where", _is_negative(nodes, b), nodes("Neg", size), size)


def _atan2(nodes: Nodes, y: ir.Value, x: ir.Value) -> ir.Value:
    """The angle of the point (x, y): atan(|y| / |x|), moved to the quadrant of the point."""
    zero, pi = nodes.number(0), nodes.number(math.pi)
    high, wide = nodes("Abs", y), nodes("Abs", x)
    same = nodes("Equal", high, wide)  # 0 / 0 and inf / inf would be NaN
    is_nothing = nodes("And", same, nodes("Equal", high, zero))
    ratio = nodes("Where", same, nodes.number(1), nodes("Div", high, wide))
    angle = nodes("Where", is_nothing, zero, nodes("Atan", ratio))
    angle = nodes("Where", _is_negative(nodes, x), nodes("Sub", pi, angle), angle)
    return _copysign(nodes, angle, y)


def _hypot(nodes: Nodes, a: ir.Value, b: ir.Value) -> ir.Value:
    """sqrt(a^2 + b^2). Both are first divided by the larger one, so that squares neither overflow nor vanish."""
    a, b, zero = nodes("Abs", a), nodes("Abs", b), nodes.number(0)
    largest = nodes("Max", a, b)
    by = nodes("Where", nodes("Greater", largest, zero), largest, nodes.number(1))
    p, q = nodes("Div", a, by), nodes("Div", b, by)
    length = nodes("Mul", largest, nodes("Sqrt", nodes("Add", nodes("Mul", p, p), nodes("Mul", q, q))))
    infinite = nodes.number(math.inf)
    is_infinite = nodes("Or", nodes("Equal", a, infinite), nodes("Equal", b, infinite))
    return nodes("Where", is_infinite, infinite, length)


_MADE: dict[str, Callable[..., ir.Value]] = {
    "sum": _sum,
    "max": _max,
    "ne": _ne,
    "rsqrt": _rsqrt,
    "expm1": _expm1,
    "log1p": _log1p,
    "log2": _log_to(2),
    "log10": _log_to(10),
    "exp2": _exp2,
    "erfc": _erfc,
    "trunc": _trunc,
    "fmod": _fmod,
    "copysign": _copysign,
    "atan2": _atan2,
    "hypot": _hypot,
}
