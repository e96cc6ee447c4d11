"""The compiler's own language: one step, forward and backward, as one graph of pointwise operations and sums over units.

Nodes are hash-consed: within one `Graph` the same value is the same object. So a value that the forward and the backward pass both
need, or that a step computes twice, exists once. Nodes are simplified by cheap algebra as they are made.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

Space = str  # the letter of a width, "row" for one number for each row, or "one" for a single number

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
}
BOOLEAN = frozenset({*COMPARISONS, "and", "or", "not"})
REDUCTIONS = frozenset({"sum", "max"})  # over the units of a row: the space becomes "row"
MOVES = frozenset({"roll", "flip"})  # each unit gets the value of another one of its row


def _rounded(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda v: math.copysign(function(v), v)


UNARY: dict[str, Callable[[float], float]] = {
    "neg": operator.neg,
    "exp": math.exp,
    "log": math.log,
    "log1p": math.log1p,
    "expm1": math.expm1,
    "sqrt": math.sqrt,
    "rsqrt": lambda v: 1 / math.sqrt(v),
    "reciprocal": lambda v: 1 / v,
    "abs": abs,
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "tanh": math.tanh,
    **{
        op: getattr(math, op)
        for op in (
            *("exp2", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan"),
            *("sinh", "cosh", "asinh", "acosh", "atanh", "erf", "erfc"),
        )
    },
    # Python's functions give integers, in which a zero has no sign.
    **{op: _rounded(getattr(math, op)) for op in ("floor", "ceil", "trunc")},
    "round": _rounded(round),
}
BINARY: dict[str, Callable[[float, float], float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "minimum": min,
    "maximum": max,
    "pow": math.pow,
    "fmod": math.fmod,
    "atan2": math.atan2,
    "hypot": math.hypot,
    "copysign": math.copysign,
    **COMPARISONS,
}
POINTWISE = frozenset({*UNARY, *BINARY, *BOOLEAN, "where"})
_COMMUTATIVE = frozenset({"add", "mul", "minimum", "maximum", "hypot", "eq", "ne", "and", "or"})


class Unsupported(Exception):  # noqa: N818 - not a user's error: it sends the cell to another backend, with this reason
    """The compiler does not take this cell; the message is the reason, as `explain` prints it."""


@dataclass(frozen=True, eq=False, repr=False)
class Node:
    """One value of a step. Two nodes of a graph are equal only if they are the same object.

    Attributes:
        op: one of `POINTWISE`, `REDUCTIONS` or `MOVES`; "const"; "unit", the number of the unit; or the name of a leaf: "x", "u",
            "state", "parameter", "mask", "input", "dstate", "dv".
        args: the nodes that it is computed from. `where` has (condition, value if true, value if false).
        space: "H": `(B, H)`; "P": `(B, P)`, and so for all widths; "row": `(B, 1)`, one number for each row; "one": a single
            number.
        key: for a leaf, which one it is, see `trace` (read by `number_of`, `name_of` and `piece_of`); for a const
            `(value, size, power)` (read by `parts_of`); for a roll, by how many units; else ().
    """

    op: str
    args: tuple[Node, ...]
    space: Space
    key: tuple[object, ...] = ()

    def __repr__(self) -> str:
        return f"Node({self.op}, {self.space}{', ' if self.key else ''}{', '.join(map(str, self.key))})"

    @property
    def is_boolean(self) -> bool:
        """Whether the value is a condition and not a number."""
        return self.op in BOOLEAN


class Graph:
    """Makes nodes, each value once. A value is simplified if that costs nothing and changes no rounding that matters."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[object, ...], Node] = {}
        self._number: dict[Node, int] = {}

    def _node(self, op: str, args: tuple[Node, ...], space: Space, key: tuple[object, ...] = ()) -> Node:
        # Compared by repr, which tells 0.0 from -0.0, and for which nan equals nan.
        known_as = (op, args, space, *map(repr, key))
        if (node := self._nodes.get(known_as)) is None:
            node = self._nodes[known_as] = Node(op, args, space, key)
            self._number[node] = len(self._number)
        return node

    def leaf(self, op: str, key: tuple[object, ...], space: Space) -> Node:
        """A value that comes from outside the step."""
        return self._node(op, (), space, key)

    def const(self, value: float, size: str | None = None, power: int = 1) -> Node:
        """The number `value * size**power`."""
        return self._node("const", (), "one", (float(value), size, power if size else 1))

    def sum(self, v: Node) -> Node:
        """The sum of `v`, which varies over the units, over all units of a row."""
        return self._node("sum", (v,), "row")

    def max(self, v: Node) -> Node:
        """The largest of `v`, which varies over the units, over all units of a row; NaN if any of them is NaN."""
        return self._node("max", (v,), "row")

    def roll(self, v: Node, by: int) -> Node:
        """Move the units around the end: unit `n` gets the value of unit `n - by`."""
        if v.op == "roll":
            v, by = v.args[0], by + number_of(v)
        return v if by == 0 or v.space in ("row", "one") else self._node("roll", (v,), v.space, (by,))

    def flip(self, v: Node) -> Node:
        """Reverse the units: the first one gets the value of the last one."""
        if v.op == "flip":
            return v.args[0]
        return v if v.space in ("row", "one") else self._node("flip", (v,), v.space)

    def apply(self, op: str, *args: Node) -> Node:
        """A pointwise operation."""
        if (simpler := self._simplified(op, args)) is not None:
            return simpler
        if op in _COMMUTATIVE:
            args = tuple(sorted(args, key=self._number.__getitem__))
        return self._node(op, args, _joined([a.space for a in args]))

    def _simplified(self, op: str, args: tuple[Node, ...]) -> Node | None:
        if op in UNARY:
            return self._unary(op, args[0])
        if op in ("and", "or", "not", "where"):
            return self._logic(op, args)
        a, b = args
        left, right = plain(a), plain(b)
        if left is not None and right is not None:
            return self._folded(BINARY[op], left, right)
        rule = getattr(self, f"_{op}", None)
        return rule(a, b) if rule else None

    def _folded(self, function: Callable[..., float], *values: float) -> Node | None:
        try:
            return self.const(float(function(*values)))
        except (ArithmeticError, ValueError):  # not folded: it is an infinity or nan at run time, as in torch
            return None

    def _unary(self, op: str, a: Node) -> Node | None:
        if a.op == "const":
            value, size, power = parts_of(a)
            if size is None:
                return self._folded(UNARY[op], value)
            if op == "neg":
                return self.const(-value, size, power)
            if op == "reciprocal" and value:
                return self.const(1 / value, size, -power)
        return a.args[0] if op == "neg" and a.op == "neg" else None

    def _logic(self, op: str, args: tuple[Node, ...]) -> Node | None:
        truth = plain(args[0])  # a condition that does not vary is a const
        if op == "not":
            return None if truth is None else self.const(float(not truth))
        if op == "where":
            if args[1] is args[2]:
                return args[1]
            return None if truth is None else args[1 if truth else 2]
        a, b = args
        if truth is None:
            truth, a, b = plain(b), b, a
        if truth is None:
            return a if a is b else None
        return b if bool(truth) == (op == "and") else self.const(float(op == "or"))

    def _add(self, a: Node, b: Node) -> Node | None:
        if plain(a) == 0:
            return b
        if plain(b) == 0:
            return a
        if b.op == "neg":
            return self.apply("sub", a, b.args[0])
        return self.apply("sub", b, a.args[0]) if a.op == "neg" else self._factored("add", a, b)

    def _sub(self, a: Node, b: Node) -> Node | None:
        if plain(b) == 0:
            return a
        if plain(a) == 0:
            return self.apply("neg", b)
        return self.apply("add", a, b.args[0]) if b.op == "neg" else self._factored("sub", a, b)

    def _factored(self, op: str, a: Node, b: Node) -> Node | None:
        """c d + c e = c (d + e). With peepholes the step runs twice, which makes two chains of gradients; this joins them."""
        if a is b or a.op != "mul" or b.op != "mul":
            return None
        for common, d in (a.args, a.args[::-1]):
            if common in b.args:
                e = b.args[1 - b.args.index(common)]
                return self.apply("mul", common, self.apply(op, d, e))
        return None

    def _mul(self, a: Node, b: Node) -> Node | None:
        for one, other in ((a, b), (b, a)):
            if (value := plain(one)) in (0, 1, -1):
                if value == 0 and other.op == "const":  # the zero gets the right sign: a division by it depends on it
                    return self.const(value * parts_of(other)[0])
                return one if value == 0 else other if value == 1 else self.apply("neg", other)
            if one.op == "neg":
                return self.apply("neg", self.apply("mul", one.args[0], other))
        return self._const_product(a, b) if a.op == b.op == "const" else None

    def _const_product(self, a: Node, b: Node) -> Node | None:
        (v, size, power), (w, other_size, other_power) = parts_of(a), parts_of(b)
        if size is None or other_size is None:
            return self.const(v * w, size or other_size, power if size else other_power)
        return self.const(v * w) if size == other_size and power == -other_power else None

    def _div(self, a: Node, b: Node) -> Node | None:
        if b.op == "const" and parts_of(b)[0]:  # a product costs a tenth of a quotient, and keeps the sign of a zero
            return self.apply("mul", a, self.apply("reciprocal", b))
        if plain(a) == 0 and b.op != "const":
            return a
        return self.apply("neg", self.apply("div", a.args[0], b)) if a.op == "neg" else None


