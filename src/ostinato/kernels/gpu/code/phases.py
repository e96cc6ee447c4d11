"""A schedule cut into phases, between which the programs of the grid have to wait for each other.

The plan cuts a time step into stages; before each but the first come products or sums over the units of a row. A program owns some
units. It stores the sum over these as a *partial sum*; after a barrier, each program adds up all partial sums. So a stage with two
passes of sums is two *phases*, and there is a barrier between any two phases.
"""

from __future__ import annotations

from dataclasses import dataclass

from ostinato.kernels.compiler.graph import Node
from ostinato.kernels.compiler.schedule import Schedule


@dataclass(frozen=True)
class Phase:
    """What a program does between two barriers.

    Attributes:
        stage: the number of its stage in the plan, which decides what is found in memory.
        totals: the sums that are completed first, from partial sums.
        is_last: whether the products and stores of the stage follow; if not, only partial sums do.
        partial: the sums whose partial sums are computed at the end.
    """

    stage: int
    totals: tuple[Node, ...]
    is_last: bool
    partial: tuple[Node, ...]


def phases(schedule: Schedule) -> tuple[Phase, ...]:
    """The phases of a schedule in order; the first is that of stage 0, which needs no other program."""
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
