"""One step of one row for a whole stack of layers, in machine code: what a live service calls for every sample.

Such a step is bound by reading the weights, so they lie in the very order in which they are read: for each block of units the
columns of all its gates, `[block][k][gate][lane]`, what the input multiplies first and the state's next. The sums of a block
stay in registers, and what its units compute follows at once; threads have blocks of their own and meet only where a product
needs values that the same step computed.

Every second step goes through the blocks backwards. Where the weights are larger than a core's second cache, what the last
step read at its end is still there; going round in a circle would find nothing.

Sums over units (layer norm) need all of a product at once. There, and where a value is used in several stages, a product's result
goes through memory. A *pass* is one walk over the blocks of units: the products that it makes, and what follows from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from llvmlite import ir

from ostinato.kernels.compiler.graph import MOVES, Node, name_of, number_of, piece_of, walk
from ostinato.kernels.compiler.plan import SINGLE, Plan, Stage, Store
from ostinato.kernels.cpu.code.builder import I32, POINTER, Code, Value
from ostinato.kernels.cpu.code.emit import BlockValues, RowValues, moved
from ostinato.kernels.cpu.code.loops import Fields
from ostinato.kernels.cpu.code.product import Shape
from ostinato.kernels.cpu.code.reduction import Reduction
from ostinato.kernels.cpu.code.vector import Lanes
from ostinato.kernels.cpu.stream.held import Entering, Exact, held_as
from ostinato.kernels.cpu.stream.multiply import block_bytes, multiply
from ostinato.kernels.cpu.stream.record import HEADER, NAME, START, THREADS

MOST = 16  # accumulators: more would not leave registers for what is multiplied


@dataclass(frozen=True)
class Segment:
    """Products of one vector with several blocks of rows, which are read together.

    Attributes:
        source: "x", or the number of a product.
        pieces: gates of the input's product, or pieces of the other.
    """

    source: str
    pieces: tuple[int, ...]


@dataclass(frozen=True)
class StreamPass:
    """One walk over the blocks of units.

    Attributes:
        stage: of the schedule.
        space: of the units.
        segments: what is multiplied, in order.
        stores: what follows, by the places in the stage's list.
        sums: whether it comes before the sums of its stage, else after them.
    """

    stage: int
    space: str
    segments: tuple[Segment, ...]
    stores: tuple[int, ...]
    sums: bool


@dataclass
class Passes:
    """All passes of a step, and which products go through memory.

    Attributes:
        all: in order.
        kept: for each space, the leaves that are kept for a later pass, by slot.
    """

    all: list[StreamPass] = field(default_factory=list)
    kept: dict[str, list[Node]] = field(default_factory=dict)


def passes(plan: Plan, letters: Mapping[str, str]) -> Passes:
    """Cut the inference schedule into passes. A product is made where it is first used."""
    schedule, made = plan.inference, Passes(kept={space: [] for space in plan.program.spaces})

    def leaves(roots: Sequence[Node], at: int) -> dict[Node, None]:
        found = walk(roots, lambda n: n in schedule.found and schedule.made[n] <= at)
        return {n: None for n in found if n.op in ("x", "u")}

    uses: dict[Node, list[tuple[int, bool]]] = {}
    for at, stage in enumerate(schedule.stages):
        for before_sums in (True, False):
            roots = (
                [n.args[0] for nodes in stage.sums for n in nodes] if before_sums else [s.node for s in stage.stores]
            )
            for leaf in leaves(roots, at):
                uses.setdefault(leaf, []).append((at, before_sums))
    for leaf, where in uses.items():
        if len(where) > 1 or where[0][1]:
            made.kept[leaf.space].append(leaf)
    for at, stage in enumerate(schedule.stages):
        for before_sums in (True, False):
            for space in plan.program.spaces:
                first = [n for n, where in uses.items() if where[0] == (at, before_sums) and n.space == space]
                stores = [n for n, s in enumerate(stage.stores) if _target(plan, s, letters) == space]
                if first or (stores and not before_sums):
                    segments = tuple(_segments(first))
                    made.all.append(StreamPass(at, space, segments, () if before_sums else tuple(stores), before_sums))
            if before_sums and stage.sums and not any(p.stage == at and p.sums for p in made.all):
                made.all.append(StreamPass(at, "H", (), (), True))
    return made


def _segments(leaves: Sequence[Node]) -> Iterator[Segment]:
    by_source: dict[str, list[int]] = {}
    for leaf in leaves:
        source, piece = ("x", number_of(leaf)) if leaf.op == "x" else (str(number_of(leaf)), piece_of(leaf))
        by_source.setdefault(source, []).append(piece)
    for source, pieces in sorted(by_source.items(), key=lambda item: (item[0] != "x", item[0])):
        pieces.sort()
        for start in range(0, len(pieces), MOST // 2):
            yield Segment(source, tuple(pieces[start : start + MOST // 2]))


def _target(plan: Plan, store: Store, letters: Mapping[str, str]) -> str:
    """The space that a store writes in."""
    kind, name = store.to
    if kind == "state":
        return letters[str(name)]
    if kind == "enters":
        return plan.program.products[int(name)].entered
    return "H" if store.node.space in SINGLE else store.node.space


class StreamStep:
    """Writes the function: `void stream(fields, thread, threads)`.

    The fields are `HEADER`, then one record for each layer with the numbers and addresses of `fields`, all 64 bits. What lies
    behind an address is filled up to whole vectors of units, except `x` and `output`.

    Args:
        module: where it goes.
        plan: of the cell.
        shape: of the vectors.
        fields: filled with the names in a record.
        letters: the width of each state.
        dtype: in which the weights are held, see `held_as`.
    """

    def __init__(
        self,
        module: ir.Module,
        plan: Plan,
        shape: Shape,
        fields: Fields,
        letters: Mapping[str, str],
        dtype: torch.dtype | None,
    ) -> None:
        self.module, self.plan, self.shape, self.fields = module, plan, shape, fields
        self.letters, self.dtype = letters, dtype
        self.schedule = plan.inference
        self.lanes = Lanes(shape.lanes, shape.double)
        self.vector = shape.lanes * shape.bytes
        self.passes = passes(plan, letters)
        self.code = Code(module, "layer", "*record thread threads backwards meet *meeting", inline=True)
        self._fields: dict[str, Value] = {}

    def write(self) -> None:
        """Write it."""
        self._layer()
        code = self.code = Code(self.module, NAME, "*fields thread threads")
        header = {name: code.load(code.at(code.arg.fields, 8 * n)) for n, name in enumerate(HEADER)}
        meeting = code.builder.inttoptr(header["meeting"], POINTER)
        with code.loop(0, header["layers"]) as layer:
            with code.when(code.is_(layer, ">", 0)):
                code.jump(header["meet"], meeting, code.arg.threads)
            record = code.at(code.arg.fields, 8 * len(HEADER), code.mul(layer, header["record_bytes"]))
            arguments = [record, code.arg.thread, code.arg.threads, header["backwards"], header["meet"], meeting]
            code.builder.call(self.module.globals["layer"], arguments)
        code.end()
        self._start()

    def _start(self) -> None:
        """Write `void start(call)`, which has one argument because each costs its caller in Python as much as 50 ns.

        The call is what `region` reads, then how many threads, the region, and OpenMP's door.
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
        code.end()

    # fields

    def __getitem__(self, name: str) -> Value:
        """A field as a number; read once, at the beginning."""
        if name not in self._fields:
            here, self.code.builder = self.code.builder, self.code.entry
            self._fields[name] = self.code.load(self.code.at(self.code.arg.record, 8 * self.fields.index(name)))
            self.code.builder = here
        return self._fields[name]

    def address(self, name: str) -> Value:
        """A field as an address."""
        return self.code.builder.inttoptr(self[name], POINTER)

    def blocks(self, space: str) -> Value:
        """Vectors of units in a space."""
        return self.code.ceil_div(self[space], self.shape.lanes)

    def unit_count(self, size: str) -> Value:
        """How many units a space has, by its letter."""
        return self[size]

    def number(self, node: Node, b: Value) -> Value:
        """A value that is the same for all units: a sum over them, say."""
        code, (kind, slot) = self.code, self.schedule.found[node]
        sums = code.at(self.address("sums"), int(slot) * self.shape.bytes) if kind == "sum" else None
        return code.load(sums or self._place(node, code.int(0)), self.shape.scalar, self.shape.bytes)

    def load(self, node: Node, b: Value, v: Value, mask: Value | None) -> Value:
        """A vector of a value that varies over units; all memory but `x` is filled up to whole vectors."""
        if node.op == "input" and name_of(node) == "x":
            code = self.code
            mask = self.shape.mask(code, code.sub(self["I"], code.mul(v, self.shape.lanes)))
            return self.shape.load(code, self._place(node, v), mask)
        if node.op in MOVES:
            count = self.schedule.scratch[node.space]
            _, slot = self.schedule.found[node]
            row = self.slot("scratch", node.space, count, int(slot), self.code.int(0))
            return moved(self.code, self.shape, node, row, count, v, self[node.space])
        return self.shape.load(self.code, self._place(node, v))

    def _place(self, node: Node, v: Value) -> Value:
        code, (kind, slot) = self.code, self.schedule.found[node]
        plain = code.mul(v, self.vector)
        if node.op in ("x", "u"):
            return self.kept(node, v)
        match kind:
            case "state":
                return code.at(self.address(f"old_{name_of(node)}"), plain)
            case "new" | "enters":
                return code.at(self.address(f"{kind}_{slot}"), plain)
            case "mask":
                return code.at(self.address(f"mask_{name_of(node)}"), plain)
            case "input":
                return code.at(self._given(name_of(node)), plain)
            case "parameter":
                if node.space == "one":
                    return self.address(f"parameter_{name_of(node)}")
                units = code.mul(self.blocks(node.space), self.vector)
                return code.at(self.address(f"parameter_{name_of(node)}"), code.mul(units, piece_of(node)), plain)
            case "scratch":
                return self.slot("scratch", node.space, self.schedule.scratch[node.space], int(slot), v)
        raise AssertionError(kind)

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
                with code.when(code.is_(code.arg.thread, "==", 0)):
                    self._sums(each.stage, stage)
                self.meet()
        code.end()

    def _is_fresh(self, product: int) -> bool:
        return self.plan.program.products[product].enters.op not in ("state", "input")

    def _given(self, name: str) -> Value:
        """Where the input, "x", or an extra lies."""
        return self.address("x" if name == "x" else f"extra_{name}")

    def _walk(self, number: int, each: StreamPass, stage: Stage) -> None:
        code, arg = self.code, self.code.arg
        total = self.blocks(each.space)
        begin = code.div(code.mul(total, arg.thread), arg.threads)
        end = code.div(code.mul(total, code.add(arg.thread, 1)), arg.threads)
        stores = [stage.stores[n] for n in each.stores]
        row = RowValues(self, each.stage, code.int(0))
        for store in stores:
            row.prepare(store.node)
        bytes_of_block = code.add(*(self._bytes(s) for s in each.segments)) if each.segments else code.int(0)
        entering = self._entering(each.segments)
        with code.loop(begin, end) as i:
            mirrored = code.sub(code.sub(code.add(begin, end), 1), i)
            v = code.choose(code.is_(arg.backwards, "!=", 0), mirrored, i)
            block = BlockValues(row, v)
            if each.segments:
                weights = code.at(self.address(f"weights_{number}"), code.mul(v, bytes_of_block))
                for segment in each.segments:
                    block.known |= self._multiply(segment, entering[segment.source], weights, v)
                    weights = code.at(weights, self._bytes(segment))
            for leaf, value in block.known.items():
                if leaf in self.passes.kept[each.space]:
                    self.shape.store(code, value, self.kept(leaf, v))
            values = [block.value(store.node) for store in stores]
            for store, value in zip(stores, values, strict=True):
                self._store(store, each.space, v, value)

    def _held(self, segment: Segment) -> Exact:
        """How its weights lie in memory."""
        products = self.plan.program.products
        return held_as(self.dtype, 1 if segment.source == "x" else products[int(segment.source)].heads)

    def _depth(self, segment: Segment) -> Value:
        if segment.source == "x":
            return self["I"]
        product = self.plan.program.products[int(segment.source)]
        return self[product.entered] if product.heads == 1 else self[f"depth_{segment.source}"]

    def _bytes(self, segment: Segment) -> Value:
        """Of a segment's weights in one block, and of what follows them."""
        return block_bytes(self.code, self.shape, self._held(segment), self._depth(segment), len(segment.pieces))

    def _entering(self, segments: Sequence[Segment]) -> dict[str, Entering]:
        """What each of some sources is, ready to be multiplied."""
        found: dict[str, Entering] = {}
        code = self.code
        for segment in segments:
            if (source := segment.source) not in found:
                room = code.int(0)
                if (held := self._held(segment)).fills:
                    sources = max(len({s.source for s in p.segments}) for p in self.passes.all)
                    place = code.add(code.mul(code.arg.thread, sources), len(found))
                    room = code.at(self.address("entering"), code.mul(place, self["entering_bytes"]))
                found[source] = held.enter(code, self.shape, self._source(source), self._depth(segment), room)
        return found

    def _source(self, source: str) -> Value:
        """Where what is multiplied lies."""
        if source == "x":
            return self.address("x")
        enters = self.plan.program.products[int(source)].enters
        match enters.op:
            case "state":
                return self.address(f"old_{name_of(enters)}")
            case "input":
                return self._given(name_of(enters))
            case _:
                return self.address(f"enters_{source}")

    def _multiply(self, segment: Segment, entering: Entering, weights: Value, v: Value) -> dict[Node, Value]:
        """The products of one block: for each leaf a vector. With heads, of the units of those that share the block."""
        code, source = self.code, segment.source
        if source != "x" and self.plan.program.products[int(source)].heads > 1:
            which = code.div(v, self[f"shared_{source}"])
            at = code.at(entering.address, code.mul(which, self._depth(segment), self.shape.bytes))
            entering = Entering(at, entering.unit)
        held, depth, pieces = self._held(segment), self._depth(segment), segment.pieces
        found = multiply(code, self.shape, held, entering, depth, weights, len(pieces))
        by_key = {n.key: n for n in self._leaves(segment)}
        keys = [(piece,) if source == "x" else (int(source), piece) for piece in pieces]
        return {by_key[key]: v for key, v in zip(keys, found, strict=True)}

    def _leaves(self, segment: Segment) -> Iterator[Node]:
        roots = [s.node for stage in self.schedule.stages for s in stage.stores]
        roots += [n for stage in self.schedule.stages for nodes in stage.sums for n in nodes]
        for node in walk(roots):
            if node.op == ("x" if segment.source == "x" else "u"):
                yield node

    def _store(self, store: Store, space: str, v: Value, value: Value) -> None:
        code, shape, (kind, name) = self.code, self.shape, store.to
        place = code.mul(v, self.vector)
        if kind == "scratch":
            shape.store(code, value, self.slot("scratch", space, self.schedule.scratch[space], int(name), v))
            return
        shape.store(code, value, code.at(self.address(f"{'new' if kind == 'state' else kind}_{name}"), place))
        if kind == "state" and name == next(iter(self.letters)):
            # What the user sees, or what the next layer does where the two are not the same.
            with code.when(code.is_(self["output"], "!=", 0)):
                mask = shape.mask(code, code.sub(self.unit_count(space), code.mul(v, shape.lanes)))
                shown = code.slot(shape.vector)
                code.builder.store(value, shown)
                with code.when(code.is_(self["residual"], "!=", 0)):
                    below = shape.load(code, code.at(self.address("residual"), place), mask)
                    code.builder.store(code.builder.fadd(value, below), shown)
                shown = code.builder.load(shown, typ=shape.vector)
                shape.store(code, shown, code.at(self.address("output"), place), mask)

    def slot(self, what: str, space: str, count: int, slot: int, v: Value) -> Value:
        """The address of a vector in `[block][slot][lane]`."""
        return self.code.at(self.address(f"{what}_{space}"), self.code.mul(v, count * self.vector), slot * self.vector)

    def kept(self, leaf: Node, v: Value) -> Value:
        """Where a product's result is kept."""
        all = self.passes.kept[leaf.space]
        return self.slot("kept", leaf.space, len(all), all.index(leaf), v)

    def _sums(self, at: int, stage: Stage) -> None:
        code, shape = self.code, self.shape
        slots = {node: slot for slot, node in enumerate(self.schedule.rows)}
        for number, nodes in enumerate(stage.sums):
            row = RowValues(self, at, code.int(0), {n for later in stage.sums[number:] for n in later})
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
                code.store(result, code.at(self.address("sums"), slots[node] * shape.bytes), shape.bytes)
