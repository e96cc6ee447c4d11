"""Where in memory a program finds its own rows and units.

A memory holds rows of numbers for each time step, `(T, B, slots, units)`; or, if they are not read later, for this step and the one
before, `(2, B, slots, units)`: with two used in turn, another program that is one step ahead writes nothing that is still read.
States have `T + 1` *positions*: step t goes from position t to t + 1, or in reverse from t + 1 to t.

`reverse` and the lengths of rows are arguments of the kernel. A row that has ended keeps its states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ostinato.kernels.compiler.graph import MOVES, Node, name_of, number_of, piece_of
from ostinato.kernels.compiler.plan import Plan
from ostinato.kernels.compiler.schedule import Schedule
from ostinato.kernels.compiler.slots import GradientSlots
from ostinato.kernels.gpu.code.writer import Writer

SINGLE = ("row", "one")


@dataclass(frozen=True)
class Place:
    """The rows of a program in one memory and time step.

    Attributes:
        base: the pointers to the first unit of each of its rows.
        space: the space of the units; "1" for one number for each row.
        alive: whether only rows that have this time step hold numbers there.
    """

    base: str
    space: str
    alive: bool


def saved_slots(plan: Plan) -> dict[str, int]:
    """For each space, how many values the forward pass saves."""
    stores = [store for stage in plan.training.stages for store in stage.stores]
    kept = [(store.node.space, int(store.to[1])) for store in stores if store.to[0] == "saved"]
    return {space: max((slot + 1 for at, slot in kept if at == space), default=0) for space in plan.program.spaces}


def gradient_slots(plan: Plan) -> dict[str, tuple[int, int]]:
    """For each space, the first slot of the gradients and how many there are; on a GPU they have a memory of their own."""
    stores = [store for stage in plan.backward.stages for store in stage.stores]
    kept = [(store.space, int(store.to[1])) for store in stores if store.to[0] == "gradient"]
    found: dict[str, tuple[int, int]] = {}
    for space in plan.program.spaces:
        slots = [slot for at, slot in kept if at == space]
        found[space] = (min(slots), max(slots) - min(slots) + 1) if slots else (0, 0)
    return found


class Memory:
    """The memories of one part, by the names under which the host passes them.

    Args:
        plan: the plan of the step.
        schedule: the schedule of the part.
        is_forward: whether it is the forward pass.
        with_lengths: whether rows may end before the last step.
        low: the states that are stored a second time, in the dtype of the matrices, for the products that they enter.

    Attributes:
        used: the names of the pointers and numbers that the code uses.
        kept: the products, ("u" or "dv", number), that are loaded in another phase than the one that computes them.
    """

    def __init__(
        self, plan: Plan, schedule: Schedule, *, is_forward: bool, with_lengths: bool, low: tuple[str, ...]
    ) -> None:
        self.plan, self.schedule, self.is_forward, self.with_lengths = plan, schedule, is_forward, with_lengths
        self.low = low
        self.used: dict[str, None] = {}
        self.kept: set[tuple[str, int]] = set()
        self.saved, self.gradients = saved_slots(plan), gradient_slots(plan)

    def pointer(self, name: str) -> str:
        """Note that the code uses `name`, which the host is to pass; gives the name."""
        self.used[name] = None
        return name

    # for a function that is being written

    def begin(self, writer: Writer) -> None:
        """Write the lines with which every phase begins."""
        writer.line("rows = (tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B))[:, None]")
        writer.line("cols = (tl.program_id(0) * BLOCK_U + tl.arange(0, BLOCK_U))[None, :]")

    def here(self, writer: Writer) -> str:
        """The mask of the rows that exist."""
        return writer.shared("rows < B", "here")

    def alive(self, writer: Writer) -> str:
        """The mask of the rows that have this time step."""
        here = self.here(writer)
        if not self.with_lengths:
            return here
        ends = writer.shared(f"tl.load({self.pointer('lengths')} + rows, mask={here}, other=0)", "ends")
        return writer.shared(f"{here} & (t < {ends})", "alive")

    def inside(self, writer: Writer, place: Place, columns: str = "cols") -> str:
        """The mask of the rows and units of a place that exist."""
        rows = self.alive(writer) if place.alive else self.here(writer)
        return rows if place.space == "1" else writer.shared(f"{rows} & ({columns} < n_{place.space})", "inside")

    def load(self, writer: Writer, place: Place, columns: str = "cols") -> str:
        """Write a load of the numbers of a place; zero where there are none."""
        at = place.base if place.space == "1" else f"{place.base} + {columns}"
        # Not through the L1 cache, which may still hold a sector from when only a part of it had been written.
        mask = self.inside(writer, place) if columns == "cols" else self.inside(writer, Place("", "1", place.alive))
        return writer.new(f'tl.load({at}, mask={mask}, other=0.0, cache_modifier=".cg").to(ACC)')

    def store(self, writer: Writer, place: Place, value: str) -> None:
        """Write a store of numbers to a place. One number for each row is stored by every program; all store the same."""
        at = place.base if place.space == "1" else f"{place.base} + cols"
        writer.line(f"tl.store({at}, {value}, mask={self.inside(writer, Place('', place.space, False))})")

    # places

    def _row(self, writer: Writer, slots: int, slot: int, space: str) -> str:
        width = "1" if space == "1" else f"n_{space}"
        row = writer.shared(f"rows * ({slots} * {width})" if slots > 1 else f"rows * {width}", "row")
        return f"{row} + {slot} * {width}" if slot else row

    def _at(self, writer: Writer, name: str, step: str, slots: int, slot: int, space: str, alive: bool) -> Place:
        size = f"{slots} * n_{space}" if space != "1" else str(slots)
        offset = writer.shared(f"{step} * (B * ({size}))", "step")
        return Place(f"{self.pointer(name)} + {offset} + {self._row(writer, slots, slot, space)}", space, alive)

    def letter(self, name: str) -> str:
        """The width of a state, or of an input."""
        return self.plan.program.letters[name]

    def state(self, writer: Writer, name: str, new: bool, low: bool = False) -> Place:
        """A state before or after this step."""
        position = "(t + 1 - reverse)" if new else "(t + reverse)"
        return self._at(writer, f"{'low' if low else 'state'}_{name}", position, 1, 0, self.letter(name), False)

    def carry(self, writer: Writer, name: str, new: bool) -> Place:
        """The gradient of a state that passes from step to step: what this step reads, or what it writes (`new`)."""
        step = "((step + 1) % 2)" if new else "(step % 2)"
        return self._at(writer, f"carry_{name}", step, 1, 0, self.letter(name), False)

    def outside(self, writer: Writer, name: str) -> Place:
        """The gradient of a state's output, from outside."""
        return self._strided(writer, f"outside_{name}", self.letter(name))

    def _strided(self, writer: Writer, name: str, space: str) -> Place:
        """A place in a memory with strides of its own: all steps, or all rows, may share the same numbers."""
        p = self.pointer
        offset = writer.shared(f"t * {p(f'{name}_t')}", "step")
        row = writer.shared(f"rows * {p(f'{name}_b')}", "row")
        return Place(f"{p(name)} + {offset} + {row}", space, True)

    def enters(self, writer: Writer, product: int) -> Place:
        """A computed value that enters a product."""
        space = self.plan.program.products[product].entered
        return self._at(writer, f"enters_{product}", "t", 1, 0, space, True)

    def slot(self, writer: Writer, kind: str, slot: int, space: str) -> Place:
        """A slot of the memory `kind`: "saved", "gradient" or "scratch"."""
        if kind == "scratch":
            count = self.schedule.scratch[space]
            return self._at(writer, f"scratch_{space}", "(step % 2)", count, slot, space, False)
        if kind == "saved":
            return self._at(writer, f"saved_{space}", "t", self.saved[space], slot, space, True)
        first, count = self.gradients[space]
        return self._at(writer, f"gradient_{space}", "t", count, slot - first, space, True)

    def input_gradient(self, writer: Writer, name: str) -> Place:
        """The part of the gradient of an input that the time loop writes."""
        return self._at(writer, f"dinput_{name}", "t", 1, 0, self.letter(name), True)

    def product(self, writer: Writer, kind: str, number: int, piece: int) -> Place:
        """The result of a product ("u"), or the gradient of what entered it ("dv")."""
        product = self.plan.program.products[number]
        if kind == "u" and product.is_of_input:  # computed for all time steps before
            return self._at(writer, f"u_{number}", "t", product.pieces, piece, product.space, True)
        self.kept.add((kind, number))
        pieces, space = (product.pieces, product.space) if kind == "u" else (1, product.entered)
        return self._at(writer, f"{kind}_{number}", "(step % 2)", pieces, piece, space, False)

    def of_leaf(self, writer: Writer, node: Node, kind: str, what: str | int) -> Place:
        """The place of a value that the schedule finds in memory."""
        space = "1" if node.space == "row" else node.space
        match kind:
            case "x":
                return self._at(writer, "x", "t", len(self.plan.program.dx), number_of(node), "H", True)
            case "u" | "dv":
                return self.product(writer, kind, number_of(node), piece_of(node) if kind == "u" else 0)
            case "state":
                return self.state(writer, name_of(node), new=False)
            case "new":
                return self.state(writer, str(what), new=True)
            case "enters":
                return self.enters(writer, int(what))
            case "saved" | "scratch":
                return self.slot(writer, kind, int(what), space)
            case "mask":
                return self._strided(writer, f"mask_{name_of(node)}", space)
            case "input":
                return self._strided(writer, f"input_{name_of(node)}", space)
            case _ if kind in MOVES:
                return self.slot(writer, "scratch", int(what), space)
        raise AssertionError(kind)

    def target(self, writer: Writer, to: tuple[str, str | int], space: str) -> Place:
        """The place to which a store of the plan writes."""
        kind, what = to
        match kind:
            case "state":
                return self.state(writer, str(what), new=True)
            case "enters":
                return self.enters(writer, int(what))
            case "carry":
                return self.carry(writer, str(what), new=True)
            case "input":
                return self.input_gradient(writer, str(what))
            case _:
                return self.slot(writer, kind, int(what), space)

    # what enters a product

    def operand(self, writer: Writer, number: int) -> tuple[str, str, str]:
        """What enters a product in a step: the pointer to its rows, the numbers from row to row, and the first number in a row.

        In the backward pass, the gradient of the product's result enters.
        """
        product = self.plan.program.products[number]
        if not self.is_forward:
            slots = self.plan.du[number]
            first, count = self.gradients[slots.space]
            row = f"({count} * n_{slots.space})"
            offset = writer.shared(f"t * (B * {row})", "step")
            skipped = slots.first - first
            base = f"{self.pointer(f'gradient_{slots.space}')} + {offset}"
            return base, row, f"{skipped} * n_{slots.space}" if skipped else "0"
        row = f"n_{product.entered}"
        if product.enters.op == "state":
            name = name_of(product.enters)
            base = self.pointer(f"{'low' if name in self.low else 'state'}_{name}")
            return f"{base} + {writer.shared(f'(t + reverse) * (B * {row})', 'step')}", row, "0"
        if product.enters.op == "input":
            name = f"input_{name_of(product.enters)}"
            offset = writer.shared(f"t * {self.pointer(f'{name}_t')}", "step")
            return f"{self.pointer(name)} + {offset}", self.pointer(f"{name}_b"), "0"
        return f"{self.pointer(f'enters_{number}')} + {writer.shared(f't * (B * {row})', 'step')}", row, "0"


def matrix_rows(plan: Plan, number: int, widths: Mapping[str, int]) -> tuple[tuple[int, ...], int]:
    """The blocks of rows of a product's matrix, one for each piece, and the number of rows of a block."""
    product = plan.program.products[number]
    return (product.gates, widths["H"]) if product.gates else ((0,), widths[product.space])


def slots_of(plan: Plan, number: int | None) -> GradientSlots:
    """The gradient slots of a product; None for `W_ih x`."""
    return plan.dx if number is None else plan.du[number]
