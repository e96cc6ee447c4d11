"""Units by heads: sums over the units of a head, and how each unit gets the sum of its head.

There is no memory for numbers of heads. A sum over a head is a sum over the row in which the units of all other heads count as
zero. So there is one node for each head, and a unit chooses that of its own head by its number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from ostinato.kernels.compiler.graph import Graph, Node
from ostinato.kernels.compiler.operations import as_condition, as_number


class Heads:
    """The heads of a recording.

    Args:
        graph: the graph in which nodes are made.
        count: `N`, at least 2.
    """

    def __init__(self, graph: Graph, count: int) -> None:
        self._graph, self._count = graph, count
        self._unit = graph.leaf("unit", (), "H")

    def each(self, v: Node, over_units: Callable[[Node], Node], nothing: float) -> tuple[Node, ...]:
        """One number for each head: `over_units` of a row that holds `nothing` in all other heads."""
        g = self._graph
        found: list[Node] = []
        for n in range(self._count):
            is_inside = g.apply(
                "and", g.apply("ge", self._unit, self._begin(n)), g.apply("lt", self._unit, self._begin(n + 1))
            )
            found.append(over_units(g.apply("where", is_inside, v, g.const(nothing))))
        return tuple(found)

    def spread(self, numbers: Sequence[Node]) -> Node:
        """Give each unit the number, or the condition, of its head."""
        g = self._graph
        *before, last = enumerate(as_number(g, number) for number in numbers)

        def or_later(later: Node, each: tuple[int, Node]) -> Node:
            n, number = each
            return g.apply("where", g.apply("lt", self._unit, self._begin(n + 1)), number, later)

        found = reduce(or_later, reversed(before), last[1])
        return as_condition(g, found) if numbers[0].is_boolean else found

    def _begin(self, n: int) -> Node:
        return self._graph.const(n, "d") if n else self._graph.const(0)
