"""Makes a plan of the graphs of a step: what is computed when, what is stored where, what is saved for the backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ostinato.kernels.compiler.graph import MOVES, REDUCTIONS, Node, number_of, walk
from ostinato.kernels.compiler.program import Program
from ostinato.kernels.compiler.schedule import COSTLY, SINGLE, Schedule, Store, scheduled
from ostinato.kernels.compiler.slots import GradientSlots, gradient_slots, parameter_slots, places_of


@dataclass(frozen=True)
class Plan:
    """All that the code generator and the caller need to know.

    Attributes:
        program: the graphs.
        inference: the forward schedule that saves nothing.
        training: the forward schedule that saves what the backward one loads.
        backward: the backward schedule.
        slots: for each space, the number of vectors that each row and unit block keeps from the forward pass on: values that are
            saved and later, in their place or behind them, gradients.
        dx: the slots of the gradient of W_ih x.
        du: for each product, the slots of the gradient of its result.
        parameters: for each space, the (name, piece) of each slot of the gradients of parameters.
        parameter_slots: for each (name, piece) that has a gradient, the space and slot of it.
        rows: the number of sums over rows that are saved.
        accumulated: for a product whose transposed product is added to the gradient of a state in place, the name of that state,
            and whether there is anything to add to.
        behind: for a product of an input whose transposed product is added to the gradient of that input once for all time steps,
            the name of the input.
        dinputs: for each input, the part of its gradient that the time loop itself writes.
    """

    program: Program
    inference: Schedule
    training: Schedule
    backward: Schedule
    slots: Mapping[str, int]
    dx: GradientSlots
    du: tuple[GradientSlots, ...]
    parameters: Mapping[str, tuple[tuple[str, int], ...]]
    parameter_slots: Mapping[tuple[str, int], tuple[str, int]]
    rows: int
    accumulated: Mapping[int, tuple[str, bool]]
    behind: Mapping[int, str]
    dinputs: Mapping[str, Node]


def plan(program: Program) -> Plan:
    """Schedule both directions of a step."""
    # Values that are one number for each row are computed again from sums, not loaded from where they were written for all units.
    states = {node: ("state", name) for name, node in program.states.items() if node.space not in SINGLE}
    enters = [
        (p.enters, ("enters", k)) for k, p in enumerate(program.products) if p.enters.op not in ("state", "input")
    ]
    entered = {node: to for node, to in enters if node.space not in SINGLE}
    outputs = [Store(n, to) for n, to in (*enters, *_stores(program.states, "state"))]
    inference = scheduled(program, outputs, {}, forward=True)

    direct, accumulated, dinputs, behind = _peel(program)
    roots = [*program.dx, *(n for du in program.du for n in du), *direct.values(), *dinputs.values()]
    pieces = {(name, i): node for name, nodes in program.dparameters.items() for i, node in enumerate(nodes)}
    roots += pieces.values()
    saved, rows = _saved(roots, free={**states, **entered})
    slots, dx, du, gradients = gradient_slots(program)
    parameters, of_parameters, writes = parameter_slots(program, pieces)
    writes += [Store(n, ("carry", name)) for name, n in direct.items()]
    writes += [Store(n, ("input", name)) for name, n in dinputs.items()]

    def both(places: Mapping[Node, tuple[str, int]]) -> tuple[Schedule, Schedule]:
        stores = [*outputs, *(Store(n, to) for n, to in places.items())]
        training = scheduled(program, stores, {n: ("sum", i) for i, n in enumerate(rows)}, forward=True)
        # The values that the backward pass can load: the states of all steps, what entered the products, what was saved.
        known: dict[Node, tuple[str, str | int]] = {n: ("new", name) for n, (_, name) in states.items()}
        known |= {**entered, **places, **{n: ("saved_sum", i) for i, n in enumerate(training.rows)}}
        return training, scheduled(program, [*writes, *gradients], known, accumulated, behind, forward=False)

    # Any places will do for the first schedule: the stages do not depend on them.
    _, backward = both(dict.fromkeys(saved, ("saved", 0)))
    places = places_of(saved, backward, slots)
    training, backward = both(places)
    for n, (_, slot) in places.items():
        slots[n.space] = max(slots[n.space], slot + 1)
    return Plan(
        program,
        inference,
        training,
        backward,
        slots,
        dx,
        du,
        parameters,
        of_parameters,
        len(training.rows),
        accumulated,
        behind,
        dinputs,
    )


def _stores(nodes: Mapping[str, Node], kind: str) -> list[tuple[Node, tuple[str, str | int]]]:
    return [(node, (kind, name)) for name, node in nodes.items()]


def _peel(
    program: Program,
) -> tuple[dict[str, Node], dict[int, tuple[str, bool]], dict[str, Node], dict[int, str]]:
    """Take out of the gradients of the old states and of the inputs the terms W^T du that a product can add in place.

    Returns, for each state, what the units still compute of its gradient; for each product taken out, (state, whether there is
    something to add to); for each input, what the units still compute; for each product taken out there, the input.
    """
    uses: dict[Node, int] = {}
    everything = [*program.dx, *(n for du in program.du for n in du), *program.dstates.values()]
    everything += [n for nodes in program.dparameters.values() for n in nodes] + [*program.dinputs.values()]
    for node in walk(everything):
        for arg in node.args:
            uses[arg] = uses.get(arg, 0) + 1
    for node in everything:
        uses[node] = uses.get(node, 0) + 1

    direct, accumulated = dict(program.dstates), {}
    for name, node in program.dstates.items():
        terms = _terms(node, uses)
        mine = [t for t, is_less in terms if _is_own(t, uses) and not is_less and number_of(t) not in accumulated]
        # Only one product for each state: the one with the lowest number, which the backward pass computes after all others.
        if mine:
            first = min(mine, key=lambda t: number_of(t))
            accumulated[number_of(first)] = (name, len(terms) > 1)
            _set_sum(direct, name, [each for each in terms if each[0] is not first])
    dinputs, behind = dict(program.dinputs), {}
    for name, node in program.dinputs.items():
        terms = _terms(node, uses)
        mine = [
            t for t, is_less in terms if _is_own(t, uses) and not is_less and program.products[number_of(t)].is_of_input
        ]
        behind |= {number_of(t): name for t in mine}
        if mine:
            _set_sum(dinputs, name, [each for each in terms if each[0] not in mine])
    return direct, accumulated, dinputs, behind


_Term = tuple[Node, bool]  # a term of a sum, and whether it is subtracted


def _is_own(node: Node, uses: Mapping[Node, int]) -> bool:
    """Whether a node is the result of a transposed product, and is used only once."""
    return node.op == "dv" and uses[node] == 1


def _set_sum(sums: dict[str, Node], name: str, terms: list[_Term]) -> None:
    """Set `sums[name]` to the sum of these terms; remove it if there are none."""
    if not terms:
        del sums[name]
        return
    first, *others = sorted(terms, key=lambda each: each[1])  # terms that are added come first
    node = Node("neg", (first[0],), first[0].space) if first[1] else first[0]
    for term, is_less in others:
        space = node.space if term.space in SINGLE else term.space
        node = Node("sub" if is_less else "add", (node, term), space)
    sums[name] = node


def _terms(node: Node, uses: Mapping[Node, int], is_less: bool = False) -> list[_Term]:
    """The terms that a nested sum of sums and differences adds up."""
    if node.op not in ("add", "sub") or uses[node] > 1:
        return [(node, is_less)]
    a, b = node.args
    return [*_terms(a, uses, is_less), *_terms(b, uses, is_less != (node.op == "sub"))]


def _saved(roots: list[Node], free: Mapping[Node, object]) -> tuple[list[Node], list[Node]]:
    """The values of the forward pass that the backward pass loads: wide ones, and sums over rows."""
    late: dict[Node, bool] = {}
    for node in walk(roots):
        late[node] = node.op in ("dstate", "dv") or any(late[arg] for arg in node.args)
    saved: dict[Node, None] = {}
    rows: dict[Node, None] = {}
    given = ("state", "parameter", "mask", "input", "const", "unit")
    kept = {"x", "u", *MOVES}

    def at_hand(node: Node) -> bool:
        """Whether a node follows, by a few cheap operations, from values that are kept in any case."""
        if node in free or node.op in given or node.op in REDUCTIONS:
            return True
        return node.op not in kept and node.op not in COSTLY and all(at_hand(arg) for arg in node.args)

    def obtain(node: Node) -> None:
        if node in free or node.op in given or node in saved:
            return
        if node.op in REDUCTIONS:
            rows[node] = None
        elif node.space == "row" or node.space == "one" or at_hand(node):
            for arg in node.args:
                obtain(arg)
        elif node.op in kept or (node.op in COSTLY and not all(at_hand(arg) for arg in node.args)):
            saved[node] = None
        else:
            for arg in node.args:
                obtain(arg)

    done: set[Node] = set()

    def visit(node: Node) -> None:
        if node in done:
            return
        done.add(node)
        if late[node]:
            for arg in node.args:
                visit(arg)
        else:
            obtain(node)

    for root in roots:
        visit(root)
    return list(saved), list(rows)
