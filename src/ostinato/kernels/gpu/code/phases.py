"""A schedule cut where programs of the grid have to meet.

The plan cuts a time step into stages, before each of which (but the first) come products or sums over the units of a row. A program
owns some units. What it adds up over them it stores as a *partial sum*; when all have met, each makes the whole of the parts. So
a stage with two passes of sums is two *phases*, and between any two phases programs meet.
"""

from __future__ import annotations

from dataclasses import dataclass

from ostinato.kernels.compiler.graph import Node
from ostinato.kernels.compiler.schedule import Schedule


@dataclass(frozen=True)
class Phase:
    """What a program does between two meetings.

    Attributes:
        stage: of the plan, from whose beginning on values are found in memory.
        totals: the sums that are made whole first.
        is_last: whether products and stores of the stage come then; else only partial sums.
        partial: the sums of which parts are made at the end.
    """

    stage: int
    totals: tuple[Node, ...]
    is_last: bool
    partial: tuple[Node, ...]


def phases(schedule: Schedule) -> tuple[Phase, ...]:
    """In order; the first is that of stage 0, which needs nobody."""
    found: list[Phase] = []
    passes = [[tuple(nodes) for nodes in stage.sums] for stage in schedule.stages]
    assert not passes[0], "a sum needs what an earlier stage has loaded"
    for at, sums in enumerate(passes):
        following = passes[at + 1] if at + 1 < len(passes) else []
        first_of_next = following[0] if following else ()
        for n, nodes in enumerate(sums):
            is_last = n == len(sums) - 1
            found.append(Phase(at, nodes, is_last, first_of_next if is_last else sums[n + 1]))
        if not sums:
            found.append(Phase(at, (), True, first_of_next))
    return tuple(found)
