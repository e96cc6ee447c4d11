"""PyTorch's pointwise operations in the compiler's: by the name that a recording has for them, and by what they are made of."""

from __future__ import annotations

from collections.abc import Callable

from ostinato.kernels.compiler.graph import Graph, Node, Unsupported, plain


def as_number(g: Graph, v: Node) -> Node:
    """A condition as 1 or 0."""
    return g.apply("where", v, g.const(1), g.const(0)) if v.is_boolean else v


def as_condition(g: Graph, v: Node) -> Node:
    """A number as whether it is not 0."""
    return v if v.is_boolean else g.apply("ne", v, g.const(0))


def _on_numbers(op: str) -> Callable[..., Node]:
    return lambda g, *nodes: g.apply(op, *(as_number(g, node) for node in nodes))


def _on_conditions(op: str) -> Callable[..., Node]:
    return lambda g, *nodes: g.apply(op, *(as_condition(g, node) for node in nodes))


def _where(g: Graph, condition: Node, a: Node, b: Node) -> Node:
    return g.apply("where", as_condition(g, condition), as_number(g, a), as_number(g, b))


def _pow(g: Graph, v: Node, exponent: Node) -> Node:
    power = plain(exponent)
    v = as_number(g, v)
    if power == -0.5:
        return g.apply("rsqrt", v)
    if power is None or 2 * power != int(2 * power) or abs(power) > 8:
        raise Unsupported(f"the step uses aten.pow with the exponent {'of a tensor' if power is None else power}")
    whole, half = divmod(abs(power), 1)
    result = g.apply("sqrt", v) if half else g.const(1)
    for _ in range(int(whole)):
        result = g.apply("mul", result, v)
    return g.apply("reciprocal", result) if power < 0 else result


def _clamp(g: Graph, v: Node, low: Node | None = None, high: Node | None = None) -> Node:
    if low is not None:
        v = g.apply("maximum", v, low)
    return v if high is None else g.apply("minimum", v, high)


def _sign(g: Graph, v: Node) -> Node:
    zero = g.const(0)
    below = g.apply("where", g.apply("lt", v, zero), g.const(-1), zero)
    return g.apply("where", g.apply("gt", v, zero), g.const(1), below)


# Each takes the graph, then the operands; None for one that is left out.
POINTWISE: dict[str, Callable[..., Node]] = {
    **{
        op: _on_numbers(op)
        for op in (
            *("add", "sub", "mul", "div", "neg", "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "reciprocal", "abs"),
            *("sigmoid", "tanh", "minimum", "maximum", "lt", "le", "gt", "ge", "eq", "ne"),
        )
    },
    **{f"{kind}_{op}": _on_conditions(op) for kind in ("logical", "bitwise") for op in ("and", "or", "not")},
    "rsub": lambda g, a, b: g.apply("sub", b, a),
    "square": lambda g, v: g.apply("mul", v, v),
    "pow": _pow,
    "relu": lambda g, v: g.apply("maximum", v, g.const(0)),
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": lambda g, v, high: _clamp(g, v, None, high),
    "sign": _sign,
    "sgn": _sign,
    "where": _where,
}
