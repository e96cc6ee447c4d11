"""The tensors of a recording, cut into pieces of H or P units, and its numbers as functions of the sizes.

A recording is made at some sizes, but must hold for all. So the sizes are primes, by which `4 H` differs from anything else; and a
number that differs between recordings at two sizes is explained as a multiple of H or 1/H, or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from torch import fx
from torch.utils._pytree import tree_leaves

from ostinato.cells.recurrence import Cell
from ostinato.kernels.compiler.graph import Node, Unsupported, plain
from ostinato.kernels.compiler.lines import in_brackets

# The numbers in a recording, by the index of their node and of the argument; None for a number that is not explained.
Constants = dict[tuple[int, object], "Number | None"]


@dataclass(frozen=True)
class Number:
    """`(value * (size + more))**power`, where `size` is the letter of a size; just `value` if there is none."""

    value: float
    size: str | None = None
    power: int = 1
    more: float = 0.0


@dataclass(frozen=True)
class TracedSizes:
    """The sizes of one recording, or of a request: `B`, and the size of each letter of `ostinato.cells.widths`.

    Attributes:
        rows: `B`.
        letters: the sizes by letter: "H"; "P" if it differs from "H"; "I"; the cell's own; "d" and "N" as `of_heads` has them.
        heads: `N`.
    """

    rows: int
    letters: Mapping[str, int]
    heads: int = 1

    @property
    def hidden(self) -> int:
        """`H`."""
        return self.letters["H"]

    @property
    def projected(self) -> int:
        """`P`, or `H` without a projection."""
        return self.letters.get("P", self.hidden)

    @property
    def inputs(self) -> int:
        """`I`."""
        return self.letters["I"]

    def cell(self, cell: Cell) -> Cell:
        """The cell with these sizes in place of its own widths."""
        return replace(cell, widths={letter: self.letters[letter] for letter in cell.widths}) if cell.widths else cell


# Primes, so that a width of up to `MOST_GATES` gates shows what it is made of.
MOST_GATES = 88
_ROWS = ((13, 17), (19, 23))
# The two primes of each pair differ by another number than those of other pairs, none of which is a multiple of another. So "all
# but six" shows which size it is taken from.
_PRIMES = ((101, 127), (97, 107), (109, 131), (89, 103), (113, 151), (139, 173), (137, 199), (149, 223), (157, 239))


def traced_sizes(cell: Cell, projected: bool) -> tuple[TracedSizes, TracedSizes]:
    """Two sets of sizes at which a cell is recorded.

    Raises:
        Unsupported: if the cell has more letters than there are primes.
    """
    if len(cell.widths) > len(_PRIMES) - 3:
        raise Unsupported(
            f"it has {len(cell.widths)} widths of its own, and the compiler takes up to {len(_PRIMES) - 3}"
        )
    first, second = (_traced_sizes(cell, projected, n) for n in range(2))
    return first, second


def _traced_sizes(cell: Cell, projected: bool, n: int) -> TracedSizes:
    primes = iter(_PRIMES)
    units, output, inputs = (next(primes)[n] for _ in range(3))
    letters = {"H": cell.heads * units} | ({"P": cell.heads * output} if projected else {}) | {"I": inputs}
    letters |= {letter: next(primes)[n] for letter in cell.widths}
    # The number of rows differs from that of heads, so that the first dimension of a tensor shows which of them it is.
    rows = next(each for each in _ROWS if cell.heads not in each)[n]
    return TracedSizes(rows, letters | of_heads(cell, units), cell.heads)


def of_heads(cell: Cell, units: int) -> dict[str, int]:
    """The letters that cells with heads have besides: "d", and "N" where something is as wide; `units`: of a head."""
    if cell.heads == 1:
        return {}
    described = [*cell.states.values(), *cell.extras.values(), *(letter for p in cell.parameters for letter in p.shape)]
    return {"d": units} | ({"N": cell.heads} if "N" in described else {})


@dataclass(frozen=True)
class Value:
    """A tensor of at most two dimensions.

    Attributes:
        pieces: nodes side by side along the last dimension.
        widths: how many columns each piece has; a piece of the space "row" or "one" is spread over them. If they are fewer than the
            units of the piece's space, they are the first of these.
        rows: "each" if every row of the batch has its own values; "same" if all rows share them; "summed" if the values are yet to
            be summed over the rows, which only the gradient of a parameter may be.
    """

    pieces: tuple[Node, ...]
    widths: tuple[int, ...] = (1,)
    rows: Literal["same", "each", "summed"] = "same"

    @property
    def width(self) -> int:
        """The width of all pieces together."""
        return sum(self.widths)

    @property
    def is_zero(self) -> bool:
        """Whether it is known to be zero everywhere."""
        return all(plain(piece) == 0 for piece in self.pieces)

    def cut(self, widths: Sequence[int], some: Callable[[Node, int, int], Node] | None = None) -> Value:
        """The same value in pieces of these widths, which sum to `width`.

        Args:
            widths: the widths of the pieces.
            some: makes a node of some units of a piece, given the first unit and how many.

        Raises:
            Unsupported: if some of the units of a piece are needed, and there is no `some`.
        """
        return self.from_(0, widths, some)

    def from_(self, start: int, widths: Sequence[int], some: Callable[[Node, int, int], Node] | None) -> Value:
        """The value in pieces of these widths, one after the other from the column `start` on; `some` as for `cut`."""
        ends = list(accumulate(self.widths))
        pieces: list[Node] = []
        for width in widths:
            at = next(n for n, end in enumerate(ends) if end > start)
            piece, here = self.pieces[at], self.widths[at]
            if start + width > ends[at]:
                raise Unsupported(
                    "the step mixes up gates or units by a change of shape, which the compiler does not know"
                )
            if width != here and piece.space not in ("row", "one"):
                if some is None:
                    raise Unsupported(
                        "the step takes some of the units of a gate or a state, which the compiler does not know"
                    )
                piece = some(piece, start - (ends[at] - here), width)
            pieces.append(piece)
            start += width
        return Value(tuple(pieces), tuple(widths), self.rows)

    def columns(self, start: int, end: int, some: Callable[[Node, int, int], Node] | None = None) -> Value:
        """The columns from `start` up to `end`; `some` as for `cut`."""
        places = [(to - width, to) for width, to in zip(self.widths, accumulate(self.widths), strict=True)]
        widths = [min(end, b) - max(start, a) for a, b in places if max(start, a) < min(end, b)]
        return self.from_(start, widths, some)


def numbers(recordings: Sequence[tuple[fx.GraphModule, TracedSizes]]) -> Constants:
    """Every number in two recordings, by the index of its node and of the argument; None for one that no size explains.

    Raises:
        Unsupported: if the recordings differ in more than numbers.
    """
    (first, sizes), (second, other_sizes) = recordings
    found: Constants = {}
    pairs = list(zip(first.graph.nodes, second.graph.nodes, strict=False))
    different = [(a, b) for a, b in pairs if (a.op, str(a.target), len(a.args)) != (b.op, str(b.target), len(b.args))]
    if different or len(first.graph.nodes) != len(second.graph.nodes):
        where = next((line for nodes in different for node in nodes if (line := node.stack_trace)), None)
        raise Unsupported(
            f"what the step does, and not only its sizes, depends on the sizes of its tensors{in_brackets(where)}"
        )
    for at, (a, b) in enumerate(pairs):
        arguments, others = dict(_arguments(a, first)), dict(_arguments(b, second))
        for key in arguments.keys() & others.keys():
            found[at, key] = _explained(arguments[key], others[key], sizes, other_sizes)
    return found


def unexplained(recordings: Sequence[tuple[fx.GraphModule, TracedSizes]]) -> str:
    """The line of the first number that follows no size in the two recordings, as the end of a message."""
    (first, sizes), (second, others) = recordings
    rows = sizes.rows, others.rows
    for a, b in zip(first.graph.nodes, second.graph.nodes, strict=True):
        pairs = zip(tree_leaves(a.args), tree_leaves(b.args), strict=False)
        found = [(u, v) for u, v in pairs if isinstance(u, int | float) and isinstance(v, int | float)]
        if any(pair != rows and _explained(*pair, sizes, others) is None for pair in found):
            return in_brackets(a.stack_trace)
    return ""


def _arguments(node: fx.Node, module: fx.GraphModule) -> Iterator[tuple[object, float]]:
    if node.op == "get_attr":
        value = getattr(module, str(node.target))
        if value.numel() == 1:
            yield 0, value.item()
    for key, value in (*enumerate(node.args), *node.kwargs.items()):
        if isinstance(value, int | float):
            yield key, value


def _explained(a: float, b: float, sizes: TracedSizes, others: TracedSizes) -> Number | None:
    if a == b or (a != a and b != b):
        return Number(float(a))
    for letter, size in sizes.letters.items():
        other = others.letters[letter]
        if math.isclose(a / size, b / other, rel_tol=1e-15):
            return Number(a / size, letter)
        if math.isclose(a * size, b * other, rel_tol=1e-15):
            return Number(1 / (a * size), letter, -1)
    for letter, size in sizes.letters.items():  # all but a few units
        other = others.letters[letter]
        for power, u, v in ((1, size, other), (-1, other, size)):
            more = (b * u - a * v) / (a - b)
            if -size < 2 * more < 0 and abs(more - round(more)) < 1e-9:
                more = round(more)
                return Number(a / (size + more) if power == 1 else 1 / (a * (size + more)), letter, power, more)
    return None
