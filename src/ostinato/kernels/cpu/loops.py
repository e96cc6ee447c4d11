"""The loops over time in machine code: the stages of a plan, step after step, each thread with units or rows of its own.

A thread has either a share of the units and all rows, and meets the others between two stages; or all units and a share of the
rows, and meets nobody before the end. Rows of a sequence are *flat*: step s has `counts[s]` rows from row `offsets[s]` on, longest
sequences first, so that the rows of a step are the first ones of the step before. States are kept for every flat row, or for the
last two steps only.

Vectors of one unit block lie together: a flat row of pre-activations is `[block][gate][lane]`. What the user sees, and states, are
plain rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from llvmlite import ir

from ostinato.kernels.cpu.code import POINTER, Code, Int, Value
from ostinato.kernels.cpu.plan import Plan, Schedule, Slots, Stage, Store, walk
from ostinato.kernels.cpu.product import LOCAL_BLOCKS, Shape
from ostinato.kernels.cpu.vector import Lanes, emit
from ostinato.kernels.graph import Node, name_of, number_of, parts_of, piece_of

ROWS_TOGETHER = 48  # flat rows that stay in the cache while they are multiplied with all panels


class Fields:
    """The names of what the caller hands over: one 64-bit number or address each, in the order in which they are asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def index(self, name: str) -> int:
        """Where it lies."""
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)


@dataclass
class Range:
    """Unit blocks or rows of this thread, from `begin` up to `end`."""

    begin: Value
    end: Value


