"""PyTorch's pointwise operations, by their name in a recording, as operations of the compiler."""

from __future__ import annotations

import math
from collections.abc import Callable

from ostinato.kernels.compiler.graph import Graph, Node, plain


def as_number(g: Graph, v: Node) -> Node:
    """The value as a number: a condition becomes 1 or 0."""
    return g.apply("where", v, g.const(1), g.const(0)) if v.is_boolean else v


def as_condition(g: Graph, v: Node) -> Node:
    """The value as a condition: a number is true if it is not 0."""
    return v if v.is_boolean else g.apply("ne", v, g.const(0))


def _on_numbers(op: str) -> Callable[..., Node]:
    return lambda g, *nodes: g.apply(op, *(as_number(g, node) for node in nodes))


def _on_conditions(op: str) -> Callable[..., Node]:
    return lambda g, *nodes: g.apply(op, *(as_condition(g, node) for node in nodes))


def _where(g: Graph, condition: Node, a: Node, b: Node) -> Node:
    return g.apply("where", as_condition(g, condition), as_number(g, a), as_number(g, b))


def _pow(g: Graph, v: Node, exponent: Node) -> Node:
    v, exponent = as_number(g, v), as_number(g, exponent)
    power = plain(exponent)
    if power == -0.5:
        return g.apply("rsqrt", v)
    if power is None or 2 * power != int(2 * power) or abs(power) > 8:
        return g.apply("exp2", exponent) if plain(v) == 2 else g.apply("pow", v, exponent)
    whole, half = divmod(abs(power), 1)
    result = g.apply("sqrt", v) if half else g.const(1)
    for _ in range(int(whole)):
        result = g.apply("mul", result, v)
    return g.apply("reciprocal", result) if power < 0 else result


def _remainder(g: Graph, v: Node, by: Node) -> Node:
    """The remainder with the sign of the divisor; that of fmod has the sign of the dividend."""
    v, by, zero = as_number(g, v), as_number(g, by), g.const(0)
    rest = g.apply("fmod", v, by)
    below = g.apply("and", g.apply("lt", by, zero), g.apply("gt", rest, zero))
    above = g.apply("and", g.apply("gt", by, zero), g.apply("lt", rest, zero))
    return g.apply("where", g.apply("or", below, above), g.apply("add", rest, by), rest)


def _floor_divided(g: Graph, v: Node, by: Node) -> Node:
    """The largest whole number that is at most v / by; v / 0 as it is.

    It is computed from the remainder, as the floor of a quotient that was rounded up would be one too large.
    """
    v, by = as_number(g, v), as_number(g, by)
    quotient = g.apply("div", v, by)
    whole = g.apply("round", g.apply("div", g.apply("sub", v, _remainder(g, v, by)), by))
    return g.apply("where", g.apply("eq", by, g.const(0)), quotient, whole)


def _is_nan(g: Graph, v: Node) -> Node:
    return g.apply("ne", v, v)


def _fmax(sign: str) -> Callable[..., Node]:
    """The larger (`ge`) or smaller (`le`) of two numbers; if one of them is NaN, the other one."""

    def chosen(g: Graph, a: Node, b: Node) -> Node:
        a, b = as_number(g, a), as_number(g, b)
        return g.apply("where", g.apply("or", g.apply(sign, a, b), _is_nan(g, b)), a, b)

    return chosen


def _shrunk_gradient(g: Graph, gradient: Node, v: Node, bound: Node) -> Node:
    inside = g.apply("le", g.apply("abs", v), bound)
    return g.apply("where", inside, g.const(0), gradient)


def _clamp(g: Graph, v: Node, low: Node | None = None, high: Node | None = None) -> Node:
    if low is not None:
        v = g.apply("maximum", v, low)
    return v if high is None else g.apply("minimum", v, high)


def _sign(g: Graph, v: Node) -> Node:
    zero = g.const(0)
    below = g.apply("where", g.apply("lt", v, zero), g.const(-1), zero)
    return g.apply("where", g.apply("gt", v, zero), g.const(1), below)


# Each function takes the graph, then the operands; None for an operand that is left out.
POINTWISE: dict[str, Callable[..., Node]] = {
    **{
        op: _on_numbers(op)
        for op in (
            *("add", "sub", "mul", "div", "neg", "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "reciprocal", "abs"),
            *("sigmoid", "tanh", "minimum", "maximum", "lt", "le", "gt", "ge", "eq", "ne"),
            *("exp2", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh"),
            *("asinh", "acosh", "atanh", "erf", "erfc", "floor", "ceil", "trunc", "round", "fmod", "hypot", "copysign"),
        )
    },
    **{f"{kind}_{op}": _on_conditions(op) for kind in ("logical", "bitwise") for op in ("and", "or", "not")},
    "rsub": lambda g, a, b: g.apply("sub", b, a),
    "square": lambda g, v: g.apply("mul", v, v),
    "pow": _pow,
    "remainder": _remainder,
    "div_floor": _floor_divided,
    "div_trunc": lambda g, a, b: g.apply("trunc", g.apply("div", as_number(g, a), as_number(g, b))),
    "isnan": _is_nan,
    "isinf": lambda g, v: g.apply("eq", g.apply("abs", v), g.const(math.inf)),
    "signbit": lambda g, v: g.apply("lt", g.apply("copysign", g.const(1), v), g.const(0)),
    "fmax": _fmax("ge"),
    "fmin": _fmax("le"),
    "hardshrink_backward": _shrunk_gradient,
    "softshrink_backward": _shrunk_gradient,
    "relu": lambda g, v: g.apply("maximum", v, g.const(0)),
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": lambda g, v, high: _clamp(g, v, None, high),
    "sign": _sign,
    "sgn": _sign,
    "where": _where,
}
