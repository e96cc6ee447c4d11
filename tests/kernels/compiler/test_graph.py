from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.kernels.compiler.graph import BOOLEAN, POINTWISE, Graph, Node, Unsupported, parts_of, plain

H, P = 7, 3
OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "rsqrt": lambda v: 1 / np.sqrt(v),
    "reciprocal": lambda v: 1 / v,
    "abs": np.abs,
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "tanh": np.tanh,
    **{name: getattr(np, name) for name in ("exp2", "log2", "log10", "sin", "cos", "tan", "sinh", "cosh")},
    **{f"a{name}": getattr(np, f"arc{name}") for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "atan2": np.arctan2,
    "erf": np.vectorize(math.erf),
    "erfc": np.vectorize(math.erfc),
    **{name: getattr(np, name) for name in ("floor", "ceil", "trunc", "fmod", "hypot", "copysign")},
    "round": np.rint,
    "pow": np.float_power,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "where": np.where,
}
LEAVES = {"a": 0.7, "b": -1.3, "c": 2.1}
CONSTANTS = [(v, None, 1) for v in (-2.0, -1.0, 0.0, 0.5, 1.0, 3.0)] + [
    *((v, size, power) for v in (1.0, 0.25, -4.0) for size in ("H", "P") for power in (1, -1))
]
Tree = tuple[Any, ...]
numbers = st.deferred(
    lambda: st.one_of(
        st.tuples(st.just("leaf"), st.sampled_from(sorted(LEAVES))),
        st.tuples(st.just("const"), st.sampled_from(CONSTANTS)),
        st.tuples(st.sampled_from(("neg", "abs", "tanh", "sigmoid", "reciprocal", "cos", "erf")), numbers),
        st.tuples(st.sampled_from(("add", "sub", "mul", "div", "minimum", "maximum", "hypot")), numbers, numbers),
        st.tuples(st.just("where"), conditions, numbers, numbers),
    )
)
conditions: st.SearchStrategy[Tree] = st.deferred(
    lambda: st.one_of(
        st.tuples(st.sampled_from(("lt", "le", "gt", "ge", "eq", "ne")), numbers, numbers),
        st.tuples(st.sampled_from(("and", "or")), conditions, conditions),
        st.tuples(st.just("not"), conditions),
    )
)


def built(graph: Graph, tree: Tree) -> Node:
    """The tree as a node."""
    match tree:
        case ("leaf", name):
            return graph.leaf("state", (name,), "H")
        case ("const", (value, size, power)):
            return graph.const(value, size, power)
        case (op, *parts):
            return graph.apply(op, *(built(graph, part) for part in parts))
    raise AssertionError(tree)


def of_tree(tree: Tree) -> Any:
    """Its value, each operation as it stands."""
    match tree:
        case ("leaf", name):
            return np.float64(LEAVES[name])
        case ("const", (value, size, power)):
            return np.float64(value * {None: 1, "H": H, "P": P}[size] ** float(power))
        case (op, *parts):
            return OPERATIONS[op](*(of_tree(part) for part in parts))
    raise AssertionError(tree)


def of_node(node: Node) -> Any:
    """Its value, after whatever was simplified."""
    match node:
        case Node("state", (), _, (str(name),)):
            return np.float64(LEAVES[name])
        case Node("const"):
            return of_tree(("const", node.key))
        case _:
            return OPERATIONS[node.op](*(of_node(a) for a in node.args))


@settings(max_examples=300, deadline=None)
@given(numbers)
def test_what_is_simplified_has_the_value_that_it_had(tree: Tree) -> None:
    with np.errstate(all="ignore"):
        expected = of_tree(tree)
        got = of_node(built(Graph(), tree))
    if np.isfinite(expected) and abs(expected) < 1e6:  # 0 * inf is 0 here, and what is nearly infinite nearly cancels
        assert math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-6)


def test_a_product_of_constants_that_is_zero_has_their_sign() -> None:
    tree = ("maximum", ("leaf", "a"), ("reciprocal", ("mul", ("const", (0.0, None, 1)), ("const", (-4.0, "H", 1)))))
    with np.errstate(all="ignore"):
        assert of_node(built(Graph(), tree)) == of_tree(tree) == LEAVES["a"]


@settings(max_examples=100, deadline=None)
@given(numbers)
def test_the_same_is_one_object(tree: Tree) -> None:
    graph = Graph()
    assert built(graph, tree) is built(graph, tree)


def leaves() -> tuple[Graph, Node, Node, Node]:
    graph = Graph()
    a, b, c = (graph.leaf("state", (name,), "H") for name in "abc")
    return graph, a, b, c


