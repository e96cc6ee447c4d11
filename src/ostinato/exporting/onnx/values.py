"""The values of a program in an ONNX graph: each is written when it is first needed.

Pieces that undergo the same operations, such as the gates of a product, stay in one tensor as long as possible: one
node adds the input's part to all of them, one node normalises them. A tuple of nodes stands for their values side by
side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import onnx_ir as ir

from ostinato.cells.widths import Widths
from ostinato.exporting.onnx.forward import COMMUTATIVE, Forward
from ostinato.exporting.onnx.nodes import Nodes
from ostinato.exporting.onnx.norms import Norm, norm_of, number_of_const
from ostinato.exporting.onnx.operations import operation
from ostinato.kernels.compiler.graph import MOVES, POINTWISE, Node, number_of, walk

_SINGLE = ("row", "one")
Pieces = tuple[Node, ...]
Write = Callable[[], ir.Value]


class Values(ABC):
    """The values of one graph.

    Args:
        nodes: the list that gets the nodes.
        forward: the step.
        widths: the number of units of each space.
    """

    def __init__(self, nodes: Nodes, forward: Forward, widths: Widths) -> None:
        self.nodes, self.forward, self.widths = nodes, forward, widths
        self._single: dict[Node, ir.Value] = {}
        self._together: dict[Pieces, ir.Value] = {}
        self._plans: dict[Pieces, Write | None] = {}
        self._parts: dict[object, list[ir.Value]] = {}
        self._families: dict[Node, tuple[Pieces, int]] = {}

    # --- what a subclass defines ---

    @abstractmethod
    def leaf(self, node: Node) -> ir.Value:
        """Return a value that comes from outside of the step; for pieces that are stored side by side see `whole`."""

    @abstractmethod
    def whole(self, pieces: Pieces) -> Write | None:
        """Return a function that writes leaves together, if they are already stored side by side; else None."""

    @abstractmethod
    def is_here(self, node: Node) -> bool:
        """Whether a value is computed in this graph, not in the outer one."""

    # --- single values ---

    def __call__(self, root: Node) -> ir.Value:
        """Return the value of a node."""
        for node in walk([root], self._is_at_hand):
            if node not in self._single:
                self._single[node] = self._written(node)
        return self._single[root]

    def _is_at_hand(self, node: Node) -> bool:
        """Whether a value can be written without its arguments."""
        return node in self._single or node in self._families or not self.is_here(node) or self._norm(node) is not None

    def _written(self, node: Node) -> ir.Value:
        if node in self._families and self.is_here(node):
            pieces, at = self._families[node]
            return self.cut(pieces, pieces, lambda: self.together(pieces))[at]
        if not self.is_here(node) or not node.args:
            return self._constant(node) if node.op in ("const", "unit") else self.leaf(node)
        if (norm := self._norm(node)) is not None:
            return self._normed(norm)
        return self._operation(node, [self._single[arg] for arg in node.args])

    def _constant(self, node: Node) -> ir.Value:
        if node.op == "const":
            return self.nodes.number(number_of_const(node, self.widths))
        return self.nodes.constant(np.arange(self.widths[node.space]).astype(self.nodes.dtype.numpy()))

    def _operation(self, node: Node, args: Sequence[ir.Value]) -> ir.Value:
        if node.op not in MOVES:
            return operation(self.nodes, node.op, args)
        at = np.arange(self.widths[node.space])
        at = np.roll(at, number_of(node)) if node.op == "roll" else at[::-1].copy()
        return self.nodes("Gather", args[0], self.nodes.constant(at), axis=-1)

    def cut(self, name: object, like: Sequence[Node], whole: Write) -> list[ir.Value]:
        """Split the result of `whole` into pieces as wide as the nodes `like`; it is done once for each `name`."""
        if name not in self._parts:
            self._parts[name] = self.nodes.split(whole(), [self.widths[node.space] for node in like])
        return self._parts[name]

    # --- values side by side ---

    def together(self, pieces: Pieces) -> ir.Value:
        """Return the values of some nodes side by side."""
        if len(pieces) == 1:
            return self(pieces[0])
        if pieces not in self._together:
            write = self.plan(pieces)
            self._together[pieces] = (
                self.nodes.concat([self(piece) for piece in pieces], -1) if write is None else write()
            )
        return self._together[pieces]

    def plan(self, pieces: Pieces) -> Write | None:
        """Return a function that writes the pieces by operations on all of them at once; None if there is none."""
        if pieces not in self._plans:
            self._plans[pieces] = None  # for a tuple that is needed within its own plan
            self._plans[pieces] = self._planned(pieces)
        return self._plans[pieces]

    def _planned(self, pieces: Pieces) -> Write | None:
        if len(set(pieces)) < len(pieces) or any(piece.space in _SINGLE for piece in pieces):
            return None
        if not all(self.is_here(piece) for piece in pieces) or not any(piece.args for piece in pieces):
            return self.whole(pieces)
        norm = norm_of(pieces, self.widths)
        if norm is not None and len(norm.pieces) == len(pieces) and self._can_be_together(norm.chosen):
            return lambda: self._layer_norm(norm)
        return self._alike(pieces)

    def _can_be_together(self, pieces: Pieces) -> bool:
        return len(pieces) == 1 or self.plan(pieces) is not None

    def _alike(self, pieces: Pieces) -> Write | None:
        """Return a function that applies one pointwise operation to all pieces; None if they differ."""
        first, *others = pieces
        if first.op not in POINTWISE or any(piece.op != first.op for piece in others):
            return None
        columns: list[Pieces | Node] = []
        for arguments in zip(first.args, *(_in_order(piece, first) for piece in others), strict=True):
            if len(set(arguments)) == 1 and arguments[0].space in _SINGLE:
                columns.append(arguments[0])
            elif self.plan(arguments) is not None:
                columns.append(arguments)
            else:
                return None
        return lambda: self._operation(
            first, [self(each) if isinstance(each, Node) else self.together(each) for each in columns]
        )

    # --- layer norm ---

    def _norm(self, node: Node) -> Norm | None:
        return norm_of([node], self.widths) if node.op in ("add", "mul", "div") else None

    def _layer_norm(self, norm: Norm) -> ir.Value:
        """Write the norm of all chosen pieces, in their order."""
        dtype, width = self.nodes.dtype.numpy(), sum(self.widths[piece.space] for piece in norm.chosen)
        gain = self.nodes.constant(np.ones(width, dtype)) if norm.gain is None else self.together(norm.gain)
        shift = [] if norm.shift is None else [self.together(norm.shift)]
        return self.nodes(
            "LayerNormalization", self.together(norm.chosen), gain, *shift, axis=-1, epsilon=norm.eps, name="norm"
        )

    def _normed(self, norm: Norm) -> ir.Value:
        """Write one normalised piece; the norm may be over several pieces."""
        if len(norm.pieces) == 1:
            return self._layer_norm(norm)
        pieces = tuple(sorted(norm.pieces, key=lambda node: (node.op, *map(str, node.key))))
        whole = Norm(pieces, pieces, norm.eps, None, None)
        every = self.cut((norm.eps, pieces), pieces, lambda: self._layer_norm(whole))
        found = every[pieces.index(norm.chosen[0])]
        if norm.gain is not None:
            found = self.nodes("Mul", found, self(norm.gain[0]))
        return found if norm.shift is None else self.nodes("Add", found, self(norm.shift[0]))

    # --- families ---

    def keep_together(self, pieces: Pieces) -> None:
        """Keep these pieces, and what equal operations make of them, side by side; split them as late as possible."""
        for each in self._longest(pieces, {}):
            self._families |= {piece: (each, at) for at, piece in enumerate(each)}

    def _longest(self, pieces: Pieces, known: dict[Pieces, list[Pieces]]) -> list[Pieces]:
        """Return the longest chain of tuples from `pieces` on, each made of the one before by one operation."""
        if pieces not in known:
            ways = [self._longest(each, known) for each in self._next(pieces) if self.plan(each) is not None]
            known[pieces] = [pieces, *max(ways, key=len, default=[])]
        return known[pieces]

    def _next(self, pieces: Pieces) -> Iterator[Pieces]:
        """Yield the tuples of nodes that apply the same operation to each of the pieces."""
        first, *others = (
            [user for user in self.forward.users.get(piece, ()) if self.is_here(user) and user.space not in _SINGLE]
            for piece in pieces
        )
        for user in first:
            found = [user]
            for piece, users in zip(pieces[1:], others, strict=True):
                found += [
                    other for other in users if other not in found and _does_the_same(other, piece, user, pieces[0])
                ][:1]
            if len(found) == len(pieces):
                yield tuple(found)


def _in_order(node: Node, like: Node) -> tuple[Node, ...]:
    """Return the arguments of a node; if their order does not matter, in the order of the similar node `like`."""
    if node.op in COMMUTATIVE:
        (a, b), (c, d) = node.args, like.args
        if not (_are_kin(a, c) and _are_kin(b, d)) and _are_kin(a, d) and _are_kin(b, c):
            return b, a
    return node.args


def _does_the_same(node: Node, to: Node, other: Node, to_other: Node) -> bool:
    """Whether `node` does to its argument `to` what `other` does to `to_other`."""
    if node.op != other.op:
        return False
    beside, beside_other = ([arg for arg in n.args if arg is not v] for n, v in ((node, to), (other, to_other)))
    return len(beside) == len(beside_other) and all(map(_are_kin, beside, beside_other))


def _are_kin(a: Node, b: Node) -> bool:
    return a is b or (a.op == b.op and (bool(a.args) or a.key[:1] == b.key[:1] or a.op == "x"))
