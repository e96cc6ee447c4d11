"""Where everything of a streaming step is stored: fields, what each row has of its own, and memory that a step needs meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from llvmlite import ir

from ostinato.kernels.compiler.graph import MOVES, Node, name_of, piece_of
from ostinato.kernels.compiler.plan import Plan
from ostinato.kernels.compiler.schedule import Store
from ostinato.kernels.cpu.code.builder import POINTER, Code, Value
from ostinato.kernels.cpu.code.emit import moved
from ostinato.kernels.cpu.code.loops import Fields
from ostinato.kernels.cpu.code.product import Shape
from ostinato.kernels.cpu.code.vector import Lanes
from ostinato.kernels.cpu.stream.held import Exact, held_as
from ostinato.kernels.cpu.stream.passes import Segment, passes
from ostinato.kernels.cpu.stream.record import UNIT_BYTES


class Places:
    """The memory of a step.

    The fields are `HEADER`, then one record for each layer with the numbers and addresses of `fields`, all 64 bits. The memory at
    these addresses is filled up to whole vectors of units, except `x` and `output`.

    Args:
        module: the module to write to.
        plan: the plan of the cell.
        shape: the shape of the vectors.
        fields: is filled with the names in a record.
        letters: the letter of the width of each state.
        dtype: the dtype in which the weights are held, see `held_as`.
        many: whether it is for many rows. If so, the fields of what each row has of its own (`x`, states, extras, `output`,
            `residual`) are tables of addresses, and the memory that a step needs meanwhile has room for all rows.
    """

    def __init__(
        self,
        module: ir.Module,
        plan: Plan,
        shape: Shape,
        fields: Fields,
        letters: Mapping[str, str],
        dtype: torch.dtype | None,
        many: bool,
    ) -> None:
        self.module, self.plan, self.shape, self.fields = module, plan, shape, fields
        self.letters, self.dtype, self.many = letters, dtype, many
        self.schedule = plan.inference
        self.lanes = Lanes(shape.lanes, shape.double)
        self.vector = shape.lanes * shape.bytes
        self.passes = passes(plan, letters)
        self.code = Code(module, "layer", "*record thread threads backwards rows meet *meeting", inline=True)
        self._fields: dict[str, Value] = {}

    def __getitem__(self, name: str) -> Value:
        """The value of a field; read once, at the beginning of the function."""
        if name not in self._fields:
            here, self.code.builder = self.code.builder, self.code.entry
            self._fields[name] = self.code.load(self.code.at(self.code.arg.record, 8 * self.fields.index(name)))
            self.code.builder = here
        return self._fields[name]

    def address(self, name: str) -> Value:
        """A field as an address."""
        return self.code.builder.inttoptr(self[name], POINTER)

    def of_row(self, name: str, b: Value) -> Value:
        """The address in a field that each row has its own of."""
        if not self.many:
            return self.address(name)
        return self.code.load(self.code.at(self.address(name), self.code.mul(b, 8)), POINTER)

    def between(self, name: str, b: Value, bytes: Value | int) -> Value:
        """The address of memory that a step needs meanwhile, with `bytes` bytes for each row."""
        address = self.address(name)
        return self.code.at(address, self.code.mul(b, bytes)) if self.many else address

    def blocks(self, space: str) -> Value:
        """The number of vectors of units in a space."""
        return self.code.ceil_div(self[space], self.shape.lanes)

    def unit_count(self, size: str) -> Value:
        """How many units a space has, by its letter."""
        return self[size]

    def number(self, node: Node, b: Value) -> Value:
        """A value that is the same for all units, such as a sum over them."""
        code, (kind, slot) = self.code, self.schedule.found[node]
        place = self.sum_of(int(slot), b) if kind == "sum" else self.place(node, b, code.int(0))
        return code.load(place, self.shape.scalar, self.shape.bytes)

    def sum_of(self, slot: int, b: Value) -> Value:
        """The address of a sum over a row's units."""
        row = self.between("sums", b, len(self.schedule.rows) * self.shape.bytes)
        return self.code.at(row, slot * self.shape.bytes)

    def load(self, node: Node, b: Value, v: Value, mask: Value | None) -> Value:
        """Load a vector of a value that varies over units; it needs a mask for `x` only, as all else fills whole vectors."""
        if node.op == "input" and name_of(node) == "x":
            code = self.code
            mask = self.shape.mask(code, code.sub(self["I"], code.mul(v, self.shape.lanes)))
            return self.shape.load(code, self.place(node, b, v), mask)
        if node.op in MOVES:
            count = self.schedule.scratch[node.space]
            _, slot = self.schedule.found[node]
            row = self.slot("scratch", node.space, count, int(slot), b, self.code.int(0))
            return moved(self.code, self.shape, node, row, count, v, self[node.space])
        return self.shape.load(self.code, self.place(node, b, v))

    def place(self, node: Node, b: Value, v: Value) -> Value:
        """The address of a vector of a value that is in memory."""
        code, (kind, slot) = self.code, self.schedule.found[node]
        plain = code.mul(v, self.vector)
        if node.op in ("x", "u"):
            return self.kept(node, b, v)
        match kind:
            case "state":
                return code.at(self.of_row(f"old_{name_of(node)}", b), plain)
            case "new":
                return code.at(self.of_row(f"new_{slot}", b), plain)
            case "enters":
                return code.at(self.enters(int(slot), b), plain)
            case "mask":
                return code.at(self.address(f"mask_{name_of(node)}"), plain)
            case "input":
                return code.at(self.given(name_of(node), b), plain)
            case "parameter":
                if node.space == "one":
                    return self.address(f"parameter_{name_of(node)}")
                units = code.mul(self.blocks(node.space), self.vector)
                return code.at(self.address(f"parameter_{name_of(node)}"), code.mul(units, piece_of(node)), plain)
            case "scratch":
                return self.slot("scratch", node.space, self.schedule.scratch[node.space], int(slot), b, v)
        raise AssertionError(kind)

    def enters(self, product: int, b: Value) -> Value:
        """The address of a value that the step computed and that enters a product."""
        space = self.plan.program.products[product].entered
        return self.between(f"enters_{product}", b, self.code.mul(self.blocks(space), self.vector))

    def given(self, name: str, b: Value) -> Value:
        """The address of the input, "x", or of an extra."""
        return self.of_row("x" if name == "x" else f"extra_{name}", b)

    def held(self, segment: Segment) -> Exact:
        """How the weights of a segment are stored."""
        products = self.plan.program.products
        return held_as(self.dtype, 1 if segment.source == "x" else products[int(segment.source)].heads)

    def depth(self, segment: Segment) -> Value:
        """How many numbers enter each unit's product."""
        if segment.source == "x":
            return self["I"]
        product = self.plan.program.products[int(segment.source)]
        return self[product.entered] if product.heads == 1 else self[f"depth_{segment.source}"]

    def room(self, segments: Sequence[Segment], source: str, b: Value) -> tuple[Value, Value]:
        """The address at which this thread keeps what enters a product in another form (see `Exact.enter`); that of its unit."""
        code = self.code
        sources = max(len({s.source for s in p.segments}) for p in self.passes.all)
        thread = code.mul(code.arg.thread, code.arg.rows, sources)
        which = code.add(thread, code.mul(b, sources), list(dict.fromkeys(s.source for s in segments)).index(source))
        room = code.at(self.address("entering"), code.mul(which, self["entering_bytes"]))
        return room, code.at(room, code.sub(self["entering_bytes"], UNIT_BYTES))

    def source(self, source: str, b: Value) -> Value:
        """The address of what enters a product."""
        if source == "x":
            return self.of_row("x", b)
        enters = self.plan.program.products[int(source)].enters
        match enters.op:
            case "state":
                return self.of_row(f"old_{name_of(enters)}", b)
            case "input":
                return self.given(name_of(enters), b)
            case _:
                return self.enters(int(source), b)

    def store(self, store: Store, space: str, b: Value, v: Value, value: Value) -> None:
        """Store a vector where the schedule says."""
        code, shape, (kind, name) = self.code, self.shape, store.to
        place = code.mul(v, self.vector)
        if kind == "scratch":
            shape.store(code, value, self.slot("scratch", space, self.schedule.scratch[space], int(name), b, v))
            return
        if kind == "enters":
            shape.store(code, value, code.at(self.enters(int(name), b), place))
            return
        shape.store(code, value, code.at(self.of_row(f"new_{name}", b), place))
        if name == next(iter(self.letters)):
            # The output for the user, or for the next layer if that does not read the state itself.
            with code.when(code.is_(self["output"], "!=", 0)):
                mask = shape.mask(code, code.sub(self.unit_count(space), code.mul(v, shape.lanes)))
                shown = code.slot(shape.vector)
                code.builder.store(value, shown)
                with code.when(code.is_(self["residual"], "!=", 0)):
                    below = shape.load(code, code.at(self.of_row("residual", b), place), mask)
                    code.builder.store(code.builder.fadd(value, below), shown)
                shown = code.builder.load(shown, typ=shape.vector)
                shape.store(code, shown, code.at(self.of_row("output", b), place), mask)

    def slot(self, what: str, space: str, count: int, slot: int, b: Value, v: Value) -> Value:
        """The address of a vector in `[row][block][slot][lane]`."""
        row = self.between(f"{what}_{space}", b, self.code.mul(self.blocks(space), count * self.vector))
        return self.code.at(row, self.code.mul(v, count * self.vector), slot * self.vector)

    def kept(self, leaf: Node, b: Value, v: Value) -> Value:
        """The address at which a product's result is kept."""
        all = self.passes.kept[leaf.space]
        return self.slot("kept", leaf.space, len(all), all.index(leaf), b, v)