SAME: dict[str, tuple[str, str]] = {
    "adding zero": ("a + 0", "a"),
    "zero and a sum": ("0 + a", "a"),
    "taking zero away": ("a - 0", "a"),
    "away from zero": ("0 - a", "neg(a)"),
    "times one": ("a * 1", "a"),
    "times zero": ("0 * a", "0"),
    "times minus one": ("-1 * a", "neg(a)"),
    "minus minus": ("neg(neg(a))", "a"),
    "adding a minus": ("a + neg(b)", "a - b"),
    "a minus first": ("neg(a) + b", "b - a"),
    "taking a minus away": ("a - neg(b)", "a + b"),
    "a minus in a product": ("neg(a) * b", "neg(a * b)"),
    "two minuses in a product": ("neg(a) * neg(b)", "a * b"),
    "order of a sum": ("b + a", "a + b"),
    "order of a product": ("b * a", "a * b"),
    "a common factor": ("a * b + c * a", "a * (b + c)"),
    "a common factor of a difference": ("a * b - c * b", "b * (a - c)"),
    "numbers": ("2 * 3 + 1", "7"),
    "a number below": ("a / 4", "a * 0.25"),
    "zero above": ("0 / a", "0"),
    "a size below": ("a / (4 * H)", "a * (0.25 / H)"),
    "a size and its reciprocal": ("(4 * H) * (0.25 / H)", "1"),
    "a condition of numbers": ("where(lt(1, 2), a, b)", "a"),
    "either way": ("where(lt(a, b), c, c)", "c"),
    "and true": ("where(both(lt(1, 2), lt(a, b)), a, b)", "where(lt(a, b), a, b)"),
    "or true": ("where(either(lt(a, b), lt(1, 2)), a, b)", "a"),
}


class Written:
    """Nodes that are written as they are read."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph, self.node = graph, node

    def apply(self, op: str, *others: Any) -> Written:
        nodes = [o.node if isinstance(o, Written) else self.graph.const(o) for o in others]
        return Written(self.graph, self.graph.apply(op, *nodes))

    def __add__(self, o: Any) -> Written:
        return self.apply("add", self, o)

    def __radd__(self, o: Any) -> Written:
        return self.apply("add", o, self)

    def __sub__(self, o: Any) -> Written:
        return self.apply("sub", self, o)

    def __rsub__(self, o: Any) -> Written:
        return self.apply("sub", o, self)

    def __mul__(self, o: Any) -> Written:
        return self.apply("mul", self, o)

    def __rmul__(self, o: Any) -> Written:
        return self.apply("mul", o, self)

    def __truediv__(self, o: Any) -> Written:
        return self.apply("div", self, o)

    def __rtruediv__(self, o: Any) -> Written:
        return self.apply("div", o, self)


@pytest.mark.parametrize("name", SAME)
def test_algebra(name: str) -> None:
    graph, *nodes = leaves()
    space: dict[str, Any] = {letter: Written(graph, node) for letter, node in zip("abc", nodes, strict=True)}
    a = space["a"]
    space["H"] = Written(graph, graph.const(1, "H"))
    for op, called in (("neg", "neg"), ("lt", "lt"), ("where", "where"), ("and", "both"), ("or", "either")):
        space[called] = lambda *args, op=op: a.apply(op, *args)
    got, expected = (eval(text, {}, space) for text in SAME[name])
    as_node = [v.node if isinstance(v, Written) else graph.const(v) for v in (got, expected)]
    assert as_node[0] is as_node[1]


def test_a_value_that_only_overflows_when_folded_is_left_for_the_machine() -> None:
    graph = Graph()
    assert graph.apply("exp", graph.const(1000)).op == "exp"
    assert graph.apply("log", graph.const(0)).op == "log"


@pytest.mark.parametrize("op", ["floor", "ceil", "trunc", "round"])
def test_what_is_rounded_when_folded_is_rounded_as_at_run_time(op: str) -> None:
    graph = Graph()
    for value in (-2.5, -0.5, -0.3, -0.0, 0.5, 1.5, 2.5, 1e300):
        found = plain(graph.apply(op, graph.const(value)))
        assert (found, np.signbit(found)) == (OPERATIONS[op](value), np.signbit(OPERATIONS[op](value)))
    assert graph.apply(op, graph.const(math.inf)).op == op


def test_zeros_of_either_sign_and_nan() -> None:
    graph = Graph()
    assert graph.const(0.0) is not graph.const(-0.0)
    assert graph.const(math.nan) is graph.const(math.nan)
    assert graph.const(3, None, -1) is graph.const(3)
    assert plain(graph.const(3)) == 3
    assert plain(graph.const(3, "H")) is None


def test_spaces() -> None:
    graph, a, _, _ = leaves()
    p = graph.leaf("state", ("p",), "P")
    row, one = graph.sum(a), graph.const(2)
    assert [
        graph.apply("add", *pair).space for pair in ((a, row), (row, p), (row, one), (one, graph.const(1, "H")))
    ] == [
        "H",
        "P",
        "row",
        "one",
    ]
    with pytest.raises(Unsupported, match="H and of P units"):
        graph.apply("add", a, p)


def test_the_operations_are_those_that_are_tested() -> None:
    assert set(OPERATIONS) == POINTWISE
    graph, a, b, _ = leaves()
    assert {op for op in ("add", "lt", "eq", "maximum") if graph.apply(op, a, b).is_boolean} == {"lt", "eq"} & BOOLEAN


@pytest.mark.parametrize("divisor", [-4.0, 4.0, 0.0])
@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("size", [None, "H"])
def test_a_zero_that_is_divided_keeps_its_sign(zero: float, divisor: float, size: str | None) -> None:
    g = Graph()
    found = g.apply("div", g.const(zero), g.const(divisor, size))
    if divisor == 0.0:
        assert plain(found) is None or math.isnan(plain(found) or 0.0)
        return
    value = parts_of(found)[0]
    assert value == 0.0
    assert math.copysign(1.0, value) == math.copysign(1.0, zero) * math.copysign(1.0, divisor)
