"""The stages of a time step: what it computes when.

A time step has a few *stages*. Between two stages come operations that need the values of all units: matrix products; sums and
maxima over a row, both called sums below; and moves of values from unit to unit. Within a stage no unit needs another, so that each
vector of units is loaded, computed and stored at one go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from ostinato.kernels.compiler.graph import MOVES, REDUCTIONS, Node, number_of, walk
from ostinato.kernels.compiler.program import Program

# Operations whose result is stored and loaded rather than computed again.
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
        to: where it is written: `("state", name)`, `("enters", product)`, `("saved", slot)`, `("gradient", slot)`,
            `("parameter", slot)`, `("input", name)`, `("carry", name)` or `("scratch", slot)`. Each space numbers its own slots.
        space: the space of the slot of a gradient or parameter; the value itself may have a smaller one.
    """

    node: Node
    to: tuple[str, str | int]
    space: str = ""


@dataclass
class Stage:
    """What happens in one stage, in this order.

    Attributes:
        products: the recurrent products that come first.
        sums: the sums over rows that come next, in passes: a sum may need those of earlier passes.
        stores: the values that the units then compute and store.
        moves: whether units read what an earlier stage wrote for other units.
    """

    products: list[int] = field(default_factory=list)
    sums: list[list[Node]] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    moves: bool = False


@dataclass(frozen=True)
class Schedule:
    """The stages of a time step, forward or backward, and where values that were computed before are found.

    Attributes:
        stages: the stages in order.
        found: for a node, the place from which later stages load it.
        made: for a node, the first stage that can load it.
        rows: the sums over rows, in the order of their slots.
        scratch: for each space, the number of values that stages pass to later ones.
    """

    stages: tuple[Stage, ...]
    found: Mapping[Node, tuple[str, str | int]]
    made: Mapping[Node, int]
    rows: tuple[Node, ...]
    scratch: Mapping[str, int]

    @property
    def moves(self) -> bool:
        """Whether units read what was written for other units, in any stage."""
        return any(stage.moves for stage in self.stages)


def scheduled(
    program: Program,
    stores: list[Store],
    known: Mapping[Node, tuple[str, str | int]],
    added: Mapping[int, tuple[str, bool]] | None = None,
    behind: Collection[int] = (),
    *,
    forward: bool,
) -> Schedule:
    """Put everything that the stores need into stages; `added` is `Plan.accumulated`, `behind` is `Plan.behind`."""
    found: dict[Node, tuple[str, str | int]] = {} if forward else dict(known)
    roots = [store.node for store in stores]
    wanted_sums = [n for n, (kind, _) in known.items() if kind == "sum"] if forward else []
    products = dict(enumerate(program.products)) if forward else {}

    def is_of_input(node: Node) -> bool:
        """Whether a node is the product of an input, which is computed before the first stage."""
        return node.op == "u" and program.products[number_of(node)].is_of_input

    def below(node: Node) -> tuple[Node, ...]:
        """The nodes that must be computed before a node: its arguments or, for a product's result, what enters the product."""
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
    columns: dict[Node, int] = {}  # the latest stage of anything wide below a node, not counting results of sums
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
        # Every product is needed: its result is either used here or added in place.
        in_loop = [k for k in range(len(program.products)) if k not in behind]
        after = {k: max(stage[n] for n in program.du[k]) + 1 for k in in_loop}
        carried = {store.to[1]: stage[store.node] for store in stores if store.to[0] == "carry"}
        for k, (name, has_rest) in (added or {}).items():
            if has_rest:  # the product adds to a value that must have been written before
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
    scratch = _hand_on(program, stages, stage, found, made, moved, not forward)
    return Schedule(tuple(stages), found, made, rows, scratch)


def _move(
    moves: list[Node],
    stages: list[Stage],
    stage: Mapping[Node, int],
    found: dict[Node, tuple[str, str | int]],
    made: dict[Node, int],
) -> dict[str, int]:
    """Let values that move from unit to unit go through scratch. Returns how many values of each space are stored there."""
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
    backward: bool,
) -> dict[str, int]:
    """Keep costly values that a later stage needs too in scratch, behind those that `moved`; the others are computed again.

    Returns the number of slots of scratch for each space.
    """
    scratch = {**dict.fromkeys(program.spaces, 0), **moved}
    for at in reversed(range(len(stages))):
        # From the last stage to the first: a store that is added to an earlier stage is seen when the loop comes to that stage.
        roots = [store.node for store in stages[at].stores] + [n.args[0] for p in stages[at].sums for n in p]

        def loaded(node: Node, at: int = at) -> bool:
            return node in found and made[node] <= at

        pending = list(walk(roots, loaded))
        early = [n for n in pending if not loaded(n) and stage[n] < at and n.space not in SINGLE and not n.is_boolean]
        handed = {n for n in early if n.op in COSTLY}
        if backward:
            handed |= _shortcuts(roots, early, handed, loaded)
        for node in pending:
            if node not in handed or loaded(node):
                continue
            found[node] = ("scratch", scratch[node.space])
            made[node] = stage[node] + 1
            scratch[node.space] += 1
            stages[stage[node]].stores.append(Store(node, found[node]))
    return scratch


def _shortcuts(
    roots: list[Node], early: list[Node], handed: Collection[Node], loaded: Callable[[Node], bool]
) -> set[Node]:
    """Values that an earlier stage should compute, so that a later one loads less.

    Then the values they are made of need not be kept until the later stage, and a gradient may take their place.

    Args:
        roots: the values that the later stage computes.
        early: the nodes below them that an earlier stage can compute, arguments before the nodes that use them.
        handed: the nodes of `early` that are passed on in any case.
        loaded: whether a node is in memory.
    """
    found: set[Node] = set()
    uses: dict[Node, int] = {}  # how often the later stage uses each node that it computes or loads

    def is_there(node: Node) -> bool:
        return loaded(node) or node in handed or node in found

    def loads(node: Node) -> int:
        # The gradient of a state is loaded as two parts; parameters stay in the first cache and are not counted.
        if node.space in SINGLE or node.op in ("parameter", "const", "unit"):
            return 0
        return 2 if node.op == "dstate" else 1

    for node in (*roots, *(arg for n in walk(roots, is_there) if not is_there(n) for arg in n.args)):
        uses[node] = uses.get(node, 0) + 1
    for node in reversed(early):  # the nodes with the most below them first
        if is_there(node) or not uses.get(node):
            continue
        # If `node` is passed on, the nodes below it that nothing else uses are no longer loaded.
        gone, fewer = [node], 0
        for each in gone:
            for arg in each.args:
                uses[arg] -= 1
                if not uses[arg]:
                    if is_there(arg):
                        fewer += loads(arg)
                    else:
                        gone.append(arg)
        if fewer > loads(node):
            found.add(node)
        else:
            for each in gone:
                for arg in each.args:
                    uses[arg] += 1
    return found
