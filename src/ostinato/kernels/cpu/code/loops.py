"""The loops over time in machine code: the stages of a plan, step after step, each thread with units or rows of its own.

A thread has either a share of the units and all rows, and waits for the others between two stages; or all units and a share of the
rows, and waits for no other before the end. Rows of a sequence are *flat*: step s has `counts[s]` rows from row `offsets[s]` on,
the longest sequences first, so that the rows of a step are the first ones of the step before. States are kept for every flat row,
or for the last two steps only.

The vectors of one unit block are stored together: a flat row of pre-activations is `[block][gate][lane]`. Outputs and states are
plain rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from llvmlite import ir

from ostinato.kernels.compiler.graph import Node, name_of, number_of, piece_of
from ostinato.kernels.compiler.plan import Plan
from ostinato.kernels.compiler.schedule import Schedule, Stage, Store
from ostinato.kernels.cpu.code.builder import POINTER, Code, Int, Value
from ostinato.kernels.cpu.code.emit import BlockValues, RowValues, moved
from ostinato.kernels.cpu.code.product import LOCAL_BLOCKS, Shape
from ostinato.kernels.cpu.code.reduction import Reduction
from ostinato.kernels.cpu.code.vector import Lanes

ROWS_TOGETHER = 48  # flat rows that stay in the cache while they are multiplied with all panels


class Fields:
    """The names of the fields: 64-bit numbers and addresses from the caller, in the order in which the code first needs them."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def index(self, name: str) -> int:
        """The index of a field; a new name is added."""
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)


@dataclass
class Range:
    """The unit blocks or rows of this thread, from `begin` up to `end`."""

    begin: Value
    end: Value