class Loop:
    """Writes one function: `void name(fields, thread, threads)`.

    Args:
        module: where it goes.
        name: its symbol.
        plan: what to compute.
        schedule: one of the plan's.
        shape: of the vectors.
        fields: filled with the names of what the function reads.
        projected: whether there are values of `P` units.
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
        self.ahead: Value | None = None  # flat rows from this step to the next one that is worked on
        self.local: dict[int, Value] = {}  # products whose result is kept for a few blocks only, to the first block
        self._first = self.code.builder.block
        self.spaces = ["H"] + ["P"] * ("P" in letters.values())
        self.width = {space: self[space] for space in self.spaces}
        self.blocks = {space: self.code.ceil_div(self.width[space], shape.lanes) for space in self.spaces}
        self._partition()

    def __getitem__(self, name: str) -> Value:
        """A field as a number; read once, at the beginning."""
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
        """What this thread does. The results do not depend on it."""
        code, shape, rows = self.code, self.shape, self.shape.rows
        thread, threads = code.arg.thread, code.arg.threads
        alone = code.is_(self["by_rows"], "!=", 0)
        tiles = code.ceil_div(self["B"], rows)

        def share(total: Value, unit: int, limit: Value) -> Range:
            begin = code.mul(code.div(code.mul(total, thread), threads), unit)
            end = code.mul(code.div(code.mul(total, code.add(thread, 1)), threads), unit)
            return Range(code.min(begin, limit), code.min(end, limit))

        own_rows, zero = share(tiles, rows, self["B"]), code.int(0)
        self.rows = Range(code.choose(alone, own_rows.begin, zero), code.choose(alone, own_rows.end, self["B"]))
        self.sum_rows = own_rows
        self.own_units = {}
        self.units = {}
        for space, blocks in self.blocks.items():
            own = share(code.ceil_div(blocks, shape.across), shape.across, blocks)
            self.own_units[space] = own
            self.units[space] = Range(code.choose(alone, zero, own.begin), code.choose(alone, blocks, own.end))
        self.together = code.choose(alone, 1, threads)

    def meet(self, threads: Value | None = None) -> None:
        """Wait for the other threads of this loop; with `threads`, for all."""
        self.code.jump(self["meet"], self.address("meeting"), self.together if threads is None else threads)

    # a time step

    @contextmanager
    def at_step(self, s: Value) -> Iterator[None]:
        """What the step's values are found by."""
        code = self.code
        self.s = s
        self.offset = code.load(code.at(self.address("offsets"), code.mul(s, 8)))
        self.count = code.load(code.at(self.address("counts"), code.mul(s, 8)))
        self.before = code.max(code.sub(s, 1), 0)
        self.offset_before = code.load(code.at(self.address("offsets"), code.mul(self.before, 8)))
        self.odd = code.builder.and_(s, code.int(1))
        self.even = code.sub(1, self.odd)
        self.old, self.new = {}, {}
        for name in self.plan.program.states:
            row = self.row_bytes(name)
            ring = code.is_(self[f"state_{name}_ring"], "!=", 0)
            base = self.address(f"state_{name}")
            new = code.choose(ring, code.mul(self.odd, self["B"]), self.offset)
            old = code.choose(ring, code.mul(self.even, self["B"]), self.offset_before)
            self.new[name] = code.at(base, code.mul(new, row))
            kept = code.at(base, code.mul(old, row))
            self.old[name] = code.choose(code.is_(s, "==", 0), self.address(f"first_{name}"), kept)
        yield

    def row_bytes(self, state: str) -> Value:
        """Of one row of a state."""
        return self.code.mul(self.width[self.letters[state]], self.shape.bytes)

    def entering(self, product: int) -> tuple[Value, Value]:
        """The address and the bytes of a row of what enters a product in this step."""
        enters, code = self.plan.program.products[product].enters, self.code
        if enters.op == "state":
            name = name_of(enters)
            return self.old[name], self.row_bytes(name)
        space = self.entered_space(product)
        row = code.mul(self.width[space], self.shape.bytes)
        ring = code.is_(self["enters_ring"], "!=", 0)
        at = code.choose(ring, code.mul(self.odd, self["B"]), self.offset)
        return code.at(self.address(f"enters_{product}"), code.mul(at, row)), row

    def entered_space(self, product: int) -> str:
        """H or P."""
        described = self.plan.program.products[product]
        if not described.gates:
            return "H"
        return "P" if "P" in self.spaces else "H"

    def stage(self, at: int, stage: Stage) -> None:
        """Products, sums, and what the units compute."""
        if stage.products:
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
        """The space that a store writes in."""
        kind, name = store.to
        if kind in ("state", "carry"):
            return self.letters[str(name)]
        if kind == "enters":
            return self.entered_space(int(name))
        return store.space or store.node.space

    def multiply(self, product: int, here: Range | None = None) -> None:
        """Do a product for this thread's rows and units."""
        raise NotImplementedError

    def local_address(self, product: int, b: Value, v: Value, piece: int) -> Value:
        """Where a vector of a product's result lies while a few blocks are worked on."""
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

    # what the units compute

    def _units(self, at: int, space: str, stores: list[Store], own: Range | None = None) -> None:
        """All that a stage writes in a space.

        Args:
            at: the stage.
            space: H or P.
            stores: what it writes.
            own: the unit blocks; without it all that are this thread's.
        """
        code, lanes, width = self.code, self.shape.lanes, self.width[space]
        whole = code.div(width, lanes)
        own, few = own or self.units[space], own is not None
        rows = Range(self.rows.begin, code.min(self.rows.end, self.count))

        def vectors(row: RowValues, v: Value, mask: Value | None) -> None:
            block = BlockValues(row, v, mask, space)
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
                to = code.at(self.new[str(name)], code.mul(b, self.row_bytes(str(name))), plain)
                shape.store(code, value, to, mask)
            case "enters":
                base, row = self.entering(int(name))
                shape.store(code, value, code.at(base, code.mul(b, row), plain), mask)
            case "carry":
                base, row = self.carry(str(name), self.even)
                shape.store(code, value, code.at(base, code.mul(b, row), plain), mask)
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
                    # Past the last unit there must be zeros, for the products that run over whole vectors.
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
        """The gradient of a state between two steps: address, bytes of a row."""
        raise NotImplementedError

    # sums over rows

    def sums_of(self, row: Value) -> Value:
        """Where a row's sums lie."""
        flat = self.code.choose(self.code.is_(self["sums_flat"], "!=", 0), self.code.add(self.offset, row), row)
        return self.code.at(
            self.address("sums"), self.code.mul(flat, max(1, len(self.schedule.rows)) * self.shape.bytes)
        )

    def _sums(self, at: int, passes: list[list[Node]]) -> None:
        code, shape, lanes = self.code, self.shape, self.shape.lanes
        slots = {node: slot for slot, node in enumerate(self.schedule.rows)}
        with code.loop(self.sum_rows.begin, code.min(self.sum_rows.end, self.count)) as b:
            made: dict[Node, Value] = {}
            for nodes in passes:
                row = RowValues(self, at, b, made, partial=True)
                for node in nodes:
                    row.prepare(node.args[0])
                totals = {node: code.slot(shape.vector, shape.zero()) for node in nodes}
                for space in self.spaces:
                    here = [n for n in nodes if n.args[0].space == space]
                    if not here:
                        continue
                    width = self.width[space]
                    whole = code.div(width, lanes)
                    for masked in (False, True):
                        with code.loop(*((whole, self.blocks[space]) if masked else (0, whole))) as v:
                            mask = self.shape.mask(code, code.sub(width, code.mul(v, lanes))) if masked else None
                            block = BlockValues(row, v, mask, space)
                            for node in here:
                                value = block.value(node.args[0])
                                if mask is not None:
                                    value = code.builder.select(mask, value, shape.zero())
                                total = code.load(totals[node], shape.vector)
                                code.store(code.builder.fadd(total, value), totals[node])
                for node in nodes:
                    total = code.load(totals[node], shape.vector)
                    name = f"llvm.vector.reduce.fadd.{shape.suffix}"
                    number = code.call(name, shape.scalar, ir.Constant(shape.scalar, 0.0), total)
                    code.store(number, code.at(self.sums_of(b), slots[node] * shape.bytes), shape.bytes)
                    made[node] = shape.splat(code, number)


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
                in_chunk = code.sub(flat, loop.chunk_base)  # pyright: ignore[reportAttributeAccessIssue]
                return shape.load(code, loop.blocked("projected", "H", loop.gates, in_chunk, v, number_of(node)))
            case "u":
                k = number_of(node)
                product = plan.program.products[k]
                if k in loop.local:
                    return shape.load(code, loop.local_address(k, b, v, piece_of(node)))
                return shape.load(code, loop.blocked(f"u_{k}", product.space, product.pieces, b, v, piece_of(node)))
            case "state":
                row = loop.row_bytes(name_of(node))
                return self._kept(code.at(loop.old[name_of(node)], code.mul(b, row), code.mul(v, loop.vector)), row)
            case "new":
                return self._plain(loop.new[str(slot)], code.mul(b, loop.row_bytes(str(slot))))
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


