"""Values of a step as C expressions, without needless parentheses, and with constants computed in advance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ostinato.exporting.c.mathematics import CALLS
from ostinato.exporting.c.text import number
from ostinato.kernels.compiler.graph import BINARY, COMPARISONS, UNARY, Node, parts_of

# How tightly operators bind.
PRIMARY, UNARY_LEVEL, PRODUCT, SUM, RELATION, LOGIC, CHOICE = 7, 6, 5, 4, 3, 2, 1

_INFIX = {
    "add": ("+", SUM),
    "sub": ("-", SUM),
    "mul": ("*", PRODUCT),
    "div": ("/", PRODUCT),
    "lt": ("<", RELATION),
    "le": ("<=", RELATION),
    "gt": (">", RELATION),
    "ge": (">=", RELATION),
    "eq": ("==", RELATION),
    "ne": ("!=", RELATION),
    "and": ("&&", LOGIC),
    "or": ("||", LOGIC),
}


@dataclass(frozen=True)
class Text:
    """A C expression.

    Attributes:
        text: the expression.
        level: how tightly its outermost operator binds.
    """

    text: str
    level: int = PRIMARY

    def inside(self, least: int) -> str:
        """Return the text as an operand of an operator of the level `least`, in parentheses if they are needed."""
        return self.text if self.level >= least else f"({self.text})"


def constant(value: float) -> Text:
    """Return a number as an expression."""
    text = number(value)
    return Text(text, UNARY_LEVEL if text.startswith("-") else PRIMARY)


def known(node: Node, sizes: Mapping[str, int]) -> float | None:
    """Return the value of a node that depends on sizes only, else None."""
    if node.op == "const":
        value, size, power = parts_of(node)
        return value if size is None else value * float(sizes[size]) ** power
    function = UNARY.get(node.op) or (None if node.op in COMPARISONS else BINARY.get(node.op))
    if function is None or not node.args:
        return None
    found = [known(arg, sizes) for arg in node.args]
    values = [v for v in found if v is not None]
    if len(values) < len(found):
        return None
    try:
        return float(function(*values))
    except (ArithmeticError, ValueError):  # an infinity or nan at run time
        return None


def operation(op: str, args: list[Text]) -> Text:
    """Return the expression of an operation of `kernels.compiler.graph.POINTWISE`."""
    if op in _INFIX:
        sign, level = _INFIX[op]
        left, right = args
        # Conditions in conditions get parentheses, as compilers warn otherwise; sums and products are evaluated from
        # the left.
        if level in (RELATION, LOGIC):
            return Text(f"{left.inside(SUM)} {sign} {right.inside(SUM)}", level)
        return Text(f"{left.inside(level)} {sign} {right.inside(level + 1)}", level)
    match op:
        case "neg":
            return Text(f"-{args[0].inside(PRIMARY)}", UNARY_LEVEL)
        case "not":
            return Text(f"!{args[0].inside(PRIMARY)}", UNARY_LEVEL)
        case "reciprocal":
            return Text(f"1.0f / {args[0].inside(UNARY_LEVEL)}", PRODUCT)
        case "where":
            condition, yes, no = args
            return Text(f"{condition.inside(RELATION)} ? {yes.inside(LOGIC)} : {no.inside(LOGIC)}", CHOICE)
        case _:
            return Text(f"{CALLS[op]}({', '.join(arg.text for arg in args)})")
