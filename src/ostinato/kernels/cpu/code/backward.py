"""The backward loop over time, and what is done once for all time steps behind it."""

from __future__ import annotations

import functools

from ostinato.kernels.compiler.graph import number_of, walk
from ostinato.kernels.compiler.plan import GradientSlots
from ostinato.kernels.cpu.code.builder import Int, Value
from ostinato.kernels.cpu.code.loops import ROWS_TOGETHER, Loop, Range
from ostinato.kernels.cpu.code.product import BEHIND, BOTH, TIME


class Backward(Loop):
    """The backward pass, and after it what is done for all time steps at once: dx and the gradients of the weights."""

    def write(self) -> None:
        """Write the function."""
        code, threads = self.code, self.code.arg.threads
        with code.when(code.is_(self["halves"], "!=", BEHIND)):
            self._clear()
            with code.loop(0, self["steps"], down=True) as s, self.at_step(s):
                self.ahead = code.sub(self.offset_before, self.offset)
                self.begin_step()
                for at, stage in enumerate(self.schedule.stages):
                    self.stage(at, stage)
        with code.when(code.is_(self["halves"], "==", BOTH)):
            self.meet(threads)
        with code.when(code.is_(self["halves"], "!=", TIME)):
            with code.when(code.is_(self["dx"], "!=", 0)):
                self._input_gradient()
            if self.plan.dx.order:
                self._weight_gradient("x", self.plan.dx, self["I"])
            for k, slots in enumerate(self.plan.du):
                self._weight_gradient(str(k), slots, self.width[self.plan.program.products[k].entered], k)
            self._reduce()
        code.end()

    def carry(self, name: str, parity: Value) -> tuple[Value, Value]:
        """Two buffers in turn, so that a step reads what the later step wrote while it writes its own."""
        code, row = self.code, self.row_bytes(name)
        return code.at(self.address(f"carry_{name}"), code.mul(parity, self["B"], row)), row

    def _runs(self, slots: GradientSlots, blocks: Value | None = None) -> tuple[Int, Int, Int]:
        """How the vectors of a gradient lie in so many blocks of a row, or all: runs, numbers in a run, bytes between them."""
        count, own = self.plan.slots[slots.space], len(slots.order)
        numbers, blocks = own * self.shape.lanes, self.blocks[slots.space] if blocks is None else blocks
        if count == own:
            return 1, self.code.mul(blocks, numbers), 0
        return blocks, numbers, (count - own) * self.vector

    def multiply(self, product: int, here: Range | None = None) -> None:
        """dv = W^T du, where possible straight into the gradient of the state that entered; not where nobody wants it."""
        if (names := self._wanted_by(product)) is None:
            self._multiply(product)
            return
        wants = [self.code.is_(self[f"wants_{name}"], "!=", 0) for name in names]
        with self.code.when(functools.reduce(self.code.builder.or_, wants)):
            self._multiply(product)

    def _wanted_by(self, product: int) -> list[str] | None:
        """The inputs for whose gradients alone a transposed product is made; None where something else needs it."""
        if product in self.plan.accumulated:
            return None
        stores = [store for stage in self.schedule.stages for store in stage.stores]
        stores = [s for s in stores if any(n.op == "dv" and number_of(n) == product for n in walk([s.node]))]
        names = [str(name) for kind, name in (store.to for store in stores) if kind == "input"]
        sums = [n for stage in self.schedule.stages for each in stage.sums for n in each]
        needed = any(n.op == "dv" and number_of(n) == product for n in walk(sums))
        return names if names and len(names) == len(stores) and not needed else None

    def _multiply(self, product: int) -> None:
        code, slots = self.code, self.plan.du[product]
        space = self.plan.program.products[product].entered
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
        a = code.at(self.address(f"slots_{slots.space}"), code.mul(first, a_row), slots.first * self.vector)
        c = code.at(to, code.mul(self.rows.begin, row))
        rows = code.sub(code.min(self.rows.end, self.count), self.rows.begin)
        weight, panel_bytes = self.address(f"weight_t_{product}"), self.shape.across * self.vector
        numbers = len(slots.order) * self.shape.lanes
        heads = self.plan.program.products[product].heads
        if heads == 1:
            panel = code.mul(self.blocks[slots.space], numbers * panel_bytes)
            columns = code.min(code.mul(own.end, self.shape.lanes), width)
            self._call_multiply(
                a,
                a_row,
                self._runs(slots),
                code.at(weight, code.mul(code.div(own.begin, self.shape.across), panel)),
                panel,
                code.at(c, code.mul(own.begin, self.vector)),
                row,
                rows,
                code.sub(columns, code.mul(own.begin, self.shape.lanes)),
                add,
            )
            return
        deep, columns = self[f"deep_{product}"], code.div(width, heads)
        panel = code.mul(deep, numbers * panel_bytes)
        of_head = code.mul(code.ceil_div(columns, self.shape.panel), panel)
        mine = self.heads_of(product)
        with code.loop(mine.begin, mine.end) as head:
            begin, _ = self._blocks_of(head, slots.space, heads)
            begin = code.min(begin, code.sub(self.blocks[slots.space], deep))
            self._call_multiply(
                code.at(a, code.mul(begin, self.plan.slots[slots.space] * self.vector)),
                a_row,
                self._runs(slots, deep),
                code.at(weight, code.mul(head, of_head)),
                panel,
                code.at(c, code.mul(head, columns, self.shape.bytes)),
                row,
                rows,
                columns,
                add,
            )
        self.meet()  # what it wrote may be of other threads' units

    def _blocks_of(self, head: Value, space: str, heads: int) -> tuple[Value, Value]:
        """The first block of units that a head has a unit in, and the end of the last."""
        code, units = self.code, self.code.div(self.width[space], heads)
        begin, end = code.mul(head, units), code.mul(code.add(head, 1), units)
        return code.div(begin, self.shape.lanes), code.ceil_div(end, self.shape.lanes)

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
        """Their sum over rows, in the order of the rows, to where the gradients of the parameters lie."""
        code, shape = self.code, self.shape
        for space in self.spaces:
            if not (count := len(self.plan.parameters[space])):
                continue
            own, width = self.own_units[space], self.width[space]
            with code.loop(own.begin, own.end) as v:
                mask = shape.mask(code, code.sub(width, code.mul(v, shape.lanes)))
                for slot in range(count):
                    total = code.slot(shape.vector, shape.zero())
                    with code.loop(0, self["B"]) as b:
                        value = shape.load(code, self.blocked(f"gradients_{space}", space, count, b, v, slot))
                        code.store(code.builder.fadd(code.load(total, shape.vector), value), total)
                    for (name, piece), place in self.plan.parameter_slots.items():
                        if place == (space, slot):
                            self._add_to_vector(name, code.mul(width, piece * shape.bytes), v, mask, total)

    def _add_to_vector(self, name: str, offset: Value, v: Value, mask: Value, total: Value) -> None:
        code, shape = self.code, self.shape
        with code.when(code.is_(self[f"dvector_{name}"], "!=", 0)):
            to = code.at(self.address(f"dvector_{name}"), offset, code.mul(v, self.vector))
            shape.store(code, code.load(total, shape.vector), to, mask)

    def _input_gradient(self) -> None:
        """dx = W_ih^T of all rows, in blocks of rows that stay in the cache; so for all products of inputs."""
        code = self.code
        thread, threads = code.arg.thread, code.arg.threads
        blocks = code.ceil_div(self["rows"], ROWS_TOGETHER)
        first, last = (code.div(code.mul(blocks, n), threads) for n in (thread, code.add(thread, 1)))
        parts = [("x", self.plan.dx, "weight_x_t", self["I"])] if self.plan.dx.order else []
        for k, name in self.plan.behind.items():
            width = self.width[self.plan.program.products[k].entered]
            parts.append((name, self.plan.du[k], f"weight_t_{k}", width))
        written = set(self.plan.dinputs)  # by the time loop
        with code.loop(first, last) as block:
            row = code.mul(block, ROWS_TOGETHER)
            for name, slots, weight, width in parts:
                with code.when(code.is_(self[f"wants_{name}"], "!=", 0)):
                    a_row = code.mul(self.blocks[slots.space], self.plan.slots[slots.space] * self.vector)
                    depth = code.mul(self.blocks[slots.space], len(slots.order) * self.shape.lanes)
                    to = code.at(self.address("dx"), code.mul(row, self.input_row))
                    self._call_multiply(
                        code.at(self.address(f"slots_{slots.space}"), code.mul(row, a_row), slots.first * self.vector),
                        a_row,
                        self._runs(slots),
                        self.address(weight),
                        code.mul(depth, self.shape.across * self.vector),
                        to if name == "x" else code.at(to, self[f"input_{name}"]),
                        self.input_row,
                        code.min(code.sub(self["rows"], row), ROWS_TOGETHER),
                        width,
                        int(name in written),
                    )
                written.add(name)

    def _weight_gradient(self, name: str, slots: GradientSlots, columns: Value, product: int | None = None) -> None:
        code, own, width = self.code, self.own_units[slots.space], self.width[slots.space]
        heads = 1 if product is None else self.plan.program.products[product].heads
        slot_row = code.mul(self.blocks[slots.space], self.plan.slots[slots.space] * self.vector)

        def part(sources: Value, columns: Value, begin: Value, end: Value, first: Int, units: Value) -> None:
            code.jump(
                self["weight_gradient"],
                code.at(self.address(f"slots_{slots.space}"), slots.first * self.vector),
                slot_row,
                self["rows"],
                sources,
                columns,
                self.address(f"dweight_{name}"),
                code.mul(columns, self.shape.bytes),
                begin,
                end,
                self.plan.slots[slots.space] * self.vector,
                len(slots.order),
                self.address(f"gate_rows_{name}"),
                first,
                units,
                code.at(self.address("work"), code.mul(code.arg.thread, self["work_bytes"])),
                self[f"add_{name}"],
            )

        sources = self.address(f"sources_{name}")
        with code.when(code.is_(self[f"dweight_{name}"], "!=", 0)):
            if product is None or heads == 1:
                with code.when(code.is_(own.begin, "<", own.end)):
                    part(sources, columns, own.begin, own.end, 0, width)
                return
            mine, units, columns = self.heads_of(product, alone=False), code.div(width, heads), code.div(columns, heads)
            with code.loop(mine.begin, mine.end) as head:
                begin, end = self._blocks_of(head, slots.space, heads)
                of_head = code.at(sources, code.mul(head, self["rows"], 8))
                part(of_head, columns, begin, end, code.mul(head, units), code.mul(code.add(head, 1), units))
