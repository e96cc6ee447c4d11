"""Where what both passes keep lies: slots of a row and unit block, for what is saved and, later, for gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ostinato.kernels.compiler.graph import Node, name_of, piece_of, plain, walk
from ostinato.kernels.compiler.program import Program
from ostinato.kernels.compiler.schedule import Schedule, Store


@dataclass(frozen=True)
class GradientSlots:
    """A run of gradient slots that a matrix product reads: slots `first`, `first + 1`, ... hold the gates `order`."""

    space: str
    first: int
    order: tuple[int, ...]


def parameter_slots(
    program: Program, pieces: Mapping[tuple[str, int], Node]
) -> tuple[dict[str, tuple[tuple[str, int], ...]], dict[tuple[str, int], tuple[str, int]], list[Store]]:
    """Parameters with the same gradient (b_ih and b_hh, most often) share one slot."""
    slots: dict[str, dict[Node, int]] = {space: {} for space in program.spaces}
    names: dict[str, list[tuple[str, int]]] = {space: [] for space in program.spaces}
    where: dict[tuple[str, int], tuple[str, int]] = {}
    stores = []
    used = walk([*program.states.values(), *(product.enters for product in program.products)])
    leaves = (leaf for leaf in used if leaf.op == "parameter")
    spaces = {(name_of(leaf), piece_of(leaf)): "1" if leaf.space == "one" else leaf.space for leaf in leaves}
    for piece, node in pieces.items():
        if plain(node) == 0 or piece not in spaces:  # no gradient
            continue
        space = spaces[piece]
        known = slots[space]
        if node not in known:
            known[node] = len(known)
            names[space].append(piece)
            stores.append(Store(node, ("parameter", known[node]), space))
        where[piece] = space, known[node]
    return {space: tuple(found) for space, found in names.items()}, where, stores


def _gates_of_x(program: Program) -> list[int]:
    """The gates of W_ih x that have a gradient; all of them where nothing else would write the gradient of x."""
    found = [gate for gate, node in enumerate(program.dx) if plain(node) != 0]
    return found if found or "x" in program.dinputs else list(range(len(program.dx)))


def _regions(program: Program) -> list[Node] | None:
    """An order of the gradients of x and of all products in which each of them is a contiguous run; None if there is none."""
    dx = [program.dx[gate] for gate in _gates_of_x(program)]
    lists = [dx, *(list(du) for du, p in zip(program.du, program.products, strict=True) if p.gates)]
    if any(len(set(each)) < len(each) for each in lists):
        return None
    order = [n for n in dx if not any(n in du for du in lists[1:])]
    for du in lists[1:]:
        order += [n for n in du if n not in order]
    for each in lists:
        at = sorted(order.index(n) for n in each)
        if at and at != list(range(at[0], at[0] + len(at))):
            return None
    return order


def gradient_slots(
    program: Program,
) -> tuple[dict[str, int], GradientSlots, tuple[GradientSlots, ...], list[Store]]:
    """Slots of the gradients of gates: how many in each space; those of `W_ih x` and of each product; what is stored there."""
    stores: list[Store] = []
    used, region = dict.fromkeys(program.spaces, 0), _regions(program)

    def fresh(nodes: Sequence[Node], space: str) -> GradientSlots:
        first = used[space]
        stores.extend(Store(n, ("gradient", first + i), space) for i, n in enumerate(nodes))
        used[space] += len(nodes)
        return GradientSlots(space, first, tuple(range(len(nodes))))

    def shared(nodes: Sequence[Node], order: list[Node]) -> GradientSlots:
        at = {order.index(n): gate for gate, n in enumerate(nodes)}
        return GradientSlots("H", min(at, default=0), tuple(at[i] for i in sorted(at)))

    gates = _gates_of_x(program)
    of_x = [program.dx[gate] for gate in gates]
    if region is not None:
        fresh(region, "H")
    dx = fresh(of_x, "H") if region is None else shared(of_x, region)
    dx = replace(dx, order=tuple(gates[n] for n in dx.order))
    du = tuple(
        shared(nodes, region) if region is not None and product.gates else fresh(nodes, product.space)
        for nodes, product in zip(program.du, program.products, strict=True)
    )
    return used, dx, du, stores


def places_of(saved: list[Node], backward: Schedule, gradients: Mapping[str, int]) -> dict[Node, tuple[str, int]]:
    """Slots of what is saved: those of gradients that come when it has been loaded for the last time, or behind them."""
    written: dict[tuple[str, int], int] = {}
    last = dict.fromkeys(saved, 0)
    for at, stage in enumerate(backward.stages):
        written |= {(s.space, int(s.to[1])): at for s in stage.stores if s.to[0] == "gradient"}
        roots = [store.node for store in stage.stores] + [n.args[0] for p in stage.sums for n in p]
        for node in walk(roots, lambda n, at=at: n in backward.found and backward.made[n] <= at):
            if node in last:
                last[node] = at
    waiting = {space: [n for n in saved if n.space == space] for space in gradients}
    found: dict[Node, tuple[str, int]] = {}
    for (space, slot), at in sorted(written.items(), key=lambda each: each[1]):
        if (node := next((n for n in waiting[space] if last[n] <= at), None)) is not None:
            waiting[space].remove(node)
            found[node] = ("saved", slot)
    for space, nodes in waiting.items():
        found |= {n: ("saved", slot) for slot, n in enumerate(nodes, gradients[space])}
    return {n: found[n] for n in saved}
