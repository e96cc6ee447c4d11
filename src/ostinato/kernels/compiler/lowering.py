"""Lowers PyTorch's graph of a step, over whole tensors, to the compiler's graph, over pieces of H or P units."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, reduce
from itertools import accumulate, pairwise, starmap
from typing import Any, Literal

import torch
from torch import fx
from torch.utils._pytree import tree_leaves

from ostinato.kernels.compiler.graph import Graph, Node, Unsupported
from ostinato.kernels.compiler.heads import Heads
from ostinato.kernels.compiler.lines import in_brackets
from ostinato.kernels.compiler.operations import POINTWISE, as_condition, as_number
from ostinato.kernels.compiler.sized import Constants, TracedSizes, Value
from ostinato.kernels.compiler.units import Units
from ostinato.types import Tensor


class Lowering:
    """Turns one recording into nodes of a graph.

    Args:
        graph: the graph in which the nodes are made.
        module: the recording.
        sizes: the sizes at which it was made.
        constants: what `numbers` gives.
        matrices: those that are no part of the recording, by name.
    """

    def __init__(
        self,
        graph: Graph,
        module: fx.GraphModule,
        sizes: TracedSizes,
        constants: Constants,
        matrices: Mapping[str, Tensor],
    ) -> None:
        self._graph, self._module, self._sizes, self._constants = graph, module, sizes, constants
        self._matrices = {matrix.data_ptr(): name for name, matrix in matrices.items()}
        self._values: dict[fx.Node, Any] = {}
        self._heads = Heads(graph, sizes.heads) if sizes.heads > 1 else None
        self._units = Units(graph, sizes.letters)
        self._place = {node: at for at, node in enumerate(module.graph.nodes)}

    def run(self, inputs: Sequence[Value]) -> list[Value]:
        """Lower the recording. `inputs`: one value for each placeholder. Returns the recording's results as a flat list."""
        for node in self._module.graph.nodes:
            if node.op == "call_function" and node.target is not operator.getitem and _name(node) not in _KNOWN:
                raise Unsupported(f"the step uses {_full_name(node)}, which the compiler does not know{_line(node)}")
        given = iter(inputs)
        for node in self._module.graph.nodes:
            if node.op == "placeholder":
                self._values[node] = next(given)
            elif node.op == "get_attr":
                self._values[node] = self._captured(node)
            elif node.op == "call_function":
                try:
                    self._values[node] = self._call(node)
                except Unsupported as reason:
                    raise Unsupported(f"{reason}{_line(node)}") from None
        (output,) = (node for node in self._module.graph.nodes if node.op == "output")
        return [self._values[node] for node in tree_leaves(output.args)]

    def _captured(self, node: fx.Node) -> Value:
        if not all(_name(user).startswith("lift_fresh") for user in node.users):
            user = next(iter(node.users))
            matrix = self._matrices.get(getattr(self._module, str(node.target)).data_ptr())
            product = {"weight_hh": "U(v)", "weight_ih": "W(v)"}.get(
                matrix or "", f"torch.nn.functional.linear(v, {matrix})"
            )
            what = (
                "a tensor that it did not get as an argument"
                if matrix is None
                else f"the matrix {matrix} otherwise than in a product, {product}"
            )
            raise Unsupported(f"the step uses {what}, in {_full_name(user)}{_line(user)}")
        if (self._place[node], 0) not in self._constants:
            raise Unsupported(
                f"the step makes a tensor of several numbers, which the compiler does not know{_line(next(iter(node.users)))}"
            )
        return Value((self._number(node, 0),))

    def _number(self, node: fx.Node, key: object) -> Node:
        number = self._constants.get((self._place[node], key))
        if number is None:
            raise Unsupported(
                f"a number in the step depends on the sizes otherwise than H, 1/H, P or 1/P do (in {_full_name(node)})"
            )
        graph, size = self._graph, number.size
        if not number.more:
            return graph.const(number.value if number.power == 1 else 1 / number.value, size, number.power)
        units = graph.apply("add", graph.const(1, size), graph.const(number.more))
        found = graph.apply("mul", units, graph.const(number.value))
        return found if number.power == 1 else graph.apply("reciprocal", found)

    def _call(self, node: fx.Node) -> Any:
        if node.target is operator.getitem:
            return self._values[node.args[0]][node.args[1]]  # pyright: ignore[reportArgumentType]
        name = _name(node)
        lower = _STRUCTURAL.get(name)
        if lower not in (Lowering._same, Lowering._filled, Lowering._zeros):  # a constant may be made in any dtype
            for meta in _listed(node.meta["val"]):
                if meta.dtype not in (torch.float64, torch.bool, torch.int64):
                    raise Unsupported(f"the step computes with {meta.dtype} whatever the dtype of its inputs")
        return lower(self, node) if lower else self._pointwise(node, name)

    @property
    def least(self) -> dict[str, int]:
        """For some letters, the least number of units at which the lowered graph holds."""
        return self._units.least

    def whole(self, value: Value) -> Value:
        """The same value, with one piece in the place of those that are all units of a space together."""
        return self._beside([value])

    # Shapes

    def _layout(self, tensor: Tensor) -> tuple[bool, int]:
        """Whether a tensor has a dimension of rows, and its width."""
        shape, rows = tuple(tensor.shape), self._sizes.rows
        match shape:
            case ():
                return False, 1
            case (size,):
                return (True, 1) if size == rows else (False, size)
            case (first, width) if first in (1, rows):
                return first == rows, width
            case (first, 1, 1) if first in (1, rows):
                return first == rows, 1
            case (first, heads, units) if first in (1, rows) and heads == self._sizes.heads:
                return first == rows, heads * units
            case (heads, units) if heads == self._sizes.heads:
                return False, heads * units
        raise Unsupported(
            "the step uses tensors of other shapes than (B, width), (width,), (B,) and, with num_heads, (B, N, units)"
        )

    def _axis(self, node: fx.Node, dim: int) -> Literal["rows", "units", "heads", "head"]:
        """Which dimension of `node` this is: "head" is that of the units of a head, "heads" the one before it."""
        shape = tuple(node.meta["val"].shape)
        if self._is_by_heads(shape):
            place = dim % len(shape) - len(shape)
            if place == -1:
                return "head" if self._heads else "units"
            return "heads" if place == -2 else "rows"
        if dim % max(len(shape), 1) < len(shape) - 1 or tuple(shape) == (self._sizes.rows,):
            return "rows"
        return "units"

    def _is_by_heads(self, shape: tuple[int, ...]) -> bool:
        first = shape[0] if shape else 0
        return len(shape) == 3 or (len(shape) == 2 and first == self._sizes.heads > 1)

    def _spread(self, value: Value, like: Tensor) -> Value:
        """The value in the shape of `like`, which may be a broadcast."""
        has_rows, width = self._layout(like)
        if self._heads and value.width == self._sizes.heads != width and self._is_by_heads(tuple(like.shape)):
            value = Value(
                (self._heads.spread(value.cut((1,) * value.width, self._units.some).pieces),), (width,), value.rows
            )
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

    # Pointwise operations

    def _operands(self, node: fx.Node) -> Iterator[Value | None]:
        for key, argument in enumerate(node.args):
            if isinstance(argument, fx.Node):
                yield self._values[argument]
            else:
                yield None if argument is None else Value((self._number(node, key),))

    def _pointwise(self, node: fx.Node, name: str) -> Value:
        graph, (*values,) = self._graph, self._operands(node)
        if name in ("add", "sub", "rsub"):
            alpha = Value((self._number(node, "alpha"),)) if "alpha" in node.kwargs else None
            alpha = values.pop() if len(values) == 3 else alpha
            if alpha is not None:
                scaled = 0 if name == "rsub" else 1
                values[scaled] = self._combined("mul", partial(graph.apply, "mul"), [values[scaled], alpha])
        elif name == "div" and (rounded := node.kwargs.get("rounding_mode")) is not None:
            name = f"div_{rounded}"
        elif any(value is not None for value in node.kwargs.values()):
            raise Unsupported(f"the step uses {_full_name(node)} with {', '.join(node.kwargs)}")
        if self._is_by_heads(tuple(node.meta["val"].shape)):
            like = node.meta["val"]
            values = [v if v is None or v.width == 1 else self._spread(v, like.new_empty(like.shape)) for v in values]
        value = self._spread(self._combined(name, partial(POINTWISE[name], graph), values), node.meta["val"])
        if node.meta["val"].dtype is torch.bool:  # a sum of conditions is a condition
            return Value(tuple(as_condition(graph, piece) for piece in value.pieces), value.widths, value.rows)
        if name.startswith("bitwise_"):
            raise Unsupported(f"the step uses {_full_name(node)} on numbers")
        return value

    def _combined(self, name: str, apply: Callable[..., Node], values: list[Value | None]) -> Value:
        """Call `apply` on the operands, piece by piece; an operand that is left out is None."""
        given = [value for value in values if value is not None]
        width = max(value.width for value in given)
        ends = sorted({end for value in given if value.width == width for end in accumulate(value.widths)})
        widths = tuple(b - a for a, b in pairwise([0, *ends]))
        columns = [
            (None,) * len(widths) if v is None else v.cut(widths if v.width == width else (1,), self._units.some).pieces
            for v in values
        ]
        columns = [c * (len(widths) // len(c)) for c in columns]
        return Value(tuple(starmap(apply, zip(*columns, strict=True))), widths, _rows(name, given))

    # Everything else

    def _same(self, node: fx.Node) -> Value:
        return self._spread(self._values[_input(node)], node.meta["val"])

    def _converted(self, node: fx.Node) -> Value:
        source, dtype = node.args[-1], node.meta["val"].dtype  # the last: the first of `copy` is what is overwritten
        assert isinstance(source, fx.Node)
        value = self._spread(self._values[source], node.meta["val"])
        if dtype is torch.int64 and source.meta["val"].dtype.is_floating_point:
            raise Unsupported("the step rounds to whole numbers, which the compiler does not know")
        if dtype is torch.bool:
            pieces = tuple(as_condition(self._graph, piece) for piece in value.pieces)
        else:
            pieces = tuple(as_number(self._graph, piece) for piece in value.pieces)
        return Value(pieces, value.widths, value.rows)

    def _filled(self, node: fx.Node) -> Value:
        key = {"full": 1, "full_like": 1, "new_full": 2, "scalar_tensor": 0}[_name(node)]
        return self._spread(Value((self._number(node, key),)), node.meta["val"])

    def _zeros(self, node: fx.Node) -> Value:
        value = {"zeros": 0.0, "ones": 1.0, "empty": math.nan}[_name(node).removeprefix("new_").partition("_")[0]]
        return self._spread(Value((self._graph.const(value),)), node.meta["val"])

    def _sum(self, node: fx.Node) -> Value:
        value, axes = self._values[_input(node)], self._axes(node)
        if over := axes & {"units", "head", "heads"}:
            numbers = self._sums(value, over)
            value = Value(numbers, (1,) * len(numbers), value.rows)
        if "rows" in axes and value.rows == "each":
            value = Value(value.pieces, value.widths, "summed")
        return value

    def _axes(self, node: fx.Node) -> set[str]:
        source = _input(node)
        dims: Any = node.args[1] if len(node.args) > 1 else None
        if isinstance(dims, int):
            dims = [dims]
        axes = {self._axis(source, dim) for dim in dims or range(source.meta["val"].dim())}
        return axes if self._heads else axes - {"heads"}  # without heads that dimension has size 1

    def _sums(self, value: Value, over: set[str]) -> tuple[Node, ...]:
        """The sum of all units, or one sum for each head."""
        if over != {"head"}:
            if over == {"heads"} and value.width != self._sizes.heads:
                raise Unsupported("the step adds up heads unit by unit, which the compiler does not know")
            return (self._sum_of_units(value),)
        return self._of_heads(value, self._graph.sum, 0.0)

    def _of_heads(self, value: Value, over_units: Callable[[Node], Node], nothing: float) -> tuple[Node, ...]:
        assert self._heads is not None
        if value.width == self._sizes.heads:  # already one number for each head
            return value.cut((1,) * value.width, self._units.some).pieces
        if len(value.pieces) != 1:
            raise Unsupported(
                "the step does something to the heads of several gates together, which the compiler does not know"
            )
        return self._heads.each(as_number(self._graph, value.pieces[0]), over_units, nothing)

    def _sum_of_units(self, value: Value) -> Node:
        graph = self._graph
        total = graph.const(0)
        for piece, width in zip(value.pieces, value.widths, strict=True):
            wide, piece = piece.space not in ("row", "one"), self._units.only(piece, width, 0.0)
            part = graph.sum(piece) if wide else graph.apply("mul", piece, self._units.count(width))
            total = graph.apply("add", total, part)
        return total

    def _mean(self, node: fx.Node) -> Value:
        value = self._values[_input(node)]
        numbers = self._means(node, value)
        return Value(numbers, (1,) * len(numbers), value.rows)

    def _means(self, node: fx.Node, value: Value) -> tuple[Node, ...]:
        """The mean of all units, or one mean for each head."""
        over = self._over(node)
        sums = self._sums(value, over)
        columns = self._units.count(value.width // len(sums))
        return tuple(self._graph.apply("div", each, columns) for each in sums)

    def _over(self, node: fx.Node) -> set[str]:
        """The dimensions that a reduction takes together: the units of a row, or of a head."""
        over = self._axes(node)
        if over == {"heads"}:
            raise Unsupported(
                f"the step uses {_full_name(node)} over heads unit by unit, which the compiler does not know"
            )
        if over not in ({"units"}, {"head"}, {"head", "heads"}):
            raise Unsupported(f"the step uses {_full_name(node)} over the rows of a batch, which are to be independent")
        return over

    def _var(self, node: fx.Node) -> Any:
        graph, value = self._graph, self._values[_input(node)]
        if node.kwargs.get("correction") != 0:
            raise Unsupported(f"the step uses {_full_name(node)} with another correction than 0 (unbiased=False)")
        means = self._means(node, value)
        mean = means[0] if self._heads is None or len(means) == 1 else self._heads.spread(means)
        off = [graph.apply("sub", piece, mean) for piece in value.pieces]
        squares = Value(tuple(graph.apply("mul", v, v) for v in off), value.widths, value.rows)
        widths = (1,) * len(means)
        variance = Value(self._means(node, squares), widths, value.rows)
        return (variance, Value(means, widths, value.rows)) if _name(node) == "var_mean" else variance

    def _largest(self, node: fx.Node) -> Any:
        """Lower `amax`, `amin`, and `max` and `min` along a dimension, which also give the number of the first such unit."""
        graph, name, value = self._graph, _name(node), self._values[_input(node)]
        over = self._over(node)
        if value.rows == "summed":
            raise Unsupported(f"the step uses {_full_name(node)} over the rows of a batch, which are to be independent")
        if over == {"head"} and name in ("amax", "amin"):
            largest_of, nothing = (graph.max, -math.inf) if name == "amax" else (self._min_of_piece, math.inf)
            numbers = self._of_heads(value, largest_of, nothing)
            return Value(numbers, (1,) * len(numbers), value.rows)
        if over != {"units"}:
            raise Unsupported(
                f"the step uses {_full_name(node)} over heads, which the compiler does not know; amax it does"
            )
        nothing = -math.inf if "max" in name else math.inf
        pieces = [
            self._units.only(piece, width, nothing) for piece, width in zip(value.pieces, value.widths, strict=True)
        ]
        largest = self._max_of_units(pieces) if "max" in name else self._min_of_units(pieces)
        found = Value((largest,), (1,), value.rows)
        if name in ("amax", "amin"):
            return found
        unit, (piece,) = self._unit(node, value), pieces
        is_it = graph.apply("or", graph.apply("eq", piece, largest), graph.apply("ne", piece, piece))
        at = self._min_of_units([graph.apply("where", is_it, unit, graph.const(math.inf))])
        return found, Value((at,), (1,), value.rows)

    def _unit(self, node: fx.Node, value: Value) -> Node:
        """The number of each unit in its row."""
        letters = {size: space for space, size in self._sizes.letters.items()}
        (piece, *others), space = value.pieces, letters.get(value.width)
        if others or space is None or piece.space not in ("row", "one", space):
            raise Unsupported(f"the step uses {_full_name(node)} otherwise than over the units of a gate or a state")
        return self._units.number(space)

    def _max_of_units(self, pieces: Sequence[Node]) -> Node:
        graph = self._graph
        each = [piece if piece.space in ("row", "one") else graph.max(piece) for piece in pieces]
        return reduce(partial(graph.apply, "maximum"), each)

    def _min_of_units(self, pieces: Sequence[Node]) -> Node:
        graph = self._graph
        return graph.apply("neg", self._max_of_units([graph.apply("neg", piece) for piece in pieces]))

    def _min_of_piece(self, piece: Node) -> Node:
        return self._min_of_units([piece])

    def _scatter(self, node: fx.Node) -> Value:
        """Lower a scatter of one number for each row to the unit that an index names: the gradient of `max` along a dimension."""
        base, at, source = (self._values[node.args[n]] for n in (0, 2, 3))  # pyright: ignore[reportArgumentType]
        dim: Any = node.args[1]
        self._columns_only(node, dim)
        unit = self._unit(node, base)
        if at.width != 1 or source.width != 1:
            raise Unsupported(f"the step uses {_full_name(node)} otherwise than with one unit of a row")
        is_it = self._graph.apply("eq", unit, at.pieces[0])
        found = self._graph.apply("where", is_it, source.pieces[0], base.pieces[0])
        return Value((found,), base.widths, "each")

    def _cat(self, node: fx.Node) -> Value:
        parts: Any = node.args[0]
        dim: Any = node.args[1] if len(node.args) > 1 else 0
        if self._axis(parts[0], dim) != "units":
            raise Unsupported("the step lays rows of a batch one after another (aten.cat)")
        return self._beside([self._values[part] for part in parts])

    def _beside(self, values: Sequence[Value]) -> Value:
        present = [value for value in values if value.widths]
        pieces = [piece for value in present for piece in zip(value.pieces, value.widths, strict=True)]
        together = self._units.together(pieces)
        return Value(tuple(p for p, _ in together), tuple(w for _, w in together), _rows("add", present))

    def _columns(self, value: Value, start: int, end: int) -> Value:
        return self._beside([value.columns(start, end, self._units.some)])

    def _columns_only(self, node: fx.Node, dim: int) -> None:
        axis = self._axis(_input(node), dim)
        if axis in ("head", "heads"):
            raise Unsupported(f"the step takes or moves some of the units of a head ({_full_name(node)})")
        if axis != "units":
            raise Unsupported(f"the step takes some of the rows of a batch ({_full_name(node)})")

    def _select(self, node: fx.Node) -> Value:
        value = self._values[_input(node)]
        dim, at = _integers(node, 1, 2)
        self._columns_only(node, dim)
        at %= value.width
        return self._columns(value, at, at + 1)

    def _select_scatter(self, node: fx.Node) -> Value:
        base, one = self._values[_input(node)], self._values[node.args[1]]  # pyright: ignore[reportArgumentType]
        dim, at = _integers(node, 2, 3)
        self._columns_only(node, dim)
        at %= base.width
        return self._beside([self._columns(base, 0, at), one, self._columns(base, at + 1, base.width)])

    def _roll(self, node: fx.Node) -> Value:
        value = self._values[_input(node)]
        shifts: Any = node.args[1]
        dims = _argument(node, 2, "dims", [])
        if len(shifts) != 1 or len(dims) != 1:
            raise Unsupported("the step rolls other than its units")
        self._columns_only(node, dims[0])
        (by,) = shifts
        if len(value.pieces) == 1 and value.width == self._units.size(piece := value.pieces[0]):
            return Value((self._units.rolled(piece, by),), value.widths, value.rows)
        start = -by % value.width
        return self._beside([self._columns(value, start, value.width), self._columns(value, 0, start)])

    def _flip(self, node: fx.Node) -> Value:
        value = self._values[_input(node)]
        dims: Any = node.args[1]
        if len(dims) != 1:
            raise Unsupported("the step flips other than its units")
        self._columns_only(node, dims[0])
        pieces = [self._units.flipped(p, w) for p, w in zip(value.pieces, value.widths, strict=True)]
        return Value(tuple(pieces[::-1]), value.widths[::-1], value.rows)

    def _split(self, node: fx.Node) -> list[Value]:
        value = self._values[_input(node)]
        size: Any = node.args[1]
        self._columns_only(node, _argument(node, 2, "dim", 0))
        sizes = size if isinstance(size, list | tuple) else [size] * -(-value.width // size)
        starts = [min(at, value.width) for at in (0, *accumulate(sizes))]
        return [self._columns(value, a, b) for a, b in pairwise(starts)]

    def _slice(self, node: fx.Node) -> Value:
        value = self._values[_input(node)]
        _bounds(node, 2, _input(node).meta["val"].shape[_argument(node, 1, "dim", 0)])
        if tuple(node.meta["val"].shape) == tuple(_input(node).meta["val"].shape):
            return value
        self._columns_only(node, _argument(node, 1, "dim", 0))
        return self._columns(value, *_bounds(node, 2, value.width))

    def _slice_scatter(self, node: fx.Node) -> Value:
        base, part = self._values[_input(node)], self._values[node.args[1]]  # pyright: ignore[reportArgumentType]
        self._columns_only(node, _argument(node, 2, "dim", 0))
        start, end = _bounds(node, 3, base.width)
        return self._beside([self._columns(base, 0, start), part, self._columns(base, end, base.width)])

    def _padded(self, node: fx.Node) -> Value:
        value = self._values[_input(node)]
        pads: Any = node.args[1]
        left, right, *others = pads
        if any(others) or _argument(node, 2, "value", 0) != 0:
            raise Unsupported(f"the step uses {_full_name(node)} otherwise than with zeros beside the units")
        value = self._columns(value, max(-left, 0), value.width - max(-right, 0))  # a negative pad cuts off units
        zero = self._graph.const(0)
        beside = [Value((zero,) * (width > 0), (width,) * (width > 0), value.rows) for width in (left, right)]
        return self._beside([beside[0], value, beside[1]])


def _rows(name: str, values: list[Value]) -> Literal["same", "each", "summed"]:
    """The `rows` of the result of an operation. A value that is yet to be summed over rows allows linear operations only."""
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


def _name(node: fx.Node) -> str:
    return getattr(getattr(node.target, "overloadpacket", None), "__name__", str(node.target))


def _full_name(node: fx.Node) -> str:
    return str(getattr(node.target, "overloadpacket", node.target))


def _line(node: fx.Node) -> str:
    """The line of the step that the operation, or the one whose derivative it is, comes from; "" if it is not known."""
    return in_brackets(node.stack_trace)


def _input(node: fx.Node) -> fx.Node:
    return node.args[0]  # pyright: ignore[reportReturnType]


def _argument(node: fx.Node, place: int, name: str, default: Any) -> Any:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def _integers(node: fx.Node, *places: int) -> tuple[int, ...]:
    found = tuple(node.args[place] for place in places)
    assert all(isinstance(each, int) for each in found)
    return found  # pyright: ignore[reportReturnType]


def _bounds(node: fx.Node, place: int, width: int) -> tuple[int, int]:
    if _argument(node, place + 2, "step", 1) != 1:
        raise Unsupported("the step takes every so many units, which the compiler does not know")
    start, end = _argument(node, place, "start", None), _argument(node, place + 1, "end", None)
    if any(at is not None and not (-width <= at <= width or at == sys.maxsize) for at in (start, end)):
        # Such a number is past the end here, but perhaps not in a wider layer.
        raise Unsupported("the step takes units by numbers that are larger than the compiler follows")
    first, last, _ = slice(start, end).indices(width)
    return first, last


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


_STRUCTURAL: dict[str, Callable[[Lowering, fx.Node], Any]] = {
    **dict.fromkeys(
        ("view", "_unsafe_view", "reshape", "expand", "unsqueeze", "squeeze", "detach", "clone", "alias"),
        Lowering._same,
    ),
    **dict.fromkeys(("lift_fresh_copy", "lift_fresh", "view_as", "contiguous"), Lowering._same),
    **dict.fromkeys(("full", "full_like", "new_full", "scalar_tensor"), Lowering._filled),
    **{
        name: Lowering._zeros
        for kind in ("zeros", "ones", "empty")
        for name in (kind, f"{kind}_like", f"new_{kind}", f"{kind}_permuted", f"{kind}_strided")
    },
    **dict.fromkeys(("split", "split_with_sizes"), Lowering._split),
    **dict.fromkeys(("var", "var_mean"), Lowering._var),
    **dict.fromkeys(("_to_copy", "copy"), Lowering._converted),
    "sum": Lowering._sum,
    "mean": Lowering._mean,
    **dict.fromkeys(("amax", "amin", "max", "min"), Lowering._largest),
    "scatter": Lowering._scatter,
    "cat": Lowering._cat,
    "slice": Lowering._slice,
    "slice_scatter": Lowering._slice_scatter,
    "constant_pad_nd": Lowering._padded,
    "select": Lowering._select,
    "select_scatter": Lowering._select_scatter,
    "roll": Lowering._roll,
    "flip": Lowering._flip,
}
_KNOWN = POINTWISE.keys() | _STRUCTURAL.keys()
