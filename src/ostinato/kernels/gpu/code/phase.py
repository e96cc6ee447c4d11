"""Writes one phase: products, sums, and what the units of a program compute; each value is loaded or computed once."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ostinato.kernels.compiler.graph import MOVES, REDUCTIONS, Node, name_of, number_of, parts_of, piece_of, walk
from ostinato.kernels.compiler.plan import Plan
from ostinato.kernels.compiler.schedule import Store
from ostinato.kernels.gpu.code.blocks import Blocks
from ostinato.kernels.gpu.code.memory import Memory, Place
from ostinato.kernels.gpu.code.operations import EXPRESSIONS, function_of
from ostinato.kernels.gpu.code.phases import Phase
from ostinato.kernels.gpu.code.product import of_stage
from ostinato.kernels.gpu.code.writer import Writer


def summed_outside(plan: Plan) -> Mapping[tuple[str, int], int]:
    """For each parameter (space, slot) whose gradient is a sum of gate gradients that are stored, as most biases', their slot."""
    stores = [store for stage in plan.backward.stages for store in stage.stores]
    gradients = {(s.space, s.node): int(s.to[1]) for s in stores if s.to[0] == "gradient"}
    parameters = [s for s in stores if s.to[0] == "parameter" and (s.space, s.node) in gradients]
    return {(s.space, int(s.to[1])): gradients[s.space, s.node] for s in parameters}


