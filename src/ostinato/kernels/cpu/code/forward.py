"""The forward loop over time."""

from __future__ import annotations

from ostinato.kernels.compiler.graph import name_of, number_of, walk
from ostinato.kernels.compiler.schedule import Stage, Store
from ostinato.kernels.cpu.code.builder import I64, Int, Value
from ostinato.kernels.cpu.code.loops import Loop, Range
from ostinato.kernels.cpu.code.product import LOCAL_BLOCKS


class Forward(Loop):
    """Writes the forward loop; in training the schedule also stores what the backward pass needs."""

    def stage(self, at: int, stage: Stage) -> None:
        """Write a stage; if only its own units use its products, a few blocks at a time, while these are in the first cache."""
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
        """What the units store from this stage's products; empty if other units or stages need the products too."""
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
                self.in_chunk = self._in_chunk(s, first, self.offset)
                self.begin_step()
                for at, stage in enumerate(self.schedule.stages):
                    self.stage(at, stage)
        code.end()

    def _in_chunk(self, s: Value, first: Value, offset: Value) -> Value:
        """The index of a step's first row in `projected`.

        A thread with rows of its own may be in another chunk than other threads; then each row has the same index in all steps.
        """
        code = self.code
        apart = code.is_(self["by_rows"], "!=", 0)
        return code.choose(apart, code.mul(code.sub(s, first), self["B"]), code.sub(offset, self.chunk_base))

    def _project(self, first: Value, last: Value) -> None:
        """Compute W_ih x for a chunk of steps, as one product if the rows of a thread are contiguous."""
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
            self._project_rows(self.chunk_base, rows, code.int(0))
        with code.when(code.builder.not_(everything)), code.loop(first, last) as s:
            count = code.load(code.at(counts, code.mul(s, 8)))
            offset = code.load(code.at(offsets, code.mul(s, 8)))
            own = code.sub(code.min(self.rows.end, count), self.rows.begin)
            to = code.add(self._in_chunk(s, first, offset), self.rows.begin)
            self._project_rows(code.add(offset, self.rows.begin), own, to)

    def _project_rows(self, row: Value, rows: Value, to: Value) -> None:
        """Compute all products of inputs for these flat rows."""
        if any(node.op == "x" for node in self.schedule.found):
            self._project_one("x", "projected", "H", self.gates, row, rows, to)
        for k, product in enumerate(self.plan.program.products):
            if product.is_of_input:
                self._project_one(name_of(product.enters), f"u_{k}", product.space, product.pieces, row, rows, to, k)

    def _project_one(
        self,
        name: str,
        field: str,
        space: str,
        pieces: int,
        row: Value,
        rows: Value,
        to: Value,
        product: int | None = None,
    ) -> None:
        code, own = self.code, self.units[space]
        depth = self["I"] if product is None else self.width[self.plan.program.products[product].entered]
        size = self.vector * pieces
        c_row = code.mul(self.blocks[space], size)
        panel = code.mul(depth, self.shape.across * self.vector)
        weight = self.address("weight_x" if product is None else f"weight_{product}")
        # The input is first in a row; without extras its offset is no field.
        x = code.at(self.address("x"), code.mul(row, self.input_row)) if name == "x" else self._input(name, row)
        self._call_multiply(
            x,
            self.input_row,
            (1, depth, 0),
            code.at(weight, code.mul(code.div(code.mul(own.begin, pieces), self.shape.across), panel)),
            panel,
            code.at(self.address(field), code.mul(to, c_row), code.mul(own.begin, size)),
            c_row,
            rows,
            code.mul(code.sub(own.end, own.begin), pieces * self.shape.lanes),
            0,
        )

    def multiply(self, product: int, here: Range | None = None) -> None:
        """Write u = W v; see `Loop`."""
        code, described = self.code, self.plan.program.products[product]
        own, size = here or self.units[described.space], self.vector * described.pieces
        v, v_row = self.entering(product)
        depth = code.div(self.width[described.entered], described.heads)
        panel = code.mul(depth, self.shape.across * self.vector)
        if here is None:
            c_row = code.mul(self.blocks[described.space], size)
            c = code.at(self.address(f"u_{product}"), code.mul(self.rows.begin, c_row), code.mul(own.begin, size))
        else:
            c_row = code.int(LOCAL_BLOCKS * size)
            c = code.at(self._local_base(product), code.mul(self.rows.begin, c_row))
        end = code.min(self.rows.end, self.count)

        def part(begin: Value, end_of_units: Value, first: Value, v: Value, weight: Value, add: Int) -> None:
            """Multiply the units from `begin` on, of blocks that are packed together from `first` on."""
            skipped = code.div(code.mul(code.sub(begin, first), described.pieces), self.shape.across)
            self._call_multiply(
                code.at(v, code.mul(self.rows.begin, v_row)),
                v_row,
                (1, depth, 0),
                code.at(weight, code.mul(skipped, panel)),
                panel,
                code.at(c, code.mul(code.sub(begin, own.begin), size)),
                c_row,
                code.sub(end, self.rows.begin),
                code.mul(code.sub(end_of_units, begin), described.pieces * self.shape.lanes),
                add,
            )

        weight = self.address(f"weight_{product}")
        if described.heads == 1:
            part(own.begin, own.end, code.int(0), v, weight, 0)
            return
        # Heads that fill whole blocks only together share blocks, and each adds its part to them: see `passes.heads_together`.
        together, blocks = self[f"together_{product}"], self.blocks[described.space]
        shared = code.div(code.mul(blocks, together), described.heads)
        bytes_of_head = code.mul(code.ceil_div(code.mul(shared, described.pieces), self.shape.across), panel)
        with code.loop(0, described.heads) as head:
            first = code.mul(code.div(head, together), shared)
            begin, end_of_units = code.max(own.begin, first), code.min(own.end, code.add(first, shared))
            with code.when(code.is_(begin, "<", end_of_units)):
                of_head = code.at(v, code.mul(head, depth, self.shape.bytes))
                is_later = code.builder.zext(code.is_(code.builder.urem(head, together), ">", 0), I64)
                part(begin, end_of_units, first, of_head, code.at(weight, code.mul(head, bytes_of_head)), is_later)
