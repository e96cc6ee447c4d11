"""One step of one row, or of several, for a whole stack of layers, in machine code: what a live service calls for every sample.

The time of such a step is that of reading the weights, so they are stored in exactly the order in which they are read: for each
block of units the columns of all its gates, `[block][k][gate][lane]`, first those for the input and then those for the state. The
sums of a block stay in registers, and what its units compute follows at once. Each thread has blocks of its own, and the threads
wait for each other only if a product needs values that the same step computed.

Every second step goes through the blocks backwards. If the weights are larger than a core's second cache, those that the last step
read at its end are still in it; a step that always began at the first block would find none there.

With several rows, as many are multiplied by the weights that have just been loaded as there are registers for their sums. The
numbers of each row are added up in the same order as if it were alone, so that its bits do not depend on other rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from llvmlite import ir

from ostinato.kernels.compiler.graph import Node, walk
from ostinato.kernels.compiler.schedule import Stage
from ostinato.kernels.cpu.code.builder import I32, POINTER, Code, Value
from ostinato.kernels.cpu.code.emit import BlockValues, RowValues
from ostinato.kernels.cpu.code.reduction import Reduction
from ostinato.kernels.cpu.stream.held import Entering
from ostinato.kernels.cpu.stream.multiply import block_bytes, chains_of, multiply
from ostinato.kernels.cpu.stream.passes import Segment, StreamPass
from ostinato.kernels.cpu.stream.places import Places
from ostinato.kernels.cpu.stream.record import HEADER, NAME, NEXT, START, THREADS


class StreamStep(Places):
    """Writes the function `void stream(fields, thread, threads)`; for its arguments see `Places`."""

    def write(self) -> None:
        """Write the function, and `start`, which calls it."""
        self._layer()
        code = self.code = Code(self.module, NAME, "*fields thread threads")
        header = {name: code.load(code.at(code.arg.fields, 8 * n)) for n, name in enumerate(HEADER)}
        meeting = code.builder.inttoptr(header["meeting"], POINTER)
        with code.loop(0, header["layers"]) as layer:
            with code.when(code.is_(layer, ">", 0)):
                code.jump(header["meet"], meeting, code.arg.threads)
            record = code.at(code.arg.fields, 8 * len(HEADER), code.mul(layer, header["record_bytes"]))
            arguments = [
                record,
                code.arg.thread,
                code.arg.threads,
                *(header[n] for n in ("backwards", "rows", "meet")),
                meeting,
            ]
            code.builder.call(self.module.globals["layer"], arguments)
        code.end()
        self._start()

    def _start(self) -> None:
        """Write `void start(call)`. It has one argument, as each costs its caller in Python as much as 50 ns.

        `call` points to what `region` reads, then the number of threads, the address of `region`, and OpenMP's function that starts
        threads; then the `start` of the call that follows this one, or 0, and its argument.
        """
        code = Code(self.module, START, "*call")
        function, fields, threads, region, parallel = (
            code.load(code.at(code.arg.call, 8 * n)) for n in (0, 1, THREADS, 6, 7)
        )
        alone = code.is_(threads, "==", 1)
        with code.when(alone):
            code.jump(function, code.builder.inttoptr(fields, POINTER), 0, 1)
        with code.when(code.builder.not_(alone)):
            flags = ir.Constant(I32, 0)
            count = code.builder.trunc(threads, I32)
            code.jump(parallel, code.builder.inttoptr(region, POINTER), code.arg.call, count, flags)
        following, argument = (code.load(code.at(code.arg.call, 8 * n)) for n in (NEXT, NEXT + 1))
        with code.when(code.is_(following, "!=", 0)):
            code.jump(following, code.builder.inttoptr(argument, POINTER))
        code.end()

    # fields

    def meet(self) -> None:
        """Wait for the other threads."""
        self.code.jump(self.code.arg.meet, self.code.arg.meeting, self.code.arg.threads)

    # a layer

    def _layer(self) -> None:
        code = self.code
        for number, each in enumerate(self.passes.all):
            stage = self.schedule.stages[each.stage]
            begins = number == 0 or self.passes.all[number - 1].stage != each.stage
            if any(s.source != "x" and self._is_fresh(int(s.source)) for s in each.segments) or (
                begins and stage.moves
            ):
                self.meet()
            self._walk(number, each, stage)
            following = self.passes.all[number + 1] if number + 1 < len(self.passes.all) else None
            if each.sums and (following is None or not following.sums or following.stage != each.stage):
                self.meet()
                begin, end = self._share(code.arg.rows)
                with code.loop(begin, end) as b:
                    self._sums(each.stage, stage, b)
                self.meet()
        code.end()

    def _share(self, number: Value) -> tuple[Value, Value]:
        """The share of this thread of `number` things: where it begins and ends."""
        code, arg = self.code, self.code.arg
        begin = code.div(code.mul(number, arg.thread), arg.threads)
        return begin, code.div(code.mul(number, code.add(arg.thread, 1)), arg.threads)

    def _is_fresh(self, product: int) -> bool:
        return self.plan.program.products[product].enters.op not in ("state", "input")

    def _walk(self, number: int, each: StreamPass, stage: Stage) -> None:
        code, arg = self.code, self.code.arg
        begin, end = self._share(self.blocks(each.space))
        bytes_of_block = code.add(*(self._bytes(s) for s in each.segments)) if each.segments else code.int(0)
        self._enter(each.segments)
        prepared = None if self.many else self._row(each, stage, code.int(0))
        with code.loop(begin, end) as i:
            mirrored = code.sub(code.sub(code.add(begin, end), 1), i)
            v = code.choose(code.is_(arg.backwards, "!=", 0), mirrored, i)
            weights = None
            if each.segments:
                weights = code.at(self.address(f"weights_{number}"), code.mul(v, bytes_of_block))
            if prepared is not None:
                (products,) = self._products(each, weights, v, [code.int(0)])
                self._block(each, stage, prepared, v, products)
            else:
                self._all_rows(each, stage, weights, v)

    def _all_rows(self, each: StreamPass, stage: Stage, weights: Value | None, v: Value) -> None:
        """Compute all rows of a block: as many at a time as are multiplied together, then the rest one by one."""
        code, rows = self.code, self.code.arg.rows
        together = self._together(each)
        whole = code.mul(code.div(rows, together), together)
        for first, last, count in ((code.int(0), whole, together), (whole, rows, 1)):
            with code.loop(first, last, count) as group:
                self._rows(each, stage, weights, v, group, count)

    def _together(self, each: StreamPass) -> int:
        """How many rows are multiplied together by weights that have been loaded: as many as there are registers for the sums."""
        fitting = []
        for segment in each.segments:
            pieces = len(segment.pieces)
            sums = pieces * chains_of(self.held(segment), pieces)
            fitting.append(max(1, (self.shape.registers - pieces - 1) // sums))
        return min(fitting, default=1)

    def _rows(self, each: StreamPass, stage: Stage, weights: Value | None, v: Value, first: Value, count: int) -> None:
        """Compute `count` rows of a block, from `first` on."""
        code = self.code
        rows = [code.add(first, n) for n in range(count)]
        products = self._products(each, weights, v, rows)
        if count == 1:
            self._block(each, stage, self._row(each, stage, first), v, products[0])
            return
        # What their units compute follows in a loop over the rows, so that its code is there once.
        leaves = list(products[0])
        held = code.room(self.shape.vector, count * max(1, len(leaves)))
        for n, found in enumerate(products):
            for at, leaf in enumerate(leaves):
                self.shape.store(code, found[leaf], code.at(held, (n * len(leaves) + at) * self.vector))
        with code.loop(0, count) as n:
            place = code.at(held, code.mul(n, len(leaves) * self.vector))
            known = {leaf: self.shape.load(code, code.at(place, at * self.vector)) for at, leaf in enumerate(leaves)}
            self._block(each, stage, self._row(each, stage, code.add(first, n)), v, known)

    def _row(self, each: StreamPass, stage: Stage, b: Value) -> RowValues:
        row = RowValues(self, each.stage, b)
        for n in each.stores:
            row.prepare(stage.stores[n].node)
        return row

    def _block(self, each: StreamPass, stage: Stage, row: RowValues, v: Value, products: Mapping[Node, Value]) -> None:
        """Compute and store what follows from the products of a block of units of one row."""
        block = BlockValues(row, v)
        block.known |= products
        for leaf, value in block.known.items():
            if leaf in self.passes.kept[each.space]:
                self.shape.store(self.code, value, self.kept(leaf, row.b, v))
        stores = [stage.stores[n] for n in each.stores]
        values = [block.value(store.node) for store in stores]
        for store, value in zip(stores, values, strict=True):
            self.store(store, each.space, row.b, v, value)

    def _bytes(self, segment: Segment) -> Value:
        """The bytes of a segment's weights in one block, with what follows them."""
        return block_bytes(self.code, self.shape, self.held(segment), self.depth(segment), len(segment.pieces))

    def _enter(self, segments: Sequence[Segment]) -> None:
        """Prepare what enters the products if the weights need it in another form; each thread does so for itself."""
        code = self.code
        for source, segment in {s.source: s for s in segments if self.held(s).fills}.items():
            with code.loop(0, code.arg.rows) as b:
                room, unit = self.room(segments, source, b)
                given = self.source(source, b)
                made = self.held(segment).enter(code, self.shape, given, self.depth(segment), room)
                code.store(made, unit, self.shape.bytes)

    def _entering(self, segments: Sequence[Segment], segment: Segment, b: Value, v: Value) -> Entering:
        """What enters a segment's product; with heads, the part for the heads that share the block."""
        code, source, held = self.code, segment.source, self.held(segment)
        if held.fills:
            room, unit = self.room(segments, source, b)
            return Entering(room, self.shape.splat(code, code.load(unit, self.shape.scalar, self.shape.bytes)))
        address = self.source(source, b)
        if source != "x" and self.plan.program.products[int(source)].heads > 1:
            which = code.div(v, self[f"shared_{source}"])
            address = code.at(address, code.mul(which, self.depth(segment), self.shape.bytes))
        return Entering(address)

    def _products(
        self, each: StreamPass, weights: Value | None, v: Value, rows: Sequence[Value]
    ) -> list[dict[Node, Value]]:
        """The products of one block: for each row a vector for each leaf."""
        found: list[dict[Node, Value]] = [{} for _ in rows]
        for segment in each.segments:
            source, pieces, depth = segment.source, segment.pieces, self.depth(segment)
            entering = [self._entering(each.segments, segment, b, v) for b in rows]
            made = multiply(self.code, self.shape, self.held(segment), entering, depth, weights, len(pieces))
            by_key = {n.key: n for n in self._leaves(segment)}
            leaves = [by_key[(piece,) if source == "x" else (int(source), piece)] for piece in pieces]
            for known, vectors in zip(found, made, strict=True):
                known |= zip(leaves, vectors, strict=True)
            weights = self.code.at(weights, self._bytes(segment))
        return found

    def _leaves(self, segment: Segment) -> Iterator[Node]:
        roots = [s.node for stage in self.schedule.stages for s in stage.stores]
        roots += [n for stage in self.schedule.stages for nodes in stage.sums for n in nodes]
        for node in walk(roots):
            if node.op == ("x" if segment.source == "x" else "u"):
                yield node

    def _sums(self, at: int, stage: Stage, b: Value) -> None:
        code, shape = self.code, self.shape
        slots = {node: slot for slot, node in enumerate(self.schedule.rows)}
        for number, nodes in enumerate(stage.sums):
            row = RowValues(self, at, b, {n for later in stage.sums[number:] for n in later})
            kinds = {node: Reduction(node.op, shape) for node in nodes}
            totals = {node: code.slot(shape.vector) for node in nodes}
            for node in nodes:
                row.prepare(node.args[0])
                code.builder.store(kinds[node].nothing, totals[node])
            for space in self.plan.program.spaces:
                if not (here := [n for n in nodes if n.args[0].space == space]):
                    continue
                with code.loop(0, self.blocks(space)) as v:
                    mask = shape.mask(code, code.sub(self.unit_count(space), code.mul(v, shape.lanes)))
                    block = BlockValues(row, v)
                    for node in here:
                        value = code.builder.select(mask, block.value(node.args[0]), kinds[node].nothing)
                        total = code.builder.load(totals[node], typ=shape.vector)
                        code.builder.store(kinds[node].joined(code, total, value), totals[node])
            for node in nodes:
                result = kinds[node].number(code, code.builder.load(totals[node], typ=shape.vector))
                code.store(result, self.sum_of(slots[node], b), shape.bytes)
