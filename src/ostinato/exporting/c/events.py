"""The order of a step in C: matrix products, loops over units, and the places of temporary arrays in memory.

A loop computes, unit by unit, sums over the units or values to store. A matrix product that only one loop needs is
computed in that loop, one row of the matrix for each unit. A product that several loops need is computed before the
first, into an array of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ostinato.exporting.c.step import Room
from ostinato.kernels.compiler.graph import MOVES, Node, name_of, number_of, piece_of, walk
from ostinato.kernels.compiler.program import Program
from ostinato.kernels.compiler.schedule import SINGLE, Schedule, Store

X = -1  # stands for the product of the input; other products have their number in the program


@dataclass(frozen=True)
class Result:
    """A result of a loop.

    Attributes:
        node: the value.
        to: where it is stored: `("sum", slot)`, `("state", name)`, `("enters", product)` or `("scratch", slot)`.
    """

    node: Node
    to: tuple[str, str | int]


@dataclass(eq=False)
class Loop:
    """One loop over units.

    Attributes:
        stage: the number of the schedule's stage.
        width: the number of units.
        results: the results of the loop.
        nodes: the values that the results are computed from, arguments first, down to those that are in memory.
    """

    stage: int
    width: int
    results: tuple[Result, ...]
    nodes: tuple[Node, ...]


@dataclass(eq=False)
class Multiply:
    """A matrix product that is computed before a loop.

    Attributes:
        product: its number in the program, or `X`.
        pieces: the pieces that are stored in memory, in order.
    """

    product: int
    pieces: tuple[int, ...]


@dataclass
class NewState:
    """When a new state replaces the old one.

    Attributes:
        stored: the event that computes the new state.
        copied: the event after which it is copied over the old state, if that is needed until then; None if it is
            written directly.
    """

    stored: int
    copied: int | None = None


@dataclass
class Events:
    """The events of a step in order.

    Args:
        program: the program of the step.
        schedule: the schedule of the program's forward pass.
        sizes: the number for each letter of a size.

    Attributes:
        all: the events.
        kept: for each (product, piece) that is stored in memory, its place in the product's array.
        entering: for each product the first product that the same value enters.
        new: the states that a step changes.
        rooms: the temporary arrays by name.
    """

    program: Program
    schedule: Schedule
    sizes: Mapping[str, int]
    all: list[Loop | Multiply] = field(default_factory=list[Loop | Multiply])
    kept: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    entering: dict[int, int] = field(default_factory=dict[int, int])
    new: dict[str, NewState] = field(default_factory=dict[str, NewState])
    rooms: dict[str, Room] = field(default_factory=dict[str, Room])

    def __post_init__(self) -> None:
        seen: dict[Node, int] = {}
        self.entering = {k: seen.setdefault(p.enters, k) for k, p in enumerate(self.program.products)}
        loops = list(self._loops())
        self._keep(loops)
        self._place()

    # loops

    def is_loaded(self, node: Node, stage: int) -> bool:
        """Whether a value is stored in memory at a stage, or comes from outside."""
        return node in self.schedule.found and self.schedule.made[node] <= stage

    def _loops(self) -> Iterator[Loop]:
        for at, stage in enumerate(self.schedule.stages):
            for sums in stage.sums:
                for space in dict.fromkeys(node.args[0].space for node in sums):
                    here = [n for n in sums if n.args[0].space == space]
                    slots = [("sum", self.schedule.rows.index(n)) for n in here]
                    results = [Result(n.args[0], to) for n, to in zip(here, slots, strict=True)]
                    yield self._loop(at, self.sizes[space], results)
            stores = [store for store in stage.stores if not self._is_needless(store)]
            for width in dict.fromkeys(self.width(store.node, store.to) for store in stores):
                here = [store for store in stores if self.width(store.node, store.to) == width]
                yield self._loop(at, width, [Result(store.node, store.to) for store in here])

    def _loop(self, at: int, width: int, results: Sequence[Result]) -> Loop:
        nodes = walk([r.node for r in results], lambda n: self.is_loaded(n, at))
        return Loop(at, width, tuple(results), tuple(nodes))

    def _is_needless(self, store: Store) -> bool:
        kind, what = store.to
        if kind == "enters":
            return self.entering[int(what)] != what
        return kind == "state" and store.node.op == "state" and name_of(store.node) == what

    def width(self, node: Node, to: tuple[str, str | int]) -> int:
        """Return how many numbers a store writes."""
        kind, what = to
        if kind == "state":
            return self.sizes[self.program.letters[str(what)]]
        if kind == "enters":
            return self.sizes[self.program.products[int(what)].entered]
        return self.sizes[node.space]

    def _keep(self, loops: Sequence[Loop]) -> None:
        """Put each product that several loops need before the first of these loops."""
        used: dict[Node, list[int]] = {}
        for number, loop in enumerate(loops):
            for leaf in (n for n in loop.nodes if n.op in ("x", "u")):
                used.setdefault(leaf, []).append(number)
        before: dict[int, dict[int, list[int]]] = {}
        for leaf, where in used.items():
            if len(where) > 1:
                product, piece = product_of(leaf)
                before.setdefault(where[0], {}).setdefault(product, []).append(piece)
        for number, loop in enumerate(loops):
            for product, pieces in sorted(before.get(number, {}).items()):
                place = len([p for p, _ in self.kept if p == product])
                self.kept |= {(product, piece): place + n for n, piece in enumerate(sorted(pieces))}
                self.all.append(Multiply(product, tuple(sorted(pieces))))
            self.all.append(loop)

    # memory

    def _place(self) -> None:
        last_read: dict[str, int] = {}  # the last event that reads an old state
        last_read_elsewhere: dict[str, int] = {}  # the last that reads it at other units than the loop's own
        for at, event in enumerate(self.all):
            for name, is_elsewhere in self._states_read(event):
                last_read[name] = at
                if is_elsewhere:
                    last_read_elsewhere[name] = at
            if isinstance(event, Multiply):
                count, space = len([p for p, _ in self.kept if p == event.product]), self.space(event.product)
                self._need(self.kept_name(event.product), count * self.sizes[space], at)
            else:
                for kind, what in (r.to for r in event.results):
                    if kind == "state":
                        self.new[str(what)] = NewState(at)
            for name, size in self._arrays(event):
                self._need(name, size, at)
        for name, new in self.new.items():
            read, elsewhere = last_read.get(name, -1), last_read_elsewhere.get(name, -1)
            if read > new.stored or elsewhere >= new.stored:
                new.copied = max(read, new.stored)
                size = self.sizes[self.program.letters[name]]
                self._need(f"new_{name}", size, new.stored)
                self._need(f"new_{name}", size, new.copied)

    def _need(self, name: str, size: int, at: int) -> None:
        if name in self.rooms:
            self.rooms[name].last = at
        else:
            self.rooms[name] = Room(name, size, at, at)

    def _states_read(self, event: Loop | Multiply) -> Iterator[tuple[str, bool]]:
        """Yield the old states that an event reads, and whether it reads them at other units than the loop's own."""
        products = [event.product] if isinstance(event, Multiply) else []
        if isinstance(event, Loop):
            for node in event.nodes:
                if node.op == "state":
                    yield name_of(node), False
                elif node.op in ("x", "u") and product_of(node) not in self.kept:
                    products.append(product_of(node)[0])
        for product in products:
            if product != X and (enters := self.program.products[product].enters).op == "state":
                yield name_of(enters), True

    def _arrays(self, event: Loop | Multiply) -> Iterator[tuple[str, int]]:
        """Yield the temporary arrays that an event reads or writes, with their sizes; new states are left out."""
        products = [event.product] if isinstance(event, Multiply) else []
        if isinstance(event, Loop):
            for node in event.nodes:
                if node.op in ("x", "u"):
                    product, piece = product_of(node)
                    if (product, piece) in self.kept:
                        count = len([p for p, _ in self.kept if p == product])
                        yield self.kept_name(product), count * self.sizes[self.space(product)]
                    else:
                        products.append(product)
                elif self.is_loaded(node, event.stage):
                    kind, what = self.schedule.found[node]
                    if kind == "scratch" or kind in MOVES:
                        yield self.scratch_name(node.space, int(what)), self.sizes[node.space]
                    elif kind == "enters":
                        yield self.enters_name(int(what)), self.sizes[self.program.products[int(what)].entered]
            for result in event.results:
                kind, what = result.to
                if kind == "scratch":
                    yield self.scratch_name(result.node.space, int(what)), self.sizes[result.node.space]
                elif kind == "enters":
                    yield self.enters_name(int(what)), self.width(result.node, result.to)
        for product in products:
            if product != X and self.program.products[product].enters.op not in ("state", "input"):
                yield self.enters_name(product), self.sizes[self.program.products[product].entered]

    # names

    def space(self, product: int) -> str:
        """Return the space of a product's pieces."""
        return "H" if product == X else self.program.products[product].space

    def kept_name(self, product: int) -> str:
        """Return the name of the array for a product's result."""
        return "wx" if product == X else f"u{product}"

    def enters_name(self, product: int) -> str:
        """Return the name of the array for the vector that enters a product."""
        return f"enters{self.entering[product]}"

    def scratch_name(self, space: str, slot: int) -> str:
        """Return the name of the array for a value that a later stage needs."""
        letters = list(self.program.spaces)
        return f"kept{letters.index(space)}_{slot}" if len(letters) > 1 else f"kept{slot}"


def product_of(leaf: Node) -> tuple[int, int]:
    """Return the product of a leaf "x" or "u", and which piece of the product the leaf is."""
    return (X, number_of(leaf)) if leaf.op == "x" else (number_of(leaf), piece_of(leaf))


def is_row(node: Node) -> bool:
    """Whether a value is the same for all units."""
    return node.space in SINGLE
