"""The backward loop over time, and what is computed behind it, once for all time steps."""

from __future__ import annotations

import functools

from ostinato.kernels.compiler.graph import number_of, walk
from ostinato.kernels.compiler.slots import GradientSlots
from ostinato.kernels.cpu.code.builder import I64, Int, Value
from ostinato.kernels.cpu.code.loops import ROWS_TOGETHER, Loop, Range
from ostinato.kernels.cpu.code.product import BEHIND, BOTH, TIME
from ostinato.kernels.cpu.code.weight_gradients import ENTRY


class Backward(Loop):
    """Writes the backward loop and what comes behind it, for all time steps at once: dx and the gradients of the weights."""

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
            self._weight_gradients()
            self._reduce()
        code.end()

    def carry(self, name: str, parity: Value) -> tuple[Value, Value]:
        """See `Loop`. There are two buffers, used in turn: a step reads what the later step wrote while it writes its own."""
        code, row = self.code, self.row_bytes(name)
        return code.at(self.address(f"carry_{name}"), code.mul(parity, self["B"], row)), row

    def _runs(self, slots: GradientSlots, blocks: Value | None = None) -> tuple[Int, Int, Int]:
        """How the vectors of a gradient are laid out in a row, in `blocks` or all blocks: runs, numbers in a run, bytes between."""
        count, own = self.plan.slots[slots.space], len(slots.order)
        numbers, blocks = own * self.shape.lanes, self.blocks[slots.space] if blocks is None else blocks
        if count == own:
            return 1, self.code.mul(blocks, numbers), 0
        return blocks, numbers, (count - own) * self.vector

    def multiply(self, product: int, here: Range | None = None) -> None:
        """Write dv = W^T du, if possible directly into the gradient of the state that entered; skipped if nothing needs it."""
        if (names := self._wanted_by(product)) is None:
            self._multiply(product)
            return
        wants = [self.code.is_(self[f"wants_{name}"], "!=", 0) for name in names]
        with self.code.when(functools.reduce(self.code.builder.or_, wants)):
            self._multiply(product)

    def _wanted_by(self, product: int) -> list[str] | None:
        """The inputs whose gradients need a transposed product, if nothing else needs it; else None."""
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
        self.meet()  # this thread may have written units that other threads read

    def _blocks_of(self, head: Value, space: str, heads: int) -> tuple[Value, Value]:
        """The blocks that have units of a head: the first, and the end of the last."""
        code, units = self.code, self.code.div(self.width[space], heads)
        begin, end = code.mul(head, units), code.mul(code.add(head, 1), units)
        return code.div(begin, self.shape.lanes), code.ceil_div(end, self.shape.lanes)

    def _clear(self) -> None:
        """Set the gradients of parameters, one row for each row of the batch, to zero."""
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
        """Sum the gradients of parameters over the rows, in the order of the rows, and store them where the caller wants them."""
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
        """Compute dx, W_ih^T times gradients of gates, in blocks of rows that stay in the cache; so too for products of inputs."""
        code = self.code
        thread, threads = code.arg.thread, code.arg.threads
        blocks = code.ceil_div(self["rows"], ROWS_TOGETHER)
        first, last = (code.div(code.mul(blocks, n), threads) for n in (thread, code.add(thread, 1)))
        parts = [("x", self.plan.dx, "weight_x_t", self["I"])] if self.plan.dx.order else []
        for k, name in self.plan.behind.items():
            width = self.width[self.plan.program.products[k].entered]
            parts.append((name, self.plan.du[k], f"weight_t_{k}", width))
        written = set(self.plan.dinputs)  # the time loop has written a part of these
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

    def _weight_gradients(self) -> None:
        """Compute the gradients of all matrices; those that need gradients of gates of the same space are computed together."""
        together: dict[str, list[tuple[str, GradientSlots, Value]]] = {}
        if self.plan.dx.order:
            together["H"] = [("x", self.plan.dx, self["I"])]
        for k, (slots, product) in enumerate(zip(self.plan.du, self.plan.program.products, strict=True)):
            if product.heads > 1:
                self._gradient_of_heads(k)
            else:
                together.setdefault(slots.space, []).append((str(k), slots, self.width[product.entered]))
        for space, products in together.items():
            self._gradients_of_space(space, products)

    def _gradients_of_space(self, space: str, products: list[tuple[str, GradientSlots, Value]]) -> None:
        code, own = self.code, self.own_units[space]
        first = min(slots.first for _, slots, _ in products)
        gates = max(slots.first + len(slots.order) for _, slots, _ in products) - first
        table = code.room(I64, len(products) * len(ENTRY))
        count, columns = code.slot(I64, code.int(0)), code.slot(I64, code.int(0))

        def multiply() -> None:
            """Compute the gradients that are in the table, and empty it."""
            code.builder.store(code.int(0), columns)
            self._call_gradients(space, first, gates, own, table, code.load(count))
            code.builder.store(code.int(0), count)

        for name, slots, entered in products:
            with code.when(code.is_(self[f"dweight_{name}"], "!=", 0)):
                more = code.mul(code.ceil_div(entered, self.shape.panel), self.shape.panel)
                with code.when(code.is_(code.add(code.load(columns), more), ">", self["columns"])):
                    multiply()
                number = code.load(count)
                entry = code.at(table, code.mul(number, 8 * len(ENTRY)))
                sources = self.address(f"sources_{name}")
                self._write_entry(entry, name, sources, entered, slots, slots.first - first, 0, self.width[space])
                code.builder.store(code.add(number, 1), count)
                code.builder.store(code.add(code.load(columns), more), columns)
        multiply()

    def _gradient_of_heads(self, product: int) -> None:
        """Compute the gradient of a product with heads, each of which has a matrix of its own; one head after the other."""
        code, slots, name = self.code, self.plan.du[product], str(product)
        described, space = self.plan.program.products[product], slots.space
        heads, entry = described.heads, code.room(I64, len(ENTRY))
        mine, units = self.heads_of(product, alone=False), code.div(self.width[space], heads)
        columns = code.div(self.width[described.entered], heads)
        with (
            code.when(code.is_(self[f"dweight_{name}"], "!=", 0)),
            code.loop(mine.begin, mine.end) as head,
        ):
            sources = code.at(self.address(f"sources_{name}"), code.mul(head, self["rows"], 8))
            begin, end = code.mul(head, units), code.mul(code.add(head, 1), units)
            self._write_entry(entry, name, sources, columns, slots, 0, begin, end)
            blocks = Range(*self._blocks_of(head, space, heads))
            self._call_gradients(space, slots.first, len(slots.order), blocks, entry, code.int(1))

    def _write_entry(self, to: Value, name: str, sources: Value, columns: Value, slots: GradientSlots, gate: int,
                     first: Int, units: Value) -> None:  # fmt: skip
        """Write the entry that `weight_gradients` reads for a product."""
        code = self.code
        numbers = (
            *(code.builder.ptrtoint(sources, I64), columns, self[f"dweight_{name}"]),
            *(code.mul(columns, self.shape.bytes), gate, len(slots.order), self[f"gate_rows_{name}"]),
            *(first, units, self[f"add_{name}"]),
        )
        for n, number in enumerate(numbers):
            code.store(code.int(number), code.at(to, 8 * n))

    def _call_gradients(self, space: str, first: int, gates: int, own: Range, table: Value, count: Value) -> None:
        code, block = self.code, self.plan.slots[space] * self.vector
        with code.when(code.is_(own.begin, "<", own.end)), code.when(code.is_(count, ">", 0)):
            code.jump(
                self["weight_gradients"],
                code.at(self.address(f"slots_{space}"), first * self.vector),
                code.mul(self.blocks[space], block),
                self["rows"],
                own.begin,
                own.end,
                block,
                gates,
                table,
                count,
                code.at(self.address("work"), code.mul(code.arg.thread, self["work_bytes"])),
            )
