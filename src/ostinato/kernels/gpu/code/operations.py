"""The graph's pointwise operations as expressions of Triton."""

from __future__ import annotations

import math

from ostinato.kernels.gpu.code.prelude import FUNCTIONS, NEEDS

_INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "and": "&",
    "or": "|",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "eq": "==",
    "ne": "!=",
}
_ALL_NAN = "propagate_nan=tl.PropagateNan.ALL"
EXPRESSIONS: dict[str, str] = {
    **{op: f"{{}} {sign} {{}}" for op, sign in _INFIX.items()},
    **{op: f"tl.{op}({{}})" for op in ("exp", "log", "sqrt", "rsqrt", "abs", "sigmoid", "exp2", "log2", "sin", "cos")},
    **{op: f"tl.{op}({{}})" for op in ("erf", "floor", "ceil")},
    **{op: f"tl.{op}({{}}, {{}}, {_ALL_NAN})" for op in ("minimum", "maximum")},
    **{
        op: f"{op}({{}})"
        for op in (
            "tanh",
            "log1p",
            "expm1",
            "tan",
            "atan",
            "asin",
            "acos",
            "sinh",
            "cosh",
            "asinh",
            "acosh",
            "atanh",
            "trunc",
        )
    },
    **{op: f"{op}({{}}, {{}})" for op in ("hypot", "copysign", "fmod", "atan2")},
    "round": "round_even({})",
    "pow": "power({}, {})",
    "log10": f"tl.log({{}}) * {1 / math.log(10)!r}",
    "erfc": "1 - tl.erf({})",
    "neg": "-{}",
    "not": "{} == 0",
    "reciprocal": "1 / {}",
    "where": "tl.where({}, {}, {})",
}


def function_of(op: str) -> str | None:
    """The name of the function of the prelude that an operation calls, or None."""
    name = EXPRESSIONS[op].partition("(")[0]
    return name if name in FUNCTIONS else None


def functions(names: set[str]) -> list[str]:
    """The texts of these functions of the prelude and of those that they call, each after the functions that it calls."""
    wanted = names | {needed for name in names for needed in NEEDS.get(name, ())}
    return [FUNCTIONS[name] for name in sorted(wanted, key=lambda name: (name in NEEDS, name))]
