"""From PyTorch's graph of a step, over whole tensors, to the compiler's, over pieces of H or P units.

PyTorch's graph was recorded at some sizes; what it says must hold for all. So the sizes are primes, which tell `4 H` from anything
else; a tensor `(B, 4 H)` becomes four nodes, one a piece; and numbers that differ between recordings at two sizes are explained as
multiples of H or 1/H, or refused.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Literal

import torch
from torch import fx
from torch.utils._pytree import tree_leaves

from ostinato.kernels.graph import Graph, Node, Unsupported, plain
from ostinato.types import Tensor

# Numbers in a recording, by the place of their node and their own, as (value, size, power) of a const; None for an unexplained one.
Constants = dict[tuple[int, object], tuple[float, str | None, int] | None]


@dataclass(frozen=True)
class Sizes:
    """The sizes of one recording: `B`, `H`, `P`; distinct primes, P equal to H without projection."""

    rows: int
    hidden: int
    projected: int

    def letters(self) -> dict[str, int]:
        """H, and P where it is another."""
        return {"H": self.hidden} | ({"P": self.projected} if self.projected != self.hidden else {})


@dataclass(frozen=True)
class Value:
    """A tensor of at most two dimensions.

    Attributes:
        pieces: nodes side by side along the last dimension.
        widths: how many columns each takes; a piece of the space "row" or "one" is spread over them.
        rows: "each" row of the batch has its own values; they are the "same" for all; or it is to be "summed" over the rows, which
            only a parameter's gradient may be.
    """

    pieces: tuple[Node, ...]
    widths: tuple[int, ...] = (1,)
    rows: Literal["same", "each", "summed"] = "same"

    @property
    def width(self) -> int:
        """Of all pieces together."""
        return sum(self.widths)

    @property
    def is_zero(self) -> bool:
        """Whether it is known to be zero throughout."""
        return all(plain(piece) == 0 for piece in self.pieces)

    def cut(self, widths: Sequence[int]) -> Value:
        """The same in pieces of these widths, which sum to `width`."""
        ends = list(accumulate(self.widths))
        pieces: list[Node] = []
        start = 0
        for width in widths:
            at = next(n for n, end in enumerate(ends) if end > start)
            if start + width > ends[at] or (width != self.widths[at] and self.pieces[at].space not in ("row", "one")):
                raise Unsupported(
                    "the step takes some of the units of a gate or a state, which the compiler does not know"
                )
            pieces.append(self.pieces[at])
            start += width
        return Value(tuple(pieces), tuple(widths), self.rows)

    def columns(self, start: int, end: int) -> Value:
        """Those from `start` up to `end`."""
        bounds = sorted({0, start, end, self.width, *accumulate(self.widths)})
        cut = self.cut([b - a for a, b in pairwise(bounds)])
        inside = [n for n, (a, b) in enumerate(pairwise(bounds)) if start <= a and b <= end]
        return Value(tuple(cut.pieces[n] for n in inside), tuple(cut.widths[n] for n in inside), self.rows)


def numbers(recordings: Sequence[tuple[fx.GraphModule, Sizes]]) -> Constants:
    """Every number in the two recordings by its node's place and its own; None where it follows no size.

    Raises:
        Unsupported: where the recordings differ in more than numbers.
    """
    (first, sizes), (second, other_sizes) = recordings
    found: Constants = {}
    pairs = list(zip(first.graph.nodes, second.graph.nodes, strict=False))
    same = len(first.graph.nodes) == len(second.graph.nodes)
    for at, (a, b) in enumerate(pairs):
        same = same and a.op == b.op and str(a.target) == str(b.target) and len(a.args) == len(b.args)
        if not same:
            raise Unsupported("what the step does, and not only its sizes, depends on the sizes of its tensors")
        arguments, others = dict(_arguments(a, first)), dict(_arguments(b, second))
        for key in arguments.keys() & others.keys():
            found[at, key] = _explained(arguments[key], others[key], sizes, other_sizes)
    return found


def _arguments(node: fx.Node, module: fx.GraphModule) -> Iterator[tuple[object, float]]:
    if node.op == "get_attr":
        value = getattr(module, str(node.target))
        if value.numel() == 1:
            yield 0, value.item()
    for key, value in (*enumerate(node.args), *node.kwargs.items()):
        if isinstance(value, int | float):
            yield key, value


def _explained(a: float, b: float, sizes: Sizes, others: Sizes) -> tuple[float, str | None, int] | None:
    if a == b or (a != a and b != b):
        return float(a), None, 1
    for letter, size in sizes.letters().items():
        other = others.letters()[letter]
        if math.isclose(a / size, b / other, rel_tol=1e-15):
            return a / size, letter, 1
        if math.isclose(a * size, b * other, rel_tol=1e-15):
            return a * size, letter, -1
    return None


class Lowering:
    """Turns one recording into nodes of a graph.

    Args:
        graph: where the nodes are made.
        module: the recording.
        sizes: its sizes.
        constants: from `numbers`.
    """

    def __init__(self, graph: Graph, module: fx.GraphModule, sizes: Sizes, constants: Constants) -> None:
        self._graph, self._module, self._sizes, self._constants = graph, module, sizes, constants
        self._values: dict[fx.Node, Any] = {}
        self._place = {node: at for at, node in enumerate(module.graph.nodes)}

    def run(self, inputs: Sequence[Value]) -> list[Value]:
        """`inputs`: one for each placeholder. Returns the recording's results, flat."""
        given = iter(inputs)
        for node in self._module.graph.nodes:
            if node.op == "placeholder":
                self._values[node] = next(given)
            elif node.op == "get_attr":
                self._values[node] = self._captured(node)
            elif node.op == "call_function":
                self._values[node] = self._call(node)
        (output,) = (node for node in self._module.graph.nodes if node.op == "output")
        return [self._values[node] for node in tree_leaves(output.args)]

    def _captured(self, node: fx.Node) -> Value:
        if not all(_name(user).startswith("lift_fresh") for user in node.users):
            raise Unsupported(
                "the step uses a tensor that it did not get as an argument (a matrix otherwise than in a product, say)"
            )
        if (self._place[node], 0) not in self._constants:
            raise Unsupported("the step makes a tensor of several numbers, which the compiler does not know")
        return Value((self._number(node, 0),))

    def _number(self, node: fx.Node, key: object) -> Node:
        number = self._constants.get((self._place[node], key))
        if number is None:
            raise Unsupported(
                f"a number in the step depends on the sizes otherwise than H, 1/H, P or 1/P do (in {_full_name(node)})"
            )
        return self._graph.const(*number)

    def _call(self, node: fx.Node) -> Any:
        if node.target is operator.getitem:
            return self._values[node.args[0]][node.args[1]]  # pyright: ignore[reportArgumentType]
        name = _name(node)
        lower = _STRUCTURAL.get(name)
        if lower is None and name not in _POINTWISE:
            raise Unsupported(f"the step uses {_full_name(node)}, which the compiler does not know")
        value = lower(self, node) if lower else self._pointwise(node, name)
        for result, meta in zip(_listed(value), _listed(node.meta["val"]), strict=True):
            varies = any(piece.op != "const" for piece in result.pieces)
            if varies and meta.dtype not in (torch.float64, torch.bool):
                raise Unsupported(f"the step computes with {meta.dtype} whatever the dtype of its inputs")
        return value

    # Shapes

    def _layout(self, tensor: Tensor) -> tuple[bool, int]:
        """Whether there is a dimension of rows, and the width."""
        shape, rows = tuple(tensor.shape), self._sizes.rows
        match shape:
            case ():
                return False, 1
            case (size,):
                return (True, 1) if size == rows else (False, size)
            case (first, width) if first in (1, rows):
                return first == rows, width
        raise Unsupported("the step uses tensors of other shapes than (B, width), (width,) and (B,)")

    def _axis(self, node: fx.Node, dim: int) -> Literal["rows", "units"]:
        """Which dimension of `node` this is."""
        shape = node.meta["val"].shape
        if dim % max(len(shape), 1) < len(shape) - 1 or tuple(shape) == (self._sizes.rows,):
            return "rows"
        return "units"

    def _spread(self, value: Value, like: Tensor) -> Value:
        """The value in another shape, or broadcast."""
        has_rows, width = self._layout(like)
        if value.width != width and value.width != 1:
            raise Unsupported("the step mixes up gates or units by a change of shape, which the compiler does not know")
        rows = value.rows
        if has_rows:
            if rows == "summed" and not value.is_zero:
                raise Unsupported("the step combines the rows of a batch, which are to be independent")
            rows = "each"
        elif rows == "each":
            raise Unsupported("the step mixes up the rows of a batch by a change of shape")
        return Value(value.pieces, value.widths if value.width == width else (width,), rows)

    def _of_columns(self, width: int) -> Node:
        """A number of columns as a const."""
        for letter, size in self._sizes.letters().items():
            if width % size == 0:
                return self._graph.const(width // size, letter)
        return self._graph.const(width)

    # Pointwise operations

    def _operands(self, node: fx.Node) -> Iterator[Value | None]:
        for key, argument in enumerate(node.args):
            if isinstance(argument, fx.Node):
                yield self._values[argument]
            else:
                yield None if argument is None else Value((self._number(node, key),))

    def _pointwise(self, node: fx.Node, name: str) -> Value:
        values = list(self._operands(node))
        if "alpha" in node.kwargs:
            scale = Value((self._number(node, "alpha"),))
            values[1] = self._combined("mul", self._graph.apply, [values[1], scale], values[1])
        elif any(value is not None for value in node.kwargs.values()):
            raise Unsupported(f"the step uses {_full_name(node)} with {', '.join(node.kwargs)}")
        apply = _POINTWISE[name]
        combined = self._combined(name, lambda _, *nodes: apply(self._graph, *nodes), values, None)
        return self._spread(combined, node.meta["val"])

    def _combined(self, name: str, apply: Callable[..., Node], values: list[Value | None], like: Value | None) -> Value:
        given = [value for value in values if value is not None]
        width = max(value.width for value in given)
        bounds = sorted({at for value in given if value.width == width for at in accumulate(value.widths)})
        widths = [b - a for a, b in zip([0, *bounds], bounds, strict=False)]
        columns = [
            None if v is None else v.cut(widths).pieces if v.width == width else v.pieces * len(widths) for v in values
        ]
        pieces = tuple(
            apply(name, *(None if pieces is None else pieces[n] for pieces in columns)) for n in range(len(widths))
        )
        return Value(pieces, tuple(widths), _rows(name, given))

    # Everything else

    def _same(self, node: fx.Node) -> Value:
        return self._spread(self._values[_input(node)], node.meta["val"])

    def _converted(self, node: fx.Node) -> Value:
        value = self._values[_input(node)]
        if node.meta["val"].dtype is torch.bool:
            pieces = tuple(_condition(self._graph, piece) for piece in value.pieces)
        else:
            pieces = tuple(_number(self._graph, piece) for piece in value.pieces)
        return Value(pieces, value.widths, value.rows)

    def _filled(self, node: fx.Node) -> Value:
        key = {"full": 1, "full_like": 1, "new_full": 2, "scalar_tensor": 0}[_name(node)]
        return self._spread(Value((self._number(node, key),)), node.meta["val"])

    def _zeros(self, node: fx.Node) -> Value:
        return self._spread(Value((self._graph.const("ones" in _name(node)),)), node.meta["val"])

    def _sum(self, node: fx.Node) -> Value:
        value, axes = self._values[_input(node)], self._axes(node)
        if "units" in axes:
            value = Value((self._sum_of_units(value),), (1,), value.rows)
        if "rows" in axes and value.rows == "each":
            value = Value(value.pieces, value.widths, "summed")
        return value

    def _axes(self, node: fx.Node) -> set[str]:
        source = _input(node)
        dims: Any = node.args[1] if len(node.args) > 1 else None
        if isinstance(dims, int):
            dims = [dims]
        return {self._axis(source, dim) for dim in dims or range(source.meta["val"].dim())}

    def _sum_of_units(self, value: Value) -> Node:
        graph = self._graph
        total = graph.const(0)
        for piece, width in zip(value.pieces, value.widths, strict=True):
            wide = piece.space in ("H", "P")
            part = graph.sum(piece) if wide else graph.apply("mul", piece, self._of_columns(width))
            total = graph.apply("add", total, part)
        return total

    def _mean(self, node: fx.Node) -> Value:
        value = self._values[_input(node)]
        return Value((self._mean_of_units(node, value),), (1,), value.rows)

    def _mean_of_units(self, node: fx.Node, value: Value) -> Node:
        if self._axes(node) != {"units"}:
            raise Unsupported(f"the step uses {_full_name(node)} over the rows of a batch, which are to be independent")
        return self._graph.apply("div", self._sum_of_units(value), self._of_columns(value.width))

    def _var(self, node: fx.Node) -> Any:
        graph, value = self._graph, self._values[_input(node)]
        mean = self._mean_of_units(node, value)
        off = [graph.apply("sub", piece, mean) for piece in value.pieces]
        squares = Value(tuple(graph.apply("mul", v, v) for v in off), value.widths, value.rows)
        correction: Any = node.kwargs.get("correction", 1)
        count = graph.apply(
            "sub", self._of_columns(value.width), graph.const(1.0 if correction is None else correction)
        )
        variance = Value((graph.apply("div", self._sum_of_units(squares), count),), (1,), value.rows)
        return (variance, Value((mean,), (1,), value.rows)) if _name(node) == "var_mean" else variance

    def _cat(self, node: fx.Node) -> Value:
        parts: Any = node.args[0]
        dim: Any = node.args[1] if len(node.args) > 1 else 0
        if self._axis(parts[0], dim) != "units":
            raise Unsupported("the step lays rows of a batch one after another (aten.cat)")
        return _beside([self._values[part] for part in parts])

    def _columns_only(self, node: fx.Node, dim: int) -> None:
        if self._axis(_input(node), dim) != "units":
            raise Unsupported(f"the step takes some of the rows of a batch ({_full_name(node)})")

    def _split(self, node: fx.Node) -> list[Value]:
        value = self._values[_input(node)]
        size: Any = node.args[1]
        self._columns_only(node, _argument(node, 2, "dim", 0))
        sizes = size if isinstance(size, list | tuple) else [size] * (value.width // size)
        starts = [0, *accumulate(sizes)]
        return [value.columns(a, b) for a, b in pairwise(starts)]

    def _slice(self, node: fx.Node) -> Value:
        value = self._values[_input(node)]
        if tuple(node.meta["val"].shape) == tuple(_input(node).meta["val"].shape):
            return value
        self._columns_only(node, _argument(node, 1, "dim", 0))
        return value.columns(*_bounds(node, 2, value.width))

    def _slice_scatter(self, node: fx.Node) -> Value:
        base, part = self._values[_input(node)], self._values[node.args[1]]  # pyright: ignore[reportArgumentType]
        self._columns_only(node, _argument(node, 2, "dim", 0))
        start, end = _bounds(node, 3, base.width)
        return _beside([base.columns(0, start), part, base.columns(end, base.width)])

    def _padded(self, node: fx.Node) -> Value:
        value = self._values[_input(node)]
        pads: Any = node.args[1]
        left, right, *others = pads
        if any(others) or _argument(node, 2, "value", 0) != 0 or min(left, right) < 0:
            raise Unsupported(f"the step uses {_full_name(node)} otherwise than with zeros beside the units")
        zero = self._graph.const(0)
        beside = [Value((zero,) * (width > 0), (width,) * (width > 0), value.rows) for width in (left, right)]
        return _beside([beside[0], value, beside[1]])


def _rows(name: str, values: list[Value]) -> Literal["same", "each", "summed"]:
    """What becomes of sums over rows: they stay sums under what is linear, and nothing else is known of them."""
    kinds = {value.rows for value in values if not value.is_zero}
    if "summed" not in kinds:
        return "each" if any(value.rows == "each" for value in values) else "same"
    linear = {
        "neg": True,
        "add": kinds == {"summed"},
        "sub": kinds == {"summed"},
        "mul": [v.rows for v in values].count("summed") == 1 and "each" not in kinds,
        "div": values[-1].rows == "same",
        "where": values[0].rows == "same" and all(v.rows == "summed" or v.is_zero for v in values[1:]),
    }
    if not linear.get(name, False):
        raise Unsupported("the step combines the rows of a batch, which are to be independent")
    return "summed"


def _beside(values: Sequence[Value]) -> Value:
    present = [value for value in values if value.widths]
    pieces = tuple(piece for value in present for piece in value.pieces)
    widths = tuple(width for value in present for width in value.widths)
    return Value(pieces, widths, _rows("add", present))


def _name(node: fx.Node) -> str:
    return getattr(getattr(node.target, "overloadpacket", None), "__name__", str(node.target))


def _full_name(node: fx.Node) -> str:
    return str(getattr(node.target, "overloadpacket", node.target))


def _input(node: fx.Node) -> fx.Node:
    return node.args[0]  # pyright: ignore[reportReturnType]


def _argument(node: fx.Node, place: int, name: str, default: Any) -> Any:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def _bounds(node: fx.Node, place: int, width: int) -> tuple[int, int]:
    if _argument(node, place + 2, "step", 1) != 1:
        raise Unsupported("the step takes some of the units of a gate or a state, which the compiler does not know")
    start, end = _argument(node, place, "start", None), _argument(node, place + 1, "end", None)
    first, last, _ = slice(start, end).indices(width)
    return first, last


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


# Operations by PyTorch's names. Graph first, then the operands.


def _number(g: Graph, v: Node) -> Node:
    return g.apply("where", v, g.const(1), g.const(0)) if v.is_boolean else v


def _condition(g: Graph, v: Node) -> Node:
    return v if v.is_boolean else g.apply("ne", v, g.const(0))


def _on_numbers(op: str) -> Callable[..., Node]:
    return lambda g, *nodes: g.apply(op, *(_number(g, node) for node in nodes))


def _on_conditions(op: str) -> Callable[..., Node]:
    return lambda g, *nodes: g.apply(op, *(_condition(g, node) for node in nodes))


def _where(g: Graph, condition: Node, a: Node, b: Node) -> Node:
    return g.apply("where", _condition(g, condition), _number(g, a), _number(g, b))


def _pow(g: Graph, v: Node, exponent: Node) -> Node:
    power = plain(exponent)
    v = _number(g, v)
    if power in (0.5, -0.5):
        return g.apply("sqrt" if power > 0 else "rsqrt", v)
    if power is None or power != int(power) or abs(power) > 8:
        raise Unsupported(f"the step uses aten.pow with the exponent {'of a tensor' if power is None else power}")
    result = g.const(1)
    for _ in range(abs(int(power))):
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


_POINTWISE: dict[str, Callable[..., Node]] = {
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
_STRUCTURAL: dict[str, Callable[[Lowering, fx.Node], Any]] = {
    **dict.fromkeys(
        ("view", "_unsafe_view", "reshape", "expand", "unsqueeze", "squeeze", "detach", "clone", "alias"),
        Lowering._same,
    ),
    **dict.fromkeys(("lift_fresh_copy", "lift_fresh", "view_as", "contiguous"), Lowering._same),
    **dict.fromkeys(("full", "full_like", "new_full", "scalar_tensor"), Lowering._filled),
    **dict.fromkeys(("zeros", "ones", "zeros_like", "ones_like", "new_zeros", "new_ones"), Lowering._zeros),
    **dict.fromkeys(("split", "split_with_sizes"), Lowering._split),
    **dict.fromkeys(("var", "var_mean"), Lowering._var),
    "_to_copy": Lowering._converted,
    "sum": Lowering._sum,
    "mean": Lowering._mean,
    "cat": Lowering._cat,
    "slice": Lowering._slice,
    "slice_scatter": Lowering._slice_scatter,
    "constant_pad_nd": Lowering._padded,
}
