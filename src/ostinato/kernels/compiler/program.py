"""A step as the compiler's program: recurrent products, and between them a graph of pointwise operations, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ostinato.kernels.compiler.graph import Node, name_of, number_of, parts_of, piece_of, walk

_INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "eq": "==",
    "ne": "!=",
}


@dataclass(frozen=True)
class ProductNode:
    """A product with a matrix inside the step: `v M^T`, cut into pieces by rows of the matrix.

    Attributes:
        matrix: "weight_hh", "weight_ih", or the name of a matrix of the cell's own.
        gates: the blocks of `H` rows of the matrix that it uses, in order, one for each piece; () for a matrix of one piece.
        enters: `v`, of the space `entered` (or of a smaller one: the same for all units).
        space: the space of its pieces.
        entered: the space of what enters.
        heads: the number of blocks on the diagonal of each piece; the matrix has no other numbers.
    """

    matrix: str
    gates: tuple[int, ...]
    enters: Node
    space: str
    entered: str
    heads: int = 1

    @property
    def pieces(self) -> int:
        """The number of pieces that it yields."""
        return len(self.gates) or 1

    @property
    def is_of_input(self) -> bool:
        """Whether an input enters it unchanged, so that it can be computed for many time steps at once; heads are not."""
        return self.enters.op == "input" and self.heads == 1


@dataclass(frozen=True)
class Program:
    """One step and its derivative.

    A node may have a smaller space than its place (such as "one" for a gradient of zero): its value then holds for all units.

    Attributes:
        products: the products, ordered so that what enters one depends on earlier ones only.
        states: the new states.
        dx: for each gate, the gradient of the raw product `W_ih x`.
        du: for each product and piece, the gradient of its raw output. It depends on `dv` of later products only.
        dstates: the gradient of each old state; what reaches it through the products is included, as `dv`.
        dparameters: for each vector parameter and piece, the value whose sum over all rows and steps is the gradient.
        dinputs: the gradient of the input itself, "x", and of each extra; what reaches the input through `W_ih x` is not included.
        letters: the width of each state and of each of `dinputs`, by name; "1" for one number for each row.
        least: for some letters, the least number of units at which the program holds, as it takes units by their numbers.
    """

    products: tuple[ProductNode, ...]
    states: dict[str, Node]
    dx: tuple[Node, ...]
    du: tuple[tuple[Node, ...], ...]
    dstates: dict[str, Node]
    dparameters: dict[str, tuple[Node, ...]]
    dinputs: dict[str, Node]
    letters: dict[str, str]
    least: dict[str, int]

    @property
    def spaces(self) -> tuple[str, ...]:
        """The letters of all widths in the step, "H" first, and "1" if there are parameters of a single number."""
        found = ["H", *self.letters.values(), *(letter for p in self.products for letter in (p.space, p.entered))]
        leaves = walk([*self.states.values(), *(p.enters for p in self.products)])
        found += ["1" if leaf.space == "one" else leaf.space for leaf in leaves if leaf.op == "parameter"]
        return tuple(dict.fromkeys(found))

    def __str__(self) -> str:
        return "\n".join(_Listing(self).lines())


class _Listing:
    """Writes each value on a line of its own, before the first line that needs it."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._names: dict[Node, str] = {}
        self._multiplied: set[tuple[str, int]] = set()
        self._count = 0

    def lines(self) -> Iterator[str]:
        program = self._program
        yield "forward"
        for name, node in program.states.items():
            yield from self._result(f"{name}'", node)
        yield "backward"
        for at in reversed(range(len(program.products))):
            for piece, node in enumerate(program.du[at]):
                yield from self._result(f"du{at}[{piece}]", node)
        for gate, node in enumerate(program.dx):
            yield from self._result(f"dx[{gate}]", node)
        for name, node in program.dstates.items():
            yield from self._result(f"d{name}", node)
        for name, node in program.dinputs.items():
            yield from self._result(f"dinput {name}", node)
        for name, nodes in program.dparameters.items():
            for piece, node in enumerate(nodes):
                yield from self._result(f"d{name}[{piece}]", node, "+=")

    def _result(self, name: str, node: Node, sign: str = "=") -> Iterator[str]:
        yield from self._needed(node)
        yield f"  {name} {sign} {self._names[node]}"

    def _needed(self, node: Node) -> Iterator[str]:
        stack = [node]
        while stack:
            node = stack[-1]
            if missing := [n for n in self._inputs(node) if n not in self._names]:
                stack += missing[::-1]
                continue
            stack.pop()
            if node not in self._names:
                yield from self._named(node)

    def _inputs(self, node: Node) -> tuple[Node, ...]:
        if node.op not in ("u", "dv"):
            return node.args
        at = number_of(node)
        return (self._program.products[at].enters,) if node.op == "u" else self._program.du[at]

    def _named(self, node: Node) -> Iterator[str]:
        if node.op in ("u", "dv"):
            yield from self._product(node.op, number_of(node))
        if not node.args:
            self._names[node] = _leaf(node)
            return
        args = [self._names[a] for a in node.args]
        name = self._names[node] = f"v{self._count}"
        self._count += 1
        if node.op == "roll":
            args.append(str(number_of(node)))
        text = f" {_INFIX[node.op]} ".join(args) if node.op in _INFIX else f"{node.op}({', '.join(args)})"
        yield f"  {name} = {text}" + ("" if node.space == "H" else f"  # {node.space}")

    def _product(self, op: str, at: int) -> Iterator[str]:
        if (op, at) in self._multiplied:
            return
        self._multiplied.add((op, at))
        product = self._program.products[at]
        rows = f"[{' '.join(map(str, product.gates))}]" if product.gates else ""
        if op == "u":
            yield f"  u{at} = {product.matrix}{rows} {self._names[product.enters]}"
        else:
            yield f"  dv{at} = {product.matrix}{rows}^T du{at}"


def _leaf(node: Node) -> str:
    match node.op:
        case "const":
            value, size, power = parts_of(node)
            return repr(value) if size is None else f"({value!r} {'*' if power == 1 else '/'} {size})"
        case "state" | "mask":
            return name_of(node)
        case "input":
            return f"input {name_of(node)}"
        case "dstate":
            return f"d{name_of(node)}'"
        case "u":
            return f"u{number_of(node)}[{piece_of(node)}]"
        case "parameter":
            return f"{name_of(node)}[{piece_of(node)}]"
        case "dv":
            return f"dv{number_of(node)}"
        case "unit":
            return "unit"
        case _:
            return f"{node.op}[{number_of(node)}]"