def _joined(spaces: list[Space]) -> Space:
    wide = sorted({*spaces} - {"row", "one"})
    if len(wide) > 1:
        raise Unsupported(f"the step combines values of {wide[0]} and of {wide[1]} units")
    return next(space for space in (*wide, "row", "one") if space in spaces)


def walk(roots: Iterable[Node], stop: Callable[[Node], bool] = lambda _: False) -> Iterator[Node]:
    """Give every node below the roots once, arguments before the nodes that use them; do not go below a node at which to stop."""
    seen: set[Node] = set()

    def visit(node: Node) -> Iterator[Node]:
        if node in seen:
            return
        seen.add(node)
        if not stop(node):
            for arg in node.args:
                yield from visit(arg)
        yield node

    for root in roots:
        yield from visit(root)


def number_of(leaf: Node) -> int:
    """The gate of an "x", the product of a "u" or "dv", or by how many units a "roll" moves."""
    number = leaf.key[0]
    assert isinstance(number, int)
    return number


def name_of(leaf: Node) -> str:
    """The name of a "state", "dstate", "parameter", "mask" or "input"."""
    return str(leaf.key[0])


def piece_of(leaf: Node) -> int:
    """Which piece of its product a "u" is, or which piece of its parameter a "parameter" is."""
    piece = leaf.key[1]
    assert isinstance(piece, int)
    return piece


def parts_of(const: Node) -> tuple[float, str | None, int]:
    """A const as (value, size, power), which stands for value * size**power; size is None or a letter, power is 1 or -1."""
    value, size, power = const.key
    assert isinstance(value, float)
    assert size is None or isinstance(size, str)
    assert isinstance(power, int)
    return value, size, power


def plain(node: Node) -> float | None:
    """The value of a const that does not depend on a size, else None."""
    return parts_of(node)[0] if node.op == "const" and parts_of(node)[1] is None else None
