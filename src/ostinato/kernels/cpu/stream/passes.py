"""Passes of a step, which are walks over its blocks of units: which products each computes, and what follows from them.

Sums over units (layer norm) need all of a product at once. For them, and if a value is used in several stages, the result of a
product goes through memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ostinato.kernels.compiler.graph import Node, number_of, piece_of, walk
from ostinato.kernels.compiler.plan import Plan
from ostinato.kernels.compiler.schedule import SINGLE, Store

MOST = 16  # accumulators; with more there would be no registers left for what is multiplied


@dataclass(frozen=True)
class Segment:
    """Products of one vector with several blocks of rows, which are read together.

    Attributes:
        source: "x", or the number of a product.
        pieces: the gates of the input's product, or the pieces of the other product.
    """

    source: str
    pieces: tuple[int, ...]


@dataclass(frozen=True)
class StreamPass:
    """One walk over the blocks of units.

    Attributes:
        stage: the number of its stage in the schedule.
        space: the space of the units.
        segments: the products, in order.
        stores: what is then computed and stored, by indices in the stage's list of stores.
        sums: whether it comes before the sums of its stage; if not, it comes after them.
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
        all: the passes in order.
        kept: for each space, the results of products that are kept for a later pass, in the order of their slots.
    """

    all: list[StreamPass] = field(default_factory=list)
    kept: dict[str, list[Node]] = field(default_factory=dict)


def passes(plan: Plan, letters: Mapping[str, str]) -> Passes:
    """Cut the inference schedule into passes. A product is computed in the pass that first uses it."""
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
    """The space that a store writes to."""
    kind, name = store.to
    if kind == "state":
        return letters[str(name)]
    if kind == "enters":
        return plan.program.products[int(name)].entered
    return "H" if store.node.space in SINGLE else store.node.space
