"""From the graphs of a step to a schedule: what is computed when, what is stored where, what is saved for the backward pass.

A time step is a few *stages*. Between two stages lies what needs the values of all units: matrix products, sums (or the largest)
over a row, which are called sums below, and units that get the value of another unit.
Within a stage every unit is on its own, so that vectors of units are worked on from their loads to their stores without anything
between.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ostinato.kernels.compiler.graph import MOVES, REDUCTIONS, Node, name_of, number_of, piece_of, plain, walk
from ostinato.kernels.compiler.program import Program

# Worth a load and a store rather than being computed again.
COSTLY = frozenset(
    [
        *("exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "reciprocal", "sigmoid", "tanh", "softplus", "div"),
        *("exp2", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh"),
        *("atanh", "erf", "erfc", "pow", "fmod", "atan2", "hypot"),
    ]
)
SINGLE = ("row", "one")
LEAVES = frozenset(["x", "u", "state", "mask", "parameter", "input", "dstate", "dv"])


@dataclass(frozen=True)
class Store:
    """A value that a stage writes.

    Attributes:
        node: the value.
        to: what is written: `("state", name)`, `("enters", product)`, `("saved", slot)`, `("gradient", slot)`,
            `("parameter", slot)`, `("input", name)`, `("carry", name)` or `("scratch", slot)`. Slots are counted for each space
            alone.
        space: of the slot of a gradient or parameter, whose value may be of a smaller one.
    """

    node: Node
    to: tuple[str, str | int]
    space: str = ""


@dataclass
class Stage:
    """What happens in one stage, in this order.

    Attributes:
        products: the recurrent products that are done first.
        sums: the sums over rows that come next, in passes: a sum may need those of the passes before it.
        stores: what the units then compute.
        moves: whether they read what an earlier stage wrote for other units.
    """

    products: list[int] = field(default_factory=list)
    sums: list[list[Node]] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    moves: bool = False


@dataclass(frozen=True)
class Schedule:
    """The stages of a time step in one direction of the network, and where values that were computed before are found.

    Attributes:
        stages: in order.
        found: node to the place it is loaded from, in any stage after that in which it was made.
        made: node to the stage from which on it can be loaded.
        rows: the sums over rows, by their slot.
        scratch: for each space, how many values stages hand on to later ones.
    """

    stages: tuple[Stage, ...]
    found: Mapping[Node, tuple[str, str | int]]
    made: Mapping[Node, int]
    rows: tuple[Node, ...]
    scratch: Mapping[str, int]

    @property
    def moves(self) -> bool:
        """Whether units read what was written for others."""
        return any(stage.moves for stage in self.stages)


@dataclass(frozen=True)
class GradientSlots:
    """A run of gradient slots that a matrix product reads: slots `first`, `first + 1`, ... hold the gates `order`."""

    space: str
    first: int
    order: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """All that the code generator and the caller need to know.

    Attributes:
        program: the graphs.
        inference: the forward schedule that saves nothing.
        training: the forward schedule that saves what the backward one loads.
        backward: the backward schedule.
        slots: for each space, the vectors that each row and unit block keeps from the forward pass on: values that
            are saved, and later, in their place or behind them, gradients.
        dx: the slots of the gradient of W_ih x.
        du: for each product, the slots of the gradient of what it gave.
        parameters: for each space, (name, piece) of each parameter gradient's slot.
        parameter_slots: (name, piece) to the space and slot of its gradient, where it has one.
        rows: sums over rows that are saved.
        accumulated: product to the state into whose gradient its transposed product is added.
        behind: product of an input to the input's name, where its transposed product is added to the gradient of that once for all
            time steps.
        dinputs: what the time loop itself writes of the inputs' gradients.
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
    # Values of a row are not looked up where they were written for all units, but follow from sums again.
    states = {node: ("state", name) for name, node in program.states.items() if node.space not in SINGLE}
    spaces = program.spaces
    enters = [
        (p.enters, ("enters", k)) for k, p in enumerate(program.products) if p.enters.op not in ("state", "input")
    ]
    entered = {node: to for node, to in enters if node.space not in SINGLE}
    outputs = [Store(n, to) for n, to in (*enters, *_stores(program.states, "state"))]
    inference = _schedule(program, outputs, {}, forward=True)

    direct, accumulated, dinputs, behind = _peel(program)
    roots = [*program.dx, *(n for du in program.du for n in du), *direct.values(), *dinputs.values()]
    pieces = {(name, i): node for name, nodes in program.dparameters.items() for i, node in enumerate(nodes)}
    roots += pieces.values()
    saved, rows = _saved(roots, free={**states, **entered})
    by_space = {space: [n for n in saved if n.space == space] for space in spaces}
    places = {n: ("saved", by_space[n.space].index(n)) for n in saved}
    stores = [*outputs, *(Store(n, to) for n, to in places.items())]
    training = _schedule(program, stores, {n: ("sum", i) for i, n in enumerate(rows)}, forward=True)

    # What the backward pass finds: the past of the states, what entered the products, what was saved.
    known: dict[Node, tuple[str, str | int]] = {n: ("new", name) for n, (_, name) in states.items()}
    known |= {**entered, **places, **{n: ("saved_sum", i) for i, n in enumerate(training.rows)}}
    parameters, parameter_slots, writes = _parameter_slots(program, pieces)
    writes += [Store(n, ("carry", name)) for name, n in direct.items()]
    writes += [Store(n, ("input", name)) for name, n in dinputs.items()]
    region = _regions(program)
    for base in (dict.fromkeys(spaces, 0), {space: len(by_space[space]) for space in spaces}):
        slots, dx, du, gradients = _gradient_slots(program, region, base)
        backward = _schedule(program, [*writes, *gradients], known, accumulated, behind, forward=False)
        if not _overwrites(backward, known):
            break
    counts = {space: max(slots[space], len(by_space[space])) for space in spaces}
    return Plan(
        program,
        inference,
        training,
        backward,
        counts,
        dx,
        du,
        parameters,
        parameter_slots,
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
    """Gradients of the old states and of the inputs without the terms W^T du that a product can add in place.

    Returns what the units still compute for each state; product to (state, whether there is something to add to); what they still
    compute for each input; product to input.
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
        # One product alone, and one that everything else is computed before.
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


_Term = tuple[Node, bool]  # what is added, or subtracted


def _is_own(node: Node, uses: Mapping[Node, int]) -> bool:
    """Whether it is what a transposed product gives, and nothing else needs it."""
    return node.op == "dv" and uses[node] == 1


def _set_sum(sums: dict[str, Node], name: str, terms: list[_Term]) -> None:
    """Make one of them the sum of these terms, or nothing where there are none."""
    if not terms:
        del sums[name]
        return
    first, *others = sorted(terms, key=lambda each: each[1])  # what is added comes first
    node = Node("neg", (first[0],), first[0].space) if first[1] else first[0]
    for term, is_less in others:
        space = node.space if term.space in SINGLE else term.space
        node = Node("sub" if is_less else "add", (node, term), space)
    sums[name] = node


def _terms(node: Node, uses: Mapping[Node, int], is_less: bool = False) -> list[_Term]:
    """What a sum of sums and differences adds up."""
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
        """Whether it follows from what is kept anyway by a few cheap operations."""
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


def _schedule(
    program: Program,
    stores: list[Store],
    known: Mapping[Node, tuple[str, str | int]],
    added: Mapping[int, tuple[str, bool]] | None = None,
    behind: Collection[int] = (),
    *,
    forward: bool,
) -> Schedule:
    """Put everything that the stores need into stages; `added`: `Plan.accumulated`, `behind`: `Plan.behind`."""
    found: dict[Node, tuple[str, str | int]] = {} if forward else dict(known)
    roots = [store.node for store in stores]
    wanted_sums = [n for n, (kind, _) in known.items() if kind == "sum"] if forward else []
    products = dict(enumerate(program.products)) if forward else {}

    def is_of_input(node: Node) -> bool:
        """Whether it is there before the first stage."""
        return node.op == "u" and program.products[number_of(node)].is_of_input

    def below(node: Node) -> tuple[Node, ...]:
        """What must be there before a node: its arguments; for a product's result, what enters the product."""
        if node in found or is_of_input(node):
            return ()
        if node.op == "u":
            return (products[number_of(node)].enters,)
        if node.op == "dv":
            return program.du[number_of(node)]
        return node.args

    order: list[Node] = []
    seen: set[Node] = set()

    def visit(node: Node) -> None:
        if node in seen:
            return
        seen.add(node)
        for arg in below(node):
            visit(arg)
        order.append(node)

    accumulated = [n for k in range(len(program.products)) for n in program.du[k]] if not forward else []
    for root in [*roots, *wanted_sums, *accumulated]:
        visit(root)

    stage: dict[Node, int] = {}
    columns: dict[Node, int] = {}  # the latest stage of anything wide below a node, not counting what sums gave
    for node in order:
        args = below(node)
        latest = max((stage[arg] for arg in args), default=0)
        if node.op in ("u", "dv") and node not in found and not is_of_input(node):
            stage[node] = latest + 1
            columns[node] = stage[node]
        elif node.op in MOVES and node not in found:
            stage[node] = columns[node] = latest + 1
        elif node.op in REDUCTIONS and node not in found:
            stage[node] = max(columns[node.args[0]] + 1, latest)
            columns[node] = -1
        else:
            stage[node] = latest
            columns[node] = max((columns[arg] for arg in args), default=-1 if node.space in ("row", "one") else 0)
            if node.op in LEAVES:
                columns[node] = stage[node]

    stages = [Stage() for _ in range(max(stage.values(), default=0) + 1)]
    made = dict.fromkeys(found, 0)
    if forward:
        used = {number_of(n) for n in order if n.op == "u" and not is_of_input(n)}
        after = {k: stage[products[k].enters] + 1 for k in used}
    else:
        # Every product is needed: what it gives is either used here or added in place.
        in_loop = [k for k in range(len(program.products)) if k not in behind]
        after = {k: max(stage[n] for n in program.du[k]) + 1 for k in in_loop}
        carried = {store.to[1]: stage[store.node] for store in stores if store.to[0] == "carry"}
        for k, (name, has_rest) in (added or {}).items():
            if has_rest:  # it adds to what must have been written before
                after[k] = max(after[k], carried[name] + 1)
    for k, s in sorted(after.items()):
        while len(stages) <= s:
            stages.append(Stage())
        stages[s].products.append(k)
    sums = [n for n in order if n.op in REDUCTIONS and n not in found]
    passes: dict[Node, int] = {}
    for node in sums:
        inner = [
            passes[n] + 1 for n in walk([node.args[0]], lambda n: n in found) if n in passes and stage[n] == stage[node]
        ]
        passes[node] = max(inner, default=0)
        here = stages[stage[node]].sums
        while len(here) <= passes[node]:
            here.append([])
        here[passes[node]].append(node)
    rows = (*wanted_sums, *(n for n in sums if n not in wanted_sums))
    for slot, node in enumerate(rows):
        found[node] = ("sum", slot)
        made[node] = stage[node]
    for node in order:
        if node.op in LEAVES and node not in found:
            found[node] = (node.op, 0)
            made[node] = stage[node]
    moved = _move([n for n in order if n.op in MOVES and n not in found], stages, stage, found, made)
    for store in stores:
        stages[stage[store.node]].stores.append(store)
        if store.to[0] in ("state", "enters", "saved") and store.node.space not in SINGLE and store.node not in found:
            found[store.node] = ("new", store.to[1]) if store.to[0] == "state" else store.to
            made[store.node] = stage[store.node] + 1
    scratch = _hand_on(program, stages, stage, found, made, moved)
    return Schedule(tuple(stages), found, made, rows, scratch)


def _move(
    moves: list[Node],
    stages: list[Stage],
    stage: Mapping[Node, int],
    found: dict[Node, tuple[str, str | int]],
    made: dict[Node, int],
) -> dict[str, int]:
    """What units get of each other goes through scratch. Returns how many values of each space lie there."""
    scratch: dict[str, int] = {}
    slots: dict[Node, int] = {}
    for node in moves:
        (source,) = node.args
        if source not in slots:
            slots[source] = scratch.setdefault(source.space, 0)
            scratch[source.space] += 1
            stages[stage[source]].stores.append(Store(source, ("scratch", slots[source])))
        found[node] = (node.op, slots[source])
        made[node] = stage[node]
        stages[stage[node]].moves = True
    return scratch


def _hand_on(
    program: Program,
    stages: list[Stage],
    stage: Mapping[Node, int],
    found: dict[Node, tuple[str, str | int]],
    made: dict[Node, int],
    moved: Mapping[str, int],
) -> dict[str, int]:
    """Costly values that a later stage needs as well are kept in scratch, behind those that `moved`; others are computed again."""
    scratch = {**dict.fromkeys(program.spaces, 0), **moved}
    for at in reversed(range(len(stages))):
        # Stores that are added to an earlier stage while going down are seen when that stage comes.
        roots = [store.node for store in stages[at].stores] + [n.args[0] for p in stages[at].sums for n in p]

        def loaded(node: Node, at: int = at) -> bool:
            return node in found and made[node] <= at

        pending = list(walk(roots, loaded))
        for node in pending:
            if loaded(node) or node.space in SINGLE or node.op not in COSTLY or stage[node] >= at:
                continue
            found[node] = ("scratch", scratch[node.space])
            made[node] = stage[node] + 1
            scratch[node.space] += 1
            stages[stage[node]].stores.append(Store(node, found[node]))
    return scratch


def _parameter_slots(
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


def _gradient_slots(
    program: Program, region: list[Node] | None, base: Mapping[str, int]
) -> tuple[dict[str, int], GradientSlots, tuple[GradientSlots, ...], list[Store]]:
    stores: list[Store] = []
    used = dict(base)

    def fresh(nodes: Sequence[Node], space: str) -> GradientSlots:
        first = used[space]
        stores.extend(Store(n, ("gradient", first + i), space) for i, n in enumerate(nodes))
        used[space] += len(nodes)
        return GradientSlots(space, first, tuple(range(len(nodes))))

    def shared(nodes: Sequence[Node], order: list[Node]) -> GradientSlots:
        at = {order.index(n): gate for gate, n in enumerate(nodes)}
        return GradientSlots("H", base["H"] + min(at, default=0), tuple(at[i] for i in sorted(at)))

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


def _overwrites(schedule: Schedule, known: Mapping[Node, tuple[str, str | int]]) -> bool:
    """Whether a gradient is written over a saved value that a later stage loads."""
    written: dict[tuple[str, int], int] = {}
    for at, stage in enumerate(schedule.stages):
        for store in stage.stores:
            if store.to[0] == "gradient":
                written[store.space, int(store.to[1])] = at
    for at, stage in enumerate(schedule.stages):
        roots = [store.node for store in stage.stores] + [n.args[0] for p in stage.sums for n in p]
        for node in walk(roots, lambda n, at=at: n in schedule.found and schedule.made[n] <= at):
            kind, slot = known.get(node, ("", 0))
            if kind == "saved" and written.get((node.space, int(slot)), at) < at:
                return True
    return False
