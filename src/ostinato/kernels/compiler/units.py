"""Some of the units of a row, and units in another order.

Vectors of units have the widths that letters name, and no others. So the units from 1 on, `v[:, 1:]`, are all units of `v` moved to
the front, of which only the first ones count. Pieces that are laid side by side, and together are as wide as a letter, become one
vector in which each unit chooses its piece. A single unit, `v[:, 3]`, is a sum in which all other units are zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ostinato.kernels.compiler.graph import Graph, Node
from ostinato.kernels.compiler.operations import as_condition, as_number

_SINGLE = ("row", "one")
_Piece = tuple[Node, int]


class Units:
    """The units of a recording.

    Args:
        graph: the graph in which nodes are made.
        sizes: the size of each letter.

    Attributes:
        least: for some letters, the least number of units: with fewer, a slice would end before the number that it is given.
    """

    def __init__(self, graph: Graph, sizes: Mapping[str, int]) -> None:
        self._graph, self._sizes = graph, sizes
        self.least: dict[str, int] = {}

    def number(self, space: str) -> Node:
        """The number of each unit in its row."""
        return self._graph.leaf("unit", (), space)

    def size(self, piece: Node) -> int | None:
        """How many units a piece has; None for a single number."""
        return self._sizes.get(piece.space)

    def count(self, width: int, space: str | None = None) -> Node:
        """A number of units as a function of a size (of `space`, if given): a multiple of it, or all but a few.

        A plain number if it is neither.
        """
        graph = self._graph
        # A number of heads is that of the step, whatever the layer's sizes are.
        sizes = {k: n for k, n in self._sizes.items() if k != "N"} if space is None else {space: self._sizes[space]}
        for letter, size in sizes.items():
            if width and width % size == 0:
                return graph.const(width // size, letter)
        near = [letter for letter, size in sizes.items() if size // 2 < width < size]
        if not near:
            return graph.const(width)
        return graph.apply("sub", graph.const(1, near[0]), graph.const(self._sizes[near[0]] - width))

    def only(self, piece: Node, width: int, nothing: float) -> Node:
        """The first `width` units of a piece, with `nothing` in place of the others."""
        graph, v = self._graph, as_number(self._graph, piece)
        if self.size(piece) in (None, width):
            return v
        return graph.apply("where", self._before(width, piece.space), v, graph.const(nothing))

    def some(self, piece: Node, begin: int, width: int) -> Node:
        """The `width` units of a piece from `begin` on, moved to the front; a single one becomes one number for each row."""
        graph, v = self._graph, as_number(self._graph, piece)
        self._need(piece.space, begin, begin + width)
        if width == 1:
            is_it = graph.apply("eq", self.number(piece.space), self.count(begin, piece.space))
            found = graph.sum(graph.apply("where", is_it, v, graph.const(0.0)))
        else:
            found = graph.roll(v, self._near(-begin, piece))
        return self._as(piece, found)

    def rolled(self, piece: Node, by: int) -> Node:
        """All units of a piece, moved by `by`."""
        return self._as(piece, self._graph.roll(as_number(self._graph, piece), by))

    def flipped(self, piece: Node, width: int) -> Node:
        """The first `width` units of a piece in reverse order."""
        if self.size(piece) is None:
            return piece
        found = self._graph.flip(as_number(self._graph, piece))
        return self._as(piece, self._graph.roll(found, self._near(width, piece)))

    def together(self, pieces: Sequence[_Piece]) -> list[_Piece]:
        """Pieces side by side; those that together are as wide as a space become one piece."""
        found: list[_Piece] = []
        at = 0
        while at < len(pieces):
            end, space = self._group(pieces, at)
            if space is None:
                found.append(pieces[at])
            else:
                found.append((self._joined(pieces[at:end], space), self._sizes[space]))
            at = end
        return found

    def _group(self, pieces: Sequence[_Piece], at: int) -> tuple[int, str | None]:
        """The end of the pieces from `at` on that make up a space together, and the space; None if a piece stays as it is."""
        total, space = 0, None
        for end, (piece, width) in enumerate(pieces[at:], at + 1):
            total += width
            if piece.space not in _SINGLE:
                if width == self.size(piece):
                    break
                space = space or piece.space
            fitting = [letter for letter, size in self._sizes.items() if size == total and space in (None, letter)]
            if fitting:
                return (end, fitting[0]) if end > at + 1 else (end, None)
        return at + 1, None

    def _joined(self, pieces: Sequence[_Piece], space: str) -> Node:
        graph, end = self._graph, self._sizes[space]
        is_condition = all(piece.is_boolean for piece, _ in pieces)
        found: Node | None = None
        for piece, width in reversed(pieces):
            begin = end - width
            v = as_number(graph, piece)
            v = v if self.size(piece) is None else graph.roll(v, self._near(begin, piece))
            found = v if found is None else graph.apply("where", self._before(end, space), v, found)
            end = begin
        assert found is not None
        return as_condition(graph, found) if is_condition else found

    def _need(self, space: str, begin: int, end: int) -> None:
        size = self._sizes[space]
        if begin > size // 2:  # counted from the end
            least = size - begin
        elif end <= size // 2:
            least = end
        else:
            least = begin + size - end + 1
        self.least[space] = max(least, self.least.get(space, 1))

    def _before(self, width: int, space: str) -> Node:
        return self._graph.apply("lt", self.number(space), self.count(width, space))

    def _near(self, by: int, piece: Node) -> int:
        """The same move around the end by the smaller number of units, which does not depend on the size."""
        size = self._sizes[piece.space]
        by %= size
        return by if by <= size // 2 else by - size

    def _as(self, piece: Node, found: Node) -> Node:
        return as_condition(self._graph, found) if piece.is_boolean else found