class Loop:
    """Writes one function: `void name(fields, thread, threads)`.

    Args:
        module: the module to write to.
        name: the symbol of the function.
        plan: the plan of the cell.
        schedule: the schedule of the plan to write.
        shape: the shape of the vectors.
        fields: is filled with the names of what the function reads.
        letters: the letter of the width of each state and input, by name.
    """

    def __init__(
        self,
        module: ir.Module,
        name: str,
        plan: Plan,
        schedule: Schedule,
        shape: Shape,
        fields: Fields,
        letters: dict[str, str],
    ) -> None:
        self.plan, self.schedule, self.shape, self.fields, self.letters = plan, schedule, shape, fields, letters
        self.lanes = Lanes(shape.lanes, shape.double)
        self.code = Code(module, name, "*fields thread threads")
        self.vector = shape.lanes * shape.bytes
        self.gates = len(plan.program.dx)
        self._fields: dict[str, Value] = {}
        self.ahead: Value | None = None  # how many flat rows the step that runs next is behind this one
        self.in_chunk: Value | None = None  # the index of a step's first row in `projected`
        self.local: dict[int, Value] = {}  # for products whose result is kept for a few blocks only, the first of these
        self._first = self.code.builder.block
        self.spaces = plan.program.spaces
        self.width = {space: self[space] for space in self.spaces}
        self.blocks = {space: self.code.ceil_div(self.width[space], shape.lanes) for space in self.spaces}
        self._partition()

    def __getitem__(self, name: str) -> Value:
        """The value of a field; read once, at the beginning of the function."""
        if name not in self._fields:
            here, block = self.code.builder, self.code.entry
            self.code.builder = block
            address = self.code.at(self.code.arg.fields, 8 * self.fields.index(name))
            self._fields[name] = self.code.load(address)
            self.code.builder = here
        return self._fields[name]

    def address(self, name: str) -> Value:
        """A field as an address."""
        return self.pointer(self[name])

    def pointer(self, number: Value) -> Value:
        """A number as an address."""
        return self.code.builder.inttoptr(number, POINTER)

    # threads

    def _partition(self) -> None:
        """Compute which rows and units this thread has. The results do not depend on it."""
        code, shape = self.code, self.shape
        thread, threads = code.arg.thread, code.arg.threads
        alone = code.is_(self["by_rows"], "!=", 0)

        def share(total: Value, unit: int, limit: Value) -> Range:
            begin = code.mul(code.div(code.mul(total, thread), threads), unit)
            end = code.mul(code.div(code.mul(total, code.add(thread, 1)), threads), unit)
            return Range(code.min(begin, limit), code.min(end, limit))

        zero = code.int(0)
        shares = self.address("row_shares")
        begin, end = (code.load(code.at(shares, code.mul(n, 8))) for n in (thread, code.add(thread, 1)))
        self.rows = Range(code.choose(alone, begin, zero), code.choose(alone, end, self["B"]))
        self.alone = alone
        self.own_units = {}
        self.units = {}
        for space, blocks in self.blocks.items():
            own = share(code.ceil_div(blocks, shape.across), shape.across, blocks)
            self.own_units[space] = own
            self.units[space] = Range(code.choose(alone, zero, own.begin), code.choose(alone, blocks, own.end))
        self.together = code.choose(alone, 1, threads)

    def begin_step(self) -> None:
        """Wait for the other threads if a step reads what another thread wrote: single numbers of a row, or values that move."""
        if "1" in self.letters.values() or self.schedule.moves:
            self.meet()

    def heads_of(self, product: int, alone: bool = True) -> Range:
        """The heads of a product that this thread computes; with `alone`, all of them if it has rows of its own."""
        code, heads = self.code, self.plan.program.products[product].heads
        thread, threads = code.arg.thread, code.arg.threads
        begin, end = (code.div(code.mul(n, heads), threads) for n in (thread, code.add(thread, 1)))
        if not alone:
            return Range(begin, end)
        return Range(code.choose(self.alone, code.int(0), begin), code.choose(self.alone, code.int(heads), end))

    def meet(self, threads: Value | None = None) -> None:
        """Wait for the other threads that share the units; with `threads`, for that many threads."""
        self.code.jump(self["meet"], self.address("meeting"), self.together if threads is None else threads)

    # a time step

    @contextmanager
    def at_step(self, s: Value) -> Iterator[None]:
        """Compute the offsets and addresses by which the values of step `s` are found."""
        code = self.code
        self.s = s
        self.offset = code.load(code.at(self.address("offsets"), code.mul(s, 8)))
        self.count = code.load(code.at(self.address("counts"), code.mul(s, 8)))
        self.before = code.max(code.sub(s, 1), 0)
        self.offset_before = code.load(code.at(self.address("offsets"), code.mul(self.before, 8)))
        self.odd = code.builder.and_(s, code.int(1))
        self.even = code.sub(1, self.odd)
        self.old, self.new, self.old_row = {}, {}, {}
        for name in self.plan.program.states:
            row = self[f"state_{name}_row"]
            ring = code.is_(self[f"state_{name}_ring"], "!=", 0)
            base = self.address(f"state_{name}")
            new = code.choose(ring, code.mul(self.odd, self["B"]), self.offset)
            old = code.choose(ring, code.mul(self.even, self["B"]), self.offset_before)
            self.new[name] = code.at(base, code.mul(new, row))
            kept = code.at(base, code.mul(old, row))
            is_first = code.is_(s, "==", 0)
            self.old[name] = code.choose(is_first, self.address(f"first_{name}"), kept)
            self.old_row[name] = code.choose(is_first, self.row_bytes(name), row)
        yield

    def row_bytes(self, state: str) -> Value:
        """The bytes of a row of a state that is stored alone; next to another direction's, rows are wider, see `state_..._row`."""
        return self.code.mul(self.width[self.letters[state]], self.shape.bytes)

    def entering(self, product: int) -> tuple[Value, Value]:
        """The address of what enters a product in this step, and the bytes of a row of it."""
        described, code = self.plan.program.products[product], self.code
        if described.enters.op == "state":
            name = name_of(described.enters)
            return self.old[name], self.old_row[name]
        if described.enters.op == "input":
            return self._input(name_of(described.enters), self.offset), self.input_row
        row = code.mul(self.width[described.entered], self.shape.bytes)
        ring = code.is_(self["enters_ring"], "!=", 0)
        at = code.choose(ring, code.mul(self.odd, self["B"]), self.offset)
        return code.at(self.address(f"enters_{product}"), code.mul(at, row)), row

    @property
    def input_row(self) -> Value:
        """The bytes of a row of the input, its extras included."""
        return self.code.mul(self["x_row"], self.shape.bytes)

    def _input(self, name: str, flat: Value, field: str = "x") -> Value:
        """The address of the input ("x") or of an extra in a flat row; with the field "dx", the address of its gradient."""
        return self.code.at(self.address(field), self.code.mul(flat, self.input_row), self[f"input_{name}"])

    def stage(self, at: int, stage: Stage) -> None:
        """Write a stage: its products, its sums, and what the units compute."""
        if stage.products or stage.moves:
            self.meet()
        for product in stage.products:
            self.multiply(product)
        if stage.sums:
            self.meet()
            self._sums(at, stage.sums)
            self.meet()
        for space in self.spaces:
            if stores := [store for store in stage.stores if self.target(store) == space]:
                self._units(at, space, stores)

    def target(self, store: Store) -> str:
        """The space that a store writes to."""
        kind, name = store.to
        if kind in ("state", "carry"):
            return self.letters[str(name)]
        if kind == "enters":
            return self.plan.program.products[int(name)].entered
        if kind == "input":
            return self.letters[str(name)]
        return store.space or store.node.space

    def multiply(self, product: int, here: Range | None = None) -> None:
        """Write a product for this thread's rows and units."""
        raise NotImplementedError

    def local_address(self, product: int, b: Value, v: Value, piece: int) -> Value:
        """The address of a vector of a product's result while a few blocks are worked on."""
        code, pieces = self.code, self.plan.program.products[product].pieces
        block = code.mul(code.sub(v, self.local[product]), pieces * self.vector)
        return code.at(
            self._local_base(product), code.mul(b, LOCAL_BLOCKS * pieces * self.vector), block, piece * self.vector
        )

    def _local_base(self, product: int) -> Value:
        code, pieces = self.code, self.plan.program.products[product].pieces
        own = code.mul(code.arg.thread, self["B"], LOCAL_BLOCKS * pieces * self.vector)
        return code.at(self.address(f"u_{product}"), own)

    def _call_multiply(self, a: Value, row: Int, runs: tuple[Int, Int, Int], panels: Value, panel: Int, c: Value, c_row: Int,
                       rows: Int, columns: Int, add: Int) -> None:  # fmt: skip
        code = self.code
        with code.when(code.is_(columns, ">", 0)), code.when(code.is_(rows, ">", 0)):
            code.jump(self["multiply"], a, row, *runs, panels, panel, c, c_row, rows, columns, add)

    # where values are stored

    def unit_count(self, size: str) -> Value:
        """How many units a space has, by its letter."""
        return self[size]

    def number(self, node: Node, b: Value) -> Value:
        """A value that is the same for all units of a row, such as a sum over them."""
        code, (kind, slot) = self.code, self.schedule.found[node]
        match kind:
            case "sum":
                address = code.at(self.sums_of(b), int(slot) * self.shape.bytes)
            case "saved_sum":
                row = code.mul(code.add(self.offset, b), self.plan.rows * self.shape.bytes)
                address = code.at(self.address("saved_sums"), row, int(slot) * self.shape.bytes)
            case "dstate":
                later, outside = (
                    code.load(address, self.shape.scalar, self.shape.bytes) for address in self._dstate(node, b)
                )
                return code.builder.fadd(later, outside)
            case _:
                address = self._row_of(node, b)
        return code.load(address, self.shape.scalar, self.shape.bytes)

    def _dstate(self, node: Node, b: Value) -> tuple[Value, Value]:
        """The addresses of the two parts of a new state's gradient: from the later step, and from outside."""
        code, name = self.code, name_of(node)
        base, row = self.carry(name, self.odd)
        flat = code.mul(code.add(self.offset, b), self[f"dstate_{name}_row"])
        return code.at(base, code.mul(b, row)), code.at(self.address(f"dstate_{name}"), flat)

    def _row_of(self, node: Node, b: Value) -> Value:
        """The address of a row of a value that is stored in plain rows."""
        code, (kind, slot) = self.code, self.schedule.found[node]
        match kind:
            case "state":
                return code.at(self.old[name_of(node)], code.mul(b, self.old_row[name_of(node)]))
            case "new":
                return code.at(self.new[str(slot)], code.mul(b, self[f"state_{slot}_row"]))
            case "enters":
                base, row = self.entering(int(slot))
                return code.at(base, code.mul(b, row))
            case "parameter":
                base = self.address(f"parameter_{name_of(node)}")
                if node.space == "one":
                    return base
                return code.at(base, code.mul(self.width[node.space], piece_of(node) * self.shape.bytes))
            case "mask":
                name, flat = name_of(node), code.add(self.offset, b)
                row = code.choose(code.is_(self[f"mask_{name}_flat"], "!=", 0), flat, b)
                return code.at(self.address(f"mask_{name}"), code.mul(row, self[f"mask_{name}_row"]))
            case "input":
                return self._input(name_of(node), code.add(self.offset, b))
            case "dv":
                k = number_of(node)
                row = code.mul(self.width[self.plan.program.products[k].entered], self.shape.bytes)
                return code.at(self.address(f"dv_{k}"), code.mul(b, row))
        raise AssertionError(kind)

    def load(self, node: Node, b: Value, v: Value, mask: Value | None) -> Value:
        """Load a vector of a value that varies over units."""
        code, shape, plan = self.code, self.shape, self.plan
        kind, slot = self.schedule.found[node]
        flat, at_v = code.add(self.offset, b), code.mul(v, self.vector)
        match kind:
            case "x":
                in_chunk = code.add(self.in_chunk, b)
                return shape.load(code, self.blocked("projected", "H", self.gates, in_chunk, v, number_of(node)))
            case "u":
                k = number_of(node)
                product = plan.program.products[k]
                if product.is_of_input:
                    assert self.in_chunk is not None
                    row = code.add(self.in_chunk, b)
                    return shape.load(
                        code, self.blocked(f"u_{k}", product.space, product.pieces, row, v, piece_of(node))
                    )
                if k in self.local:
                    return shape.load(code, self.local_address(k, b, v, piece_of(node)))
                return shape.load(code, self.blocked(f"u_{k}", product.space, product.pieces, b, v, piece_of(node)))
            case "state":
                return self._kept(code.at(self._row_of(node, b), at_v), self.old_row[name_of(node)], mask)
            case "saved":
                count = plan.slots[node.space]
                address = self.blocked(f"slots_{node.space}", node.space, count, flat, v, int(slot))
                return self._kept(address, code.mul(self.blocks[node.space], count * self.vector), mask)
            case "scratch":
                count = self.schedule.scratch[node.space]
                return shape.load(code, self.blocked(f"scratch_{node.space}", node.space, count, b, v, int(slot)))
            case "roll" | "flip":
                count = self.schedule.scratch[node.space]
                row = self.blocked(f"scratch_{node.space}", node.space, count, b, code.int(0), int(slot))
                return moved(code, shape, node, row, count, v, self.width[node.space])
            case "dstate":
                later, outside = (code.at(address, at_v) for address in self._dstate(node, b))
                row = self[f"dstate_{name_of(node)}_row"]
                return code.builder.fadd(shape.load(code, later, mask), self._kept(outside, row, mask))
            case _:
                return shape.load(code, code.at(self._row_of(node, b), at_v), mask)

    def _kept(self, address: Value, row: Int, mask: Value | None) -> Value:
        """Load a vector from memory that has `row` bytes for each flat row of the sequence; prefetch that of the next step."""
        if self.ahead is not None and mask is None:
            # Processors do not predict accesses in reverse order, each to a part of a row: prefetch the next one.
            self.code.prefetch(self.code.at(address, self.code.mul(self.ahead, row)))
        return self.shape.load(self.code, address, mask)

    # what the units compute

    def _units(self, at: int, space: str, stores: list[Store], own: Range | None = None) -> None:
        """Write all that a stage computes and stores in a space.

        Args:
            at: the number of the stage.
            space: the space of the units.
            stores: what is stored.
            own: the unit blocks; by default all that this thread has.
        """
        code, lanes, width = self.code, self.shape.lanes, self.width[space]
        whole = code.div(width, lanes)
        own, few = own or self.units[space], own is not None
        rows = Range(self.rows.begin, code.min(self.rows.end, self.count))

        def vectors(row: RowValues, v: Value, mask: Value | None) -> None:
            block = BlockValues(row, v, mask)
            values = [block.value(store.node) for store in stores]
            for store, value in zip(stores, values, strict=True):
                self._store(store, space, row.b, v, value, mask)

        def prepared(b: Value) -> RowValues:
            row = RowValues(self, at, b)
            for store in stores:
                row.prepare(store.node)
            return row

        @contextmanager
        def each_block(masked: bool) -> Iterator[tuple[Value, Value | None]]:
            first = code.max(own.begin, whole) if masked else own.begin
            last = own.end if masked else code.min(own.end, whole)
            with code.loop(first, last) as v:
                yield v, self.shape.mask(code, code.sub(width, code.mul(v, lanes))) if masked else None

        if few:
            for masked in (False, True):
                with each_block(masked) as (v, mask), code.loop(rows.begin, rows.end) as b:
                    vectors(prepared(b), v, mask)
            return
        with code.loop(rows.begin, rows.end) as b:
            row = prepared(b)
            for masked in (False, True):
                with each_block(masked) as (v, mask):
                    vectors(row, v, mask)

    def _store(self, store: Store, space: str, b: Value, v: Value, value: Value, mask: Value | None) -> None:
        code, shape = self.code, self.shape
        kind, name = store.to
        plain = code.mul(v, self.vector)
        match kind:
            case "state":
                to = code.at(self.new[str(name)], code.mul(b, self[f"state_{name}_row"]), plain)
                shape.store(code, value, to, mask)
            case "enters":
                base, row = self.entering(int(name))
                shape.store(code, value, code.at(base, code.mul(b, row), plain), mask)
            case "carry":
                base, row = self.carry(str(name), self.even)
                shape.store(code, value, code.at(base, code.mul(b, row), plain), mask)
            case "input":
                with code.when(code.is_(self[f"wants_{name}"], "!=", 0)):
                    to = code.at(self._input(str(name), code.add(self.offset, b), "dx"), plain)
                    shape.store(code, value, to, mask)
            case "parameter":
                count = len(self.plan.parameters[space])
                to = self.blocked(f"gradients_{space}", space, count, b, v, int(name))
                total = code.builder.fadd(shape.load(code, to), value)
                shape.store(code, total, to)
            case "scratch":
                to = self.blocked(f"scratch_{space}", space, self.schedule.scratch[space], b, v, int(name))
                shape.store(code, value, to)
            case _:  # saved, gradient
                if mask is not None:
                    # Past the last unit there must be zeros, as products run over whole vectors.
                    value = code.builder.select(mask, value, shape.zero())
                flat = code.add(self.offset, b)
                shape.store(
                    code, value, self.blocked(f"slots_{space}", space, self.plan.slots[space], flat, v, int(name))
                )

    def blocked(self, field: str, space: str, count: int, row: Value, v: Value, slot: int) -> Value:
        """The address of a vector in rows of `[block][slot][lane]`."""
        code = self.code
        bytes_of_row = code.mul(self.blocks[space], count * self.vector)
        return code.at(
            self.address(field), code.mul(row, bytes_of_row), code.mul(v, count * self.vector), slot * self.vector
        )

    def carry(self, name: str, parity: Value) -> tuple[Value, Value]:
        """Where the gradient of a state is stored between two steps: the address, and the bytes of a row."""
        raise NotImplementedError

    # sums over rows

    def sums_of(self, row: Value) -> Value:
        """The address of a row's sums."""
        flat = self.code.choose(self.code.is_(self["sums_flat"], "!=", 0), self.code.add(self.offset, row), row)
        return self.code.at(
            self.address("sums"), self.code.mul(flat, max(1, len(self.schedule.rows)) * self.shape.bytes)
        )

    def _sums(self, at: int, passes: list[list[Node]]) -> None:
        code, shape, lanes = self.code, self.shape, self.shape.lanes
        slots = {node: slot for slot, node in enumerate(self.schedule.rows)}
        thread, threads = code.arg.thread, code.arg.threads
        begin, end = (code.div(code.mul(self.count, n), threads) for n in (thread, code.add(thread, 1)))
        begin = code.choose(self.alone, self.rows.begin, begin)
        end = code.choose(self.alone, code.min(self.rows.end, self.count), end)
        with code.loop(begin, end) as b:
            made: dict[Node, Value] = {}
            own = {node for nodes in passes for node in nodes}
            for nodes in passes:
                row = RowValues(self, at, b, own, made)
                for node in nodes:
                    row.prepare(node.args[0])
                kinds = {node: Reduction(node.op, shape) for node in nodes}
                totals = {node: code.slot(shape.vector, kind.nothing) for node, kind in kinds.items()}
                for space in self.spaces:
                    here = [n for n in nodes if n.args[0].space == space]
                    if not here:
                        continue
                    width = self.width[space]
                    whole = code.div(width, lanes)
                    for masked in (False, True):
                        with code.loop(*((whole, self.blocks[space]) if masked else (0, whole))) as v:
                            mask = self.shape.mask(code, code.sub(width, code.mul(v, lanes))) if masked else None
                            block = BlockValues(row, v, mask)
                            for node in here:
                                value = block.value(node.args[0])
                                if mask is not None:
                                    value = code.builder.select(mask, value, kinds[node].nothing)
                                total = code.load(totals[node], shape.vector)
                                code.store(kinds[node].joined(code, total, value), totals[node])
                for node in nodes:
                    number = kinds[node].number(code, code.load(totals[node], shape.vector))
                    code.store(number, code.at(self.sums_of(b), slots[node] * shape.bytes), shape.bytes)
                    made[node] = shape.splat(code, number)
