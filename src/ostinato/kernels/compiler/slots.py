"""The slots of a row and unit block, which keep the values that the forward pass saves and, later, gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ostinato.kernels.compiler.graph import Node, name_of, piece_of, plain, walk
from ostinato.kernels.compiler.program import Program
from ostinato.kernels.compiler.schedule import Schedule, Store


@dataclass(frozen=True)
class GradientSlots:
    """The gradient slots that a matrix product reads: `first`, `first + 1`, ... hold the gradients of the gates in `order`."""

    space: str
    first: int
    order: tuple[int, ...]


def parameter_slots(
    program: Program, pieces: Mapping[tuple[str, int], Node]
) -> tuple[dict[str, tuple[tuple[str, int], ...]], dict[tuple[str, int], tuple[str, int]], list[Store]]:
    """Assign slots to the gradients of parameters; parameters with the same gradient (most often b_ih and b_hh) share one.

    Gives for each space the first (name, piece) of each slot; (name, piece) to the space and slot; and the stores.
    """
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


@dataclass(frozen=True)
class _Gradients:
    """The gradients of the gates of a product that are not zero everywhere, and the numbers of these gates."""

    nodes: tuple[Node, ...]
    gates: tuple[int, ...]
    space: str
    has_gates: bool


def _gradients(nodes: Sequence[Node], space: str, has_gates: bool, may_be_none: bool) -> _Gradients:
    gates = tuple(gate for gate, node in enumerate(nodes) if plain(node) != 0)
    if not gates and not may_be_none:
        gates = tuple(range(len(nodes)))
    return _Gradients(tuple(nodes[gate] for gate in gates), gates, space, has_gates)


def _regions(lists: Sequence[tuple[Node, ...]]) -> list[Node] | None:
    """An order of all gradients of gates in which those of each list are contiguous; None if there is none.

    The first list is that of x, the others those of products. Gradients of x that no product shares come first.
    """
    if any(len(set(each)) < len(each) for each in lists):
        return None
    order = [n for n in lists[0] if not any(n in du for du in lists[1:])]
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
    """Assign slots to the gradients of gates.

    Gives how many there are in each space; the slots of `W_ih x`; those of each product; and the stores.
    """
    stores: list[Store] = []
    used = dict.fromkeys(program.spaces, 0)
    # The gradients of x may all be zero, and need no slot unless nothing else writes the gradient of the input.
    x = _gradients(program.dx, "H", True, may_be_none="x" in program.dinputs)
    products = [
        _gradients(nodes, product.space, bool(product.gates), may_be_none=False)
        for nodes, product in zip(program.du, program.products, strict=True)
    ]
    region = _regions([x.nodes, *(each.nodes for each in products if each.has_gates)])

    def fresh(nodes: Sequence[Node], space: str) -> int:
        first = used[space]
        stores.extend(Store(n, ("gradient", first + i), space) for i, n in enumerate(nodes))
        used[space] += len(nodes)
        return first

    if region is not None:
        fresh(region, "H")

    def slots(of: _Gradients) -> GradientSlots:
        if region is None or not of.has_gates:
            return GradientSlots(of.space, fresh(of.nodes, of.space), of.gates)
        at = {region.index(n): gate for n, gate in zip(of.nodes, of.gates, strict=True)}
        return GradientSlots("H", min(at, default=0), tuple(at[i] for i in sorted(at)))

    return used, slots(x), tuple(map(slots, products)), stores


def places_of(saved: list[Node], backward: Schedule, gradients: Mapping[str, int]) -> dict[Node, tuple[str, int]]:
    """Assign slots to saved values: that of a gradient that is written once the value is no longer needed, else a further one."""
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
