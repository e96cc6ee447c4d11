"""The forward pass of a program, arranged so that a loop has few operations: what needs no state is kept apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

from ostinato.kernels.compiler.graph import Graph, Node, number_of, piece_of, walk
from ostinato.kernels.compiler.program import ProductNode, Program

_SINGLE = ("row", "one")
_NO_ROWS = frozenset(["parameter", "const", "unit", "mask"])  # leaves that are the same for all rows


@dataclass(frozen=True)
class Forward:
    """The computation of a step.

    Attributes:
        states: the new states by name.
        products: as in `Program`.
        letters: as in `Program`.
    """

    states: Mapping[str, Node]
    products: tuple[ProductNode, ...]
    letters: Mapping[str, str]

    @classmethod
    def of(cls, program: Program) -> Forward:
        """Take the step of a program, with sums rearranged: in a + (b + c) terms without a state are added first."""
        found = cls(program.states, program.products, program.letters)
        arranged = _Arranged(found)
        products = tuple(replace(p, enters=arranged(p.enters)) for p in program.products)
        return cls({name: arranged(v) for name, v in program.states.items()}, products, program.letters)

    @cached_property
    def roots(self) -> tuple[Node, ...]:
        """The results of the step: the new states, and the vectors that enter the products they need."""
        found, wanted = dict.fromkeys(self.states.values()), list(self.states.values())
        while wanted:
            needed = {number_of(node) for node in walk(wanted) if node.op == "u"}
            wanted = [enters for k in sorted(needed) if (enters := self.products[k].enters) not in found]
            found |= dict.fromkeys(wanted)
        return tuple(found)

    @cached_property
    def late(self) -> Mapping[Node, bool]:
        """For each value whether it needs a state, so must be computed in the loop."""
        return self._marked(lambda node: node.op == "state")

    @cached_property
    def varies(self) -> Mapping[Node, bool]:
        """For each value whether it differs between time steps."""
        return self._marked(lambda node: node.op in ("state", "x", "input"))

    @cached_property
    def has_rows(self) -> Mapping[Node, bool]:
        """For each value whether it differs between rows."""
        return self._marked(lambda node: not node.args and node.op not in _NO_ROWS)

    def _marked(self, is_marked: object) -> Mapping[Node, bool]:
        """Tell for each node whether it or a node that it depends on is marked; a product depends on what enters it."""
        assert callable(is_marked)
        found: dict[Node, bool] = {}

        def visit(root: Node) -> bool:
            for node in walk([root], found.__contains__):
                if node not in found:
                    if node.op == "u":
                        found[node] = visit(self.products[number_of(node)].enters)
                    else:
                        found[node] = bool(is_marked(node)) or any(found[arg] for arg in node.args)
            return found[root]

        for root in (*self.states.values(), *(p.enters for p in self.products)):
            visit(root)
        return found

    @cached_property
    def users(self) -> Mapping[Node, Sequence[Node]]:
        """For each node the nodes that have it as an argument."""
        found: dict[Node, list[Node]] = {}
        for node in walk(self.roots):
            for arg in dict.fromkeys(node.args):
                found.setdefault(arg, []).append(node)
        return found


class _Arranged:
    """Copies nodes to a new graph, with sums rearranged."""

    def __init__(self, forward: Forward) -> None:
        self._graph, self._late = Graph(), forward.late
        self._uses = Counter(arg for node in walk(forward.roots) for arg in node.args)
        self._uses.update(forward.roots)
        self._done: dict[Node, Node] = {}

    def __call__(self, root: Node) -> Node:
        for node in walk([root], self._done.__contains__):
            if node not in self._done:
                self._done[node] = self._written(node)
        return self._done[root]

    def _written(self, node: Node) -> Node:
        if node.op == "const" or not node.args:
            return self._graph.leaf(node.op, node.key, node.space)
        if node.op == "add" and node.space not in _SINGLE and self._late[node]:
            terms = list(self._terms(node))
            late = [self._done[term] for term in terms if self._late[term]]
            early = [self._done[term] for term in terms if not self._late[term]]
            return self._sum([*late, *([self._sum(early)] if early else [])])
        args = [self._done[arg] for arg in node.args]
        match node.op:
            case "sum":
                return self._graph.sum(args[0])
            case "max":
                return self._graph.max(args[0])
            case "roll":
                return self._graph.roll(args[0], number_of(node))
            case "flip":
                return self._graph.flip(args[0])
            case op:
                return self._graph.apply(op, *args)

    def _terms(self, node: Node) -> Iterable[Node]:
        for arg in node.args:
            if arg.op == "add" and arg.space not in _SINGLE and self._uses[arg] == 1:
                yield from self._terms(arg)
            else:
                yield arg

    def _sum(self, terms: Sequence[Node]) -> Node:
        return reduce(lambda a, b: self._graph.apply("add", a, b), terms)


COMMUTATIVE = frozenset({"add", "mul", "minimum", "maximum", "hypot", "eq", "ne", "and", "or"})


def same_equations(a: Program, b: Program) -> bool:
    """Tell whether two steps compute the same, regardless of the order of their sums and of their products."""
    known: dict[object, int] = {}
    return _numbered(a, known) == _numbered(b, known)


def _numbered(program: Program, known: dict[object, int]) -> dict[str, int]:
    """Number the new states, equal values by equal numbers. `known` holds the numbers of all values so far."""
    found: dict[Node, int] = {}

    def visit(root: Node) -> int:
        for node in walk([root], found.__contains__):
            if node not in found:
                found[node] = known.setdefault(described(node), len(known))
        return found[root]

    def described(node: Node) -> object:
        if node.op == "u":
            product = program.products[number_of(node)]
            gate = product.gates[piece_of(node)] if product.gates else 0
            return "u", product.matrix, product.heads, gate, visit(product.enters)
        args = [found[arg] for arg in node.args]
        return (node.op, node.space, *map(repr, node.key), *(sorted(args) if node.op in COMMUTATIVE else args))

    return {name: visit(node) for name, node in program.states.items()}
