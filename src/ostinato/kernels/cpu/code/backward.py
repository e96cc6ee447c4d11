"""The backward loop over time, and what is done once for all time steps behind it."""

from __future__ import annotations

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
                for at, stage in enumerate(self.schedule.stages):
                    self.stage(at, stage)
        with code.when(code.is_(self["halves"], "==", BOTH)):
            self.meet(threads)
        with code.when(code.is_(self["halves"], "!=", TIME)):
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

    def _runs(self, slots: GradientSlots) -> tuple[Int, Int, Int]:
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

    def _weight_gradient(self, name: str, slots: GradientSlots, columns: Value) -> None:
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