class Forward(Loop):
    """The forward pass; `save` keeps what the backward pass needs."""

    def stage(self, at: int, stage: Stage) -> None:
        """As in every loop, but where only these units use a product, a few blocks at a time, while it is in the first cache."""
        if not (fused := self._fused(at, stage)):
            super().stage(at, stage)
            return
        code, space = self.code, self.plan.program.products[stage.products[0]].space
        own = self.units[space]
        self.meet()
        with code.loop(own.begin, own.end, LOCAL_BLOCKS) as begin:
            here = Range(begin, code.min(code.add(begin, LOCAL_BLOCKS), own.end))
            for product in stage.products:
                self.local[product] = begin
                self.multiply(product, here)
            self._units(at, space, fused, here)
        self.local.clear()
        for other in self.spaces:
            if other != space and (stores := [s for s in stage.stores if self.target(s) == other]):
                self._units(at, other, stores)

    def _fused(self, at: int, stage: Stage) -> list[Store]:
        """What the units write from this stage's products; nothing where others need the products too."""
        spaces = {self.plan.program.products[k].space for k in stage.products}
        if len(spaces) != 1 or stage.sums:
            return []
        space = spaces.pop()
        used_later = [
            node
            for later in range(at + 1, len(self.schedule.stages))
            for node in walk(
                [
                    *(store.node for store in self.schedule.stages[later].stores),
                    *(n.args[0] for p in self.schedule.stages[later].sums for n in p),
                ],
                lambda n, later=later: n in self.schedule.found and self.schedule.made[n] <= later,
            )
            if self.schedule.found.get(node, ("",))[0] == "u" and number_of(node) in stage.products
        ]
        elsewhere = [store for store in stage.stores if self.target(store) != space]
        if used_later or any(n.op == "u" for n in walk([store.node for store in elsewhere])):
            return []
        return [store for store in stage.stores if self.target(store) == space]

    def write(self) -> None:
        """Write the function."""
        code = self.code
        with code.loop(0, self["steps"], self["chunk"]) as first:
            last = code.min(code.add(first, self["chunk"]), self["steps"])
            self._project(first, last)
            with code.loop(first, last) as s, self.at_step(s):
                for at, stage in enumerate(self.schedule.stages):
                    self.stage(at, stage)
        code.end()

    def _project(self, first: Value, last: Value) -> None:
        """W_ih x of a chunk of steps, as one product where the rows of a thread lie together."""
        code = self.code
        offsets, counts = self.address("offsets"), self.address("counts")
        begin = code.load(code.at(offsets, code.mul(first, 8)))
        final = code.mul(code.sub(last, 1), 8)
        end = code.load(code.at(offsets, final))
        self.chunk_base = code.min(begin, end)
        rows = code.add(
            code.max(
                code.add(begin, code.load(code.at(counts, code.mul(first, 8)))),
                code.add(end, code.load(code.at(counts, final))),
            ),
            code.sub(0, self.chunk_base),
        )
        everything = code.is_(self["by_rows"], "==", 0)
        with code.when(everything):
            self._project_rows(self.chunk_base, rows)
        with code.when(code.builder.not_(everything)), code.loop(first, last) as s:
            count = code.load(code.at(counts, code.mul(s, 8)))
            row = code.add(code.load(code.at(offsets, code.mul(s, 8))), self.rows.begin)
            self._project_rows(row, code.sub(code.min(self.rows.end, count), self.rows.begin))

    def _project_rows(self, row: Value, rows: Value) -> None:
        code, own = self.code, self.units["H"]
        size = self.vector * self.gates
        c_row = code.mul(self.blocks["H"], size)
        x_row = code.mul(self["I"], self.shape.bytes)
        panel = code.mul(self["I"], self.shape.across * self.vector)
        self._call_multiply(
            code.at(self.address("x"), code.mul(row, x_row)),
            x_row,
            (1, self["I"], 0),
            code.at(
                self.address("weight_x"), code.mul(code.div(code.mul(own.begin, self.gates), self.shape.across), panel)
            ),
            panel,
            code.at(
                self.address("projected"), code.mul(code.sub(row, self.chunk_base), c_row), code.mul(own.begin, size)
            ),
            c_row,
            rows,
            code.mul(code.sub(own.end, own.begin), self.gates * self.shape.lanes),
            0,
        )

    def multiply(self, product: int, here: Range | None = None) -> None:
        """u = W v."""
        code, described = self.code, self.plan.program.products[product]
        own, size = here or self.units[described.space], self.vector * described.pieces
        v, v_row = self.entering(product)
        depth = self.width[self.entered_space(product)]
        panel = code.mul(depth, self.shape.across * self.vector)
        if here is None:
            c_row = code.mul(self.blocks[described.space], size)
            c = code.at(self.address(f"u_{product}"), code.mul(self.rows.begin, c_row), code.mul(own.begin, size))
        else:
            c_row = code.int(LOCAL_BLOCKS * size)
            c = code.at(self._local_base(product), code.mul(self.rows.begin, c_row))
        end = code.min(self.rows.end, self.count)
        first = code.div(code.mul(own.begin, described.pieces), self.shape.across)
        self._call_multiply(
            code.at(v, code.mul(self.rows.begin, v_row)),
            v_row,
            (1, depth, 0),
            code.at(self.address(f"weight_{product}"), code.mul(first, panel)),
            panel,
            c,
            c_row,
            code.sub(end, self.rows.begin),
            code.mul(code.sub(own.end, own.begin), described.pieces * self.shape.lanes),
            0,
        )