class PhaseText:
    """Writes one phase.

    Args:
        memory: the memories of the part.
        phase: the phase.
        widths: the number of units by letter.
        blocks: the tiles.
        writer: the writer of the function.

    Attributes:
        called: the names of the functions of the prelude that it calls.
    """

    def __init__(self, memory: Memory, phase: Phase, widths: Mapping[str, int], blocks: Blocks, writer: Writer) -> None:
        self._memory, self._phase, self._widths, self._blocks, self._w = memory, phase, widths, blocks, writer
        self._schedule, self._at = memory.schedule, phase.stage
        self._known: dict[Node, str] = {}
        self._products: dict[tuple[str, int, int], str] = {}  # results of the products of this phase
        self._outside = summed_outside(memory.plan)
        self.called: set[str] = set()

    def write(self) -> None:
        """Write the phase."""
        phase = self._phase
        for node in phase.totals:
            self._known[node] = self._total(node)
        if phase.is_last:
            stores = self._schedule.stages[self._at].stores
            for leaf in self._from_far([store.node for store in stores]):
                self.value(leaf)  # loaded before the products, so that it arrives while these are computed
            for product in of_stage(self._memory, self._at, self._widths, self._blocks):
                self._product(product.number, product.write(self._w))
            values = [self.value(store.node) for store in stores]
            for store, value in zip(stores, values, strict=True):
                self._store(store, value)
        for node in phase.partial:
            self._partial(node)
        if len(self._w.lines) == 2:
            self._w.line("pass")

    def _from_far(self, roots: list[Node]) -> list[Node]:
        """The leaves below these roots that are in memory and do not depend on other programs."""
        if not self._schedule.stages[self._at].products:
            return []
        below = walk(roots, lambda node: node in self._known or self._is_there(node))
        found = self._schedule.found
        return [n for n in below if self._is_there(n) and found[n][0] in _FROM_FAR and n not in self._known]

    # values

    def value(self, node: Node) -> str:
        """The name of a value, or the number itself."""
        if node not in self._known:
            self._known[node] = self._make(node)
        return self._known[node]

    def _is_there(self, node: Node) -> bool:
        """Whether a value is in memory when this phase begins."""
        schedule = self._schedule
        if node not in schedule.found or schedule.made[node] > self._at:
            return False
        return not (node.op in REDUCTIONS and schedule.made[node] == self._at and node in self._not_yet())

    def _not_yet(self) -> set[Node]:
        """The sums of this stage that are completed in this phase or later."""
        passes = self._schedule.stages[self._at].sums
        done: set[Node] = set()
        for nodes in passes:
            if tuple(nodes) == self._phase.totals:
                break
            done |= set(nodes)
        return {node for nodes in passes for node in nodes} - done

    def _make(self, node: Node) -> str:
        if node.op == "const":
            value, size, power = parts_of(node)
            return _literal(value if size is None else value * self._widths[size] ** power)
        if self._is_there(node):
            return self._load(node, *self._schedule.found[node])
        if node.op == "unit":
            return self._w.shared("cols.to(ACC)", "units")
        args = [self.value(arg) for arg in node.args]
        numbers = [self._alone(arg) if c.op == "const" else arg for arg, c in zip(args, node.args, strict=True)]
        # An operation on plain numbers alone would be in float32; together with a tensor they take its type.
        if all(arg.space == "one" for arg in node.args) or node.op in ("where", "copysign", "hypot", "fmod", "pow"):
            args = numbers
        if (name := function_of(node.op)) is not None:
            self.called.add(name)
        return self._w.new(EXPRESSIONS[node.op].format(*args))

    def _alone(self, number: str) -> str:
        return self._w.shared(f"tl.full((1, 1), {number}, ACC)", "number")

    def _load(self, node: Node, kind: str, what: str | int) -> str:
        memory, w = self._memory, self._w
        if kind in ("u", "dv"):
            made = self._products.get((kind, number_of(node), piece_of(node) if kind == "u" else 0))
            if made is not None:
                return made
        if kind in ("sum", "saved_sum"):
            place, count = self._sums(kind)
            here = memory.here(w)
            return w.new(f'tl.load({place} + rows * {count} + {what}, mask={here}, other=0.0, cache_modifier=".cg")')
        if kind == "parameter":
            base = memory.pointer(f"parameter_{name_of(node)}")
            if node.space == "one":
                return w.new(f"tl.load({base} + tl.zeros((1, 1), tl.int32)).to(ACC)")
            at = f"{base} + {piece_of(node)} * n_{node.space} + cols"
            inside = w.shared(f"cols < n_{node.space}", "units_inside")
            return w.new(f"tl.load({at}, mask={inside}, other=0.0).to(ACC)")
        if kind == "dstate":
            name = name_of(node)
            parts = [memory.load(w, at) for at in (memory.carry(w, name, new=False), memory.outside(w, name))]
            return w.new(" + ".join(parts))
        return memory.load(w, memory.of_leaf(w, node, kind, what), self._columns(node, kind))

    def _columns(self, node: Node, kind: str) -> str:
        """The units that are read: a program's own, or those whose values move to them."""
        if kind not in MOVES:
            return "cols"
        width = self._widths[node.space]
        if kind == "flip":
            return self._w.shared(f"tl.maximum({width - 1} - cols, 0)", "moved")
        return self._w.shared(f"(cols + {-number_of(node) % width}) % {width}", "moved")

    def _sums(self, kind: str) -> tuple[str, int]:
        """The memory of the complete sums of this step, and how many a row has."""
        memory = self._memory
        if memory.is_forward or kind == "saved_sum":
            count = memory.plan.rows if kind == "saved_sum" else len(self._schedule.rows)
            return f"{memory.pointer('sums')} + {self._w.shared(f't * (B * {count})', 'step')}", count
        count = len(self._schedule.rows)
        return f"{memory.pointer('late_sums')} + {self._w.shared(f'(step % 2) * (B * {count})', 'step')}", count

    # stores

    def _store(self, store: Store, value: str) -> None:
        kind, what = store.to
        space = self._space(store)
        if kind == "parameter":
            if (space, int(what)) not in self._outside:
                self._add_to_parameter(space, int(what), value)
            return
        if store.node.op == "const":
            value = self._alone(value)
        memory, w = self._memory, self._w
        if memory.with_lengths:
            value = self._of_living(kind, str(what), value)
        memory.store(w, memory.target(w, store.to, space), value)
        if kind == "state" and what in memory.low:
            memory.store(w, memory.state(w, str(what), new=True, low=True), value)

    def _of_living(self, kind: str, name: str, value: str) -> str:
        """The value for rows that have this step; for others the old state or gradient, which they keep, or zero."""
        memory, w = self._memory, self._w
        if kind == "scratch":
            return value
        other = "0.0"
        if kind in ("state", "carry"):
            old = memory.state(w, name, new=False) if kind == "state" else memory.carry(w, name, new=False)
            other = memory.load(w, old)
        return w.new(f"tl.where({memory.alive(w)}, {value}, {other})")

    def _space(self, store: Store) -> str:
        kind, what = store.to
        if kind in ("state", "carry", "input"):
            return self._memory.letter(str(what))
        if kind == "enters":
            return self._memory.plan.program.products[int(what)].entered
        return store.space or store.node.space

    def _add_to_parameter(self, space: str, slot: int, value: str) -> None:
        memory, w = self._memory, self._w
        count = len(memory.plan.parameters[space])
        base = f"{memory.pointer(f'dparameters_{space}')} + (tl.program_id(1) * {count} + {slot})"
        zero = self._alone("0.0")
        if space == "1":  # every program has the number, but only one adds it
            some = w.new(f"tl.where({memory.alive(w)}, {value}, {zero})")
            at, inside = f"{base} + tl.arange(0, 1)[None, :]", "tl.arange(0, 1)[None, :] + tl.program_id(0) < 1"
        else:
            alive = memory.inside(w, Place("", space, True))
            some = w.new(f"tl.where({alive}, {value}, {zero})")
            at, inside = f"{base} * n_{space} + cols", w.shared(f"cols < n_{space}", "units_inside")
        total = w.new(f"tl.sum({some}, axis=0, keep_dims=True)")
        w.line(f"tl.store({at}, tl.load({at}, mask={inside}, other=0.0) + {total}, mask={inside})")

    # sums over rows

    def _partial_at(self, node: Node) -> str:
        """The memory of the partial sums of this step, (programs, rows)."""
        w, count = self._w, len(self._schedule.rows)
        slot = self._schedule.found[node][1]
        base = self._memory.pointer("parts" if self._memory.is_forward else "late_parts")
        turn = w.shared(f"(step % 2) * {count}", "turn")
        return f"{base} + ({turn} + {slot}) * (tl.num_programs(0) * B)"

    def _partial(self, node: Node) -> None:
        """Write a store of the sum (or the maximum) over this program's own units."""
        w, (source,) = self._w, node.args
        value = self.value(source)
        inside = w.shared(f"cols < n_{source.space}", "units_inside")
        part = self._reduced(node.op, w.new(f"tl.where({inside}, {value}, {_NOTHING[node.op]})"))
        w.line(f"tl.store({self._partial_at(node)} + tl.program_id(0) * B + rows, {part}, mask={self._memory.here(w)})")

    def _total(self, node: Node) -> str:
        """Write the total of all programs' partial sums; the first program stores it for later phases."""
        w, memory = self._w, self._memory
        each = w.shared("tl.arange(0, PROGRAMS)[None, :]", "each")
        here = w.shared(f"{memory.here(w)} & ({each} < tl.num_programs(0))", "parts_here")
        at = f"{self._partial_at(node)} + {each} * B + rows"
        parts = w.new(f'tl.load({at}, mask={here}, other={_NOTHING[node.op]}, cache_modifier=".cg")')
        total = self._reduced(node.op, parts)
        place, count = self._sums("sum")
        to = f"{place} + rows * {count} + {self._schedule.found[node][1]}"
        w.line(f"tl.store({to}, {total}, mask=rows + tl.program_id(0) * B < B)")
        return total

    def _reduced(self, op: str, value: str) -> str:
        w = self._w
        if op == "sum":
            return w.new(f"tl.sum({value}, axis=1, keep_dims=True)")
        largest = w.new(f'tl.max(tl.where({value} == {value}, {value}, float("-inf")), axis=1, keep_dims=True)')
        bad = w.new(f"tl.max(tl.where({value} == {value}, 0.0, 1.0), axis=1, keep_dims=True)")
        return w.new(f'tl.where({bad} > 0, float("nan"), {largest})')

    # products

    def _product(self, number: int, tiles: list[str]) -> None:
        memory, w, plan = self._memory, self._w, self._memory.plan
        kind = "u" if memory.is_forward else "dv"
        for piece, tile in enumerate(tiles):
            self._products[kind, number, piece] = tile
            if (kind, number) in memory.kept:
                memory.store(w, memory.product(w, kind, number, piece), tile)
        if not memory.is_forward and number in plan.accumulated:
            name, has_rest = plan.accumulated[number]
            (tile,) = tiles
            if has_rest:
                place = memory.carry(w, name, new=True)
                rest = memory.load(w, place)
                tile = (
                    f"tl.where({memory.alive(w)}, {tile}, 0.0) + {rest}" if memory.with_lengths else f"{tile} + {rest}"
                )
                memory.store(w, place, tile)
            else:
                value = self._of_living("carry", name, tile) if memory.with_lengths else tile
                memory.store(w, memory.carry(w, name, new=True), value)


_FROM_FAR = ("x", "mask", "input", "saved", "state", "new")
_NOTHING = {"sum": "0.0", "max": 'float("-inf")'}


def _literal(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'float("{value}")'
