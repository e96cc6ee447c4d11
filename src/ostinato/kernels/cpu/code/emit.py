"""The values of a step while its code is written: each is loaded or computed once, for a row or for a vector of its units."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from llvmlite import ir

from ostinato.kernels.compiler.graph import Node, number_of, parts_of
from ostinato.kernels.compiler.schedule import Schedule
from ostinato.kernels.cpu.code.builder import Code, Value
from ostinato.kernels.cpu.code.product import Shape
from ostinato.kernels.cpu.code.vector import Lanes, emit


class Places(Protocol):
    """The function that is being written, which knows where values are in memory that it does not compute.

    Attributes:
        code: the function that is written.
        lanes: the lanes of the vectors.
        shape: the shape of the vectors.
        schedule: the schedule, which says where values are found, and from which stage on.
    """

    code: Code
    lanes: Lanes
    shape: Shape
    schedule: Schedule

    def unit_count(self, size: str) -> Value:
        """How many units a space has, by its letter."""
        ...

    def number(self, node: Node, b: Value) -> Value:
        """A value that is the same for all units of a row, such as a sum over them."""
        ...

    def load(self, node: Node, b: Value, v: Value, mask: Value | None) -> Value:
        """Load a vector of a value that varies over units.

        Args:
            node: the value.
            b: the row.
            v: the block of units.
            mask: which lanes are units; None if all are.
        """
        ...


class RowValues:
    """The values that are the same for all units of one row, as vectors; they are computed before the units.

    Args:
        places: the function that is written.
        at: the number of the stage.
        b: the row.
        missing: values that this stage will store, but that are not in memory yet.
        made: values that are known already.
    """

    def __init__(
        self,
        places: Places,
        at: int,
        b: Value,
        missing: Collection[Node] = (),
        made: Mapping[Node, Value] | None = None,
    ) -> None:
        self.places, self.at, self.b, self.missing = places, at, b, missing
        self.known: dict[Node, Value] = dict(made or {})

    def lies_in_memory(self, node: Node) -> bool:
        """Whether a value is in memory at this stage."""
        schedule = self.places.schedule
        return node in schedule.found and schedule.made[node] <= self.at and node not in self.missing

    def prepare(self, node: Node) -> None:
        """Compute every value below a node that does not vary over units."""
        if node.space in ("row", "one"):
            self.value(node)
        elif not self.lies_in_memory(node):
            for arg in node.args:
                self.prepare(arg)

    def value(self, node: Node) -> Value:
        """The value of a node of the space "row" or "one"."""
        if node not in self.known:
            self.known[node] = self._make(node)
        return self.known[node]

    def _make(self, node: Node) -> Value:
        code, shape = self.places.code, self.places.shape
        if node.op == "const":
            value, size, power = parts_of(node)
            number = ir.Constant(shape.scalar, value)
            if size is not None:
                units = code.builder.sitofp(self.places.unit_count(size), shape.scalar)
                number = code.builder.fmul(number, units) if power == 1 else code.builder.fdiv(number, units)
            return shape.splat(code, number)
        if self.lies_in_memory(node):
            return shape.splat(code, self.places.number(node, self.b))
        return emit(code.builder, self.places.lanes, node.op, [self.value(arg) for arg in node.args])


class BlockValues:
    """The values of one block of units of one row; each is loaded or computed once."""

    def __init__(self, row: RowValues, v: Value, mask: Value | None = None) -> None:
        self.row, self.v, self.mask = row, v, mask
        self.known: dict[Node, Value] = {}

    def value(self, node: Node) -> Value:
        """The value of a node as a vector; a condition is a vector of booleans."""
        if node.space in ("row", "one"):
            return self.row.value(node)
        if node not in self.known:
            places = self.row.places
            if self.row.lies_in_memory(node):
                self.known[node] = places.load(node, self.row.b, self.v, self.mask)
            elif node.op == "unit":
                self.known[node] = self._units()
            else:
                args = [self.value(arg) for arg in node.args]
                self.known[node] = emit(places.code.builder, places.lanes, node.op, args)
        return self.known[node]

    def _units(self) -> Value:
        """The numbers of the block's units."""
        places, code = self.row.places, self.row.places.code
        first = code.builder.sitofp(code.mul(self.v, places.lanes.count), places.lanes.scalar)
        inside = ir.Constant(places.lanes.type, [float(n) for n in range(places.lanes.count)])
        return code.builder.fadd(places.lanes.splat(code.builder, first), inside)


def moved(code: Code, shape: Shape, node: Node, row: Value, count: int, v: Value, width: Value) -> Value:
    """Load a vector of units that get the values of other units of their row.

    Args:
        code: the function that is written.
        shape: the shape of the vectors.
        node: a roll or a flip.
        row: the address of the first vector of what is moved, in a row of `[block][count][lane]`.
        count: the number of vectors in a block.
        v: the block of units to load.
        width: the number of units of the row. Lanes past them get the value of some unit.
    """
    lanes, last = shape.lanes, code.sub(width, 1)
    by = 0 if node.op == "flip" else number_of(node)
    forward = code.sub(width, code.builder.srem(code.int(by), width))  # in (0, 2 width)
    found = ir.Constant(shape.vector, ir.Undefined)
    for lane in range(lanes):
        unit = code.min(code.add(code.mul(v, lanes), lane), last)
        if node.op == "flip":
            source = code.sub(last, unit)
        else:
            source = code.add(unit, forward)
            for _ in range(2):
                source = code.choose(code.is_(source, ">", last), code.sub(source, width), source)
        block, inside = code.div(source, lanes), code.builder.urem(source, code.int(lanes))
        at = code.at(row, code.mul(block, count * lanes * shape.bytes), code.mul(inside, shape.bytes))
        number = code.load(at, shape.scalar, shape.bytes)
        found = code.builder.insert_element(found, number, ir.Constant(ir.IntType(32), lane))
    return found