class Backward(Loop):
    """The backward pass, and after it what is done for all time steps at once: dx and the gradients of the weights."""

    def write(self) -> None:
        """Write the function."""
        code, threads = self.code, self.code.arg.threads
        self._clear()
        with code.loop(0, self["steps"], down=True) as s, self.at_step(s):
            self.ahead = code.sub(self.offset_before, self.offset)
            for at, stage in enumerate(self.schedule.stages):
                self.stage(at, stage)
        self.meet(threads)
        with code.when(code.is_(self["dx"], "!=", 0)):
            self._input_gradient()
        self._weight_gradient("x", self.plan.dx, self["x_width"])
        for k, slots in enumerate(self.plan.du):
            self._weight_gradient(str(k), slots, self.width[self.entered_space(k)])
        self._reduce()
        code.end()

    def carry(self, name: str, parity: Value) -> tuple[Value, Value]:
        """Two buffers in turn, so that a step reads what the later step wrote while it writes its own."""
        code, row = self.code, self.row_bytes(name)
        return code.at(self.address(f"carry_{name}"), code.mul(parity, self["B"], row)), row

    def _runs(self, slots: Slots) -> tuple[Int, Int, Int]:
        """How the vectors of a gradient lie in a row: runs, numbers in a run, bytes between them."""
        count, own = self.plan.slots[slots.space], len(slots.order)
        numbers = own * self.shape.lanes
        if count == own:
            return 1, self.code.mul(self.blocks[slots.space], numbers), 0
        return self.blocks[slots.space], numbers, (count - own) * self.vector

    def multiply(self, product: int, here: Range | None = None) -> None:
        """dv = W^T du, where possible straight into the gradient of the state that entered."""
        code, slots = self.code, self.plan.du[product]
        space = self.entered_space(product)
        own, width = self.units[space], self.width[space]
        add = 0
        if product in self.plan.accumulated:
            name, has_rest = self.plan.accumulated[product]
            to, row = self.carry(name, self.even)
            add = int(has_rest)
        else:
            to, row = self.address(f"dv_{product}"), code.mul(width, self.shape.bytes)
        a_row = code.mul(self.blocks[slots.space], self.plan.slots[slots.space] * self.vector)
        first = code.add(self.offset, self.rows.begin)
        panel = code.mul(
            self.blocks[slots.space], len(slots.order) * self.shape.lanes * self.shape.across * self.vector
        )
        self._call_multiply(
            code.at(self.address(f"slots_{slots.space}"), code.mul(first, a_row), slots.first * self.vector),
            a_row,
            self._runs(slots),
            code.at(self.address(f"weight_t_{product}"), code.mul(code.div(own.begin, self.shape.across), panel)),
            panel,
            code.at(to, code.mul(self.rows.begin, row), code.mul(own.begin, self.vector)),
            row,
            code.sub(code.min(self.rows.end, self.count), self.rows.begin),
            code.sub(code.min(code.mul(own.end, self.shape.lanes), width), code.mul(own.begin, self.shape.lanes)),
            add,
        )

    def _clear(self) -> None:
        """Parameter gradients start at zero, one row for each row of the batch."""
        code = self.code
        for space in self.spaces:
            if not (count := len(self.plan.parameters[space])):
                continue
            own = self.units[space]
            with code.loop(self.rows.begin, self.rows.end) as b, code.loop(own.begin, own.end) as v:
                for slot in range(count):
                    to = self.blocked(f"gradients_{space}", space, count, b, v, slot)
                    self.shape.store(code, self.shape.zero(), to)

    def _reduce(self) -> None:
        """Their sum over rows, in the order of the rows."""
        code, shape = self.code, self.shape
        for space in self.spaces:
            if not (count := len(self.plan.parameters[space])):
                continue
            own = self.own_units[space]
            with code.loop(own.begin, own.end) as v:
                for slot in range(count):
                    total = code.slot(shape.vector, shape.zero())
                    with code.loop(0, self["B"]) as b:
                        value = shape.load(code, self.blocked(f"gradients_{space}", space, count, b, v, slot))
                        code.store(code.builder.fadd(code.load(total, shape.vector), value), total)
                    at = code.mul(v, count * self.vector)
                    to = code.at(self.address(f"dparameters_{space}"), at, slot * self.vector)
                    shape.store(code, code.load(total, shape.vector), to)

    def _input_gradient(self) -> None:
        """dx = W_ih^T of all rows, in blocks of rows that stay in the cache."""
        code, slots = self.code, self.plan.dx
        thread, threads = code.arg.thread, code.arg.threads
        blocks = code.ceil_div(self["rows"], ROWS_TOGETHER)
        first, last = (code.div(code.mul(blocks, n), threads) for n in (thread, code.add(thread, 1)))
        a_row = code.mul(self.blocks["H"], self.plan.slots["H"] * self.vector)
        c_row = code.mul(self["x_width"], self.shape.bytes)
        with code.loop(first, last) as block:
            row = code.mul(block, ROWS_TOGETHER)
            self._call_multiply(
                code.at(self.address("slots_H"), code.mul(row, a_row), slots.first * self.vector),
                a_row,
                self._runs(slots),
                self.address("weight_x_t"),
                code.mul(self.blocks["H"], len(slots.order) * self.shape.lanes * self.shape.across * self.vector),
                code.at(self.address("dx"), code.mul(row, c_row)),
                c_row,
                code.min(code.sub(self["rows"], row), ROWS_TOGETHER),
                self["x_width"],
                0,
            )

    def _weight_gradient(self, name: str, slots: Slots, columns: Value) -> None:
        code, own, width = self.code, self.own_units[slots.space], self.width[slots.space]
        with code.when(code.is_(self[f"dweight_{name}"], "!=", 0)), code.when(code.is_(own.begin, "<", own.end)):
            code.jump(
                self["weight_gradient"],
                code.at(self.address(f"slots_{slots.space}"), slots.first * self.vector),
                code.mul(self.blocks[slots.space], self.plan.slots[slots.space] * self.vector),
                self["rows"],
                self.address(f"sources_{name}"),
                columns,
                self.address(f"dweight_{name}"),
                code.mul(columns, self.shape.bytes),
                own.begin,
                own.end,
                self.plan.slots[slots.space] * self.vector,
                len(slots.order),
                self.address(f"gate_rows_{name}"),
                width,
                code.at(self.address("work"), code.mul(code.arg.thread, self["work_bytes"])),
                self[f"add_{name}"],
            )
