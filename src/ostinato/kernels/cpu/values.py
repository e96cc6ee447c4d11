"""The values of a step while its code is written: each loaded or computed once, for a row or for a vector of its units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import ir

from ostinato.kernels.cpu.code import Int, Value
from ostinato.kernels.cpu.vector import emit
from ostinato.kernels.graph import Node, name_of, number_of, parts_of, piece_of

if TYPE_CHECKING:
    from ostinato.kernels.cpu.loops import Loop


class RowValues:
    """What is the same for all units of one row, in vectors; computed before the units."""

    def __init__(
        self, loop: Loop, at: int, b: Value, made: dict[Node, Value] | None = None, partial: bool = False
    ) -> None:
        self.loop, self.at, self.b, self.partial = loop, at, b, partial
        self.known: dict[Node, Value] = dict(made or {})

    def loaded(self, node: Node) -> bool:
        """Whether a value lies in memory at this stage."""
        schedule = self.loop.schedule
        if node not in schedule.found or schedule.made[node] > self.at:
            return False
        # While the sums of this very stage are being made, those of a later pass are not there.
        return not (
            self.partial and node.op == "sum" and schedule.found[node][0] == "sum" and schedule.made[node] == self.at
        )

    def prepare(self, node: Node) -> None:
        """Compute every value below a node that does not vary over units."""
        if node in self.known or (self.loaded(node) and node.space in ("H", "P")):
            return
        if node.space in ("row", "one"):
            self.value(node)
            return
        for arg in node.args:
            self.prepare(arg)

    def value(self, node: Node) -> Value:
        """A node of space row or one."""
        if node not in self.known:
            self.known[node] = self._make(node)
        return self.known[node]

    def _make(self, node: Node) -> Value:
        loop, code, shape = self.loop, self.loop.code, self.loop.shape
        if node.op == "const":
            value, size, power = parts_of(node)
            number = ir.Constant(shape.scalar, value)
            if size is not None:
                units = code.builder.sitofp(loop.width.get(size, loop.width["H"]), shape.scalar)
                number = code.builder.fmul(number, units) if power == 1 else code.builder.fdiv(number, units)
            return shape.splat(code, number)
        if self.loaded(node):
            kind, slot = loop.schedule.found[node]
            if kind == "sum":
                base = loop.sums_of(self.b)
            else:  # saved_sum
                flat = code.add(loop.offset, self.b)
                base = code.at(loop.address("saved_sums"), code.mul(flat, loop.plan.rows * shape.bytes))
            return shape.splat(code, code.load(code.at(base, int(slot) * shape.bytes), shape.scalar, shape.bytes))
        return emit(code.builder, loop.lanes, node.op, [self.value(arg) for arg in node.args])


class BlockValues:
    """The values of one unit block of one row: each loaded or computed once."""

    def __init__(self, row: RowValues, v: Value, mask: Value | None, space: str) -> None:
        self.row, self.v, self.mask, self.space = row, v, mask, space
        self.known: dict[Node, Value] = {}

    def value(self, node: Node) -> Value:
        """A vector; of booleans for a condition."""
        if node.space in ("row", "one"):
            return self.row.value(node)
        if node not in self.known:
            if self.row.loaded(node):
                self.known[node] = self._load(node)
            else:
                args = [self.value(arg) for arg in node.args]
                self.known[node] = emit(self.row.loop.code.builder, self.row.loop.lanes, node.op, args)
        return self.known[node]

    def _plain(self, base: Value, *offsets: Int) -> Value:
        loop = self.row.loop
        address = loop.code.at(base, *offsets, loop.code.mul(self.v, loop.vector))
        return loop.shape.load(loop.code, address, self.mask)

    def _kept(self, address: Value, row: Int) -> Value:
        """A vector of a memory that is as long as the sequence, with `row` bytes for each flat row."""
        loop = self.row.loop
        if loop.ahead is not None and self.mask is None:
            # No processor foresees steps that come in reverse, each a part of a row: ask for the next one's.
            loop.code.prefetch(loop.code.at(address, loop.code.mul(loop.ahead, row)))
        return loop.shape.load(loop.code, address, self.mask)

    def _load(self, node: Node) -> Value:
        loop, code, b, v = self.row.loop, self.row.loop.code, self.row.b, self.v
        shape, plan = loop.shape, loop.plan
        kind, slot = loop.schedule.found[node]
        flat = code.add(loop.offset, b)
        match kind:
            case "x":
                in_chunk = code.add(loop.in_chunk, b)  # pyright: ignore[reportAttributeAccessIssue]
                return shape.load(code, loop.blocked("projected", "H", loop.gates, in_chunk, v, number_of(node)))
            case "u":
                k = number_of(node)
                product = plan.program.products[k]
                if k in loop.local:
                    return shape.load(code, loop.local_address(k, b, v, piece_of(node)))
                return shape.load(code, loop.blocked(f"u_{k}", product.space, product.pieces, b, v, piece_of(node)))
            case "state":
                row = loop.old_row[name_of(node)]
                return self._kept(code.at(loop.old[name_of(node)], code.mul(b, row), code.mul(v, loop.vector)), row)
            case "new":
                return self._plain(loop.new[str(slot)], code.mul(b, loop[f"state_{slot}_row"]))
            case "enters":
                base, row = loop.entering(int(slot))
                return self._plain(base, code.mul(b, row))
            case "parameter":
                offset = code.mul(loop.width[node.space], piece_of(node) * shape.bytes)
                return self._plain(loop.address(f"parameter_{name_of(node)}"), offset)
            case "mask":
                name = name_of(node)
                row = code.choose(code.is_(loop[f"mask_{name}_flat"], "!=", 0), flat, b)
                return self._plain(loop.address(f"mask_{name}"), code.mul(row, loop[f"mask_{name}_row"]))
            case "saved":
                count = plan.slots[node.space]
                address = loop.blocked(f"slots_{node.space}", node.space, count, flat, v, int(slot))
                return self._kept(address, code.mul(loop.blocks[node.space], count * loop.vector))
            case "scratch":
                count = loop.schedule.scratch[node.space]
                return shape.load(code, loop.blocked(f"scratch_{node.space}", node.space, count, b, v, int(slot)))
            case "dstate":
                name = name_of(node)
                base, row = loop.carry(name, loop.odd)
                later = self._plain(base, code.mul(b, row))
                row = loop[f"dstate_{name}_row"]
                outside = self._kept(
                    code.at(loop.address(f"dstate_{name}"), code.mul(flat, row), code.mul(v, loop.vector)), row
                )
                return code.builder.fadd(later, outside)
            case "dv":
                k = number_of(node)
                row = code.mul(loop.width[loop.entered_space(k)], shape.bytes)
                return self._plain(loop.address(f"dv_{k}"), code.mul(b, row))
        raise AssertionError(kind)
