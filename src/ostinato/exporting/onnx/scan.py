"""A recurrence as ONNX's `Scan`, whose body is the step; a single step is written without `Scan`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import onnx_ir as ir

from ostinato.cells.spec import Cell
from ostinato.exporting.onnx.forward import Forward
from ostinato.exporting.onnx.nodes import OPSET, Nodes, size_of
from ostinato.exporting.onnx.values import Pieces, Values, Write
from ostinato.kernels.call import FIRST
from ostinato.kernels.compiler.graph import Node, name_of, number_of, piece_of, walk
from ostinato.kernels.compiler.program import ProductNode, Program


def scan(
    nodes: Nodes,
    cell: Cell,
    program: Program,
    given: Mapping[str, ir.Value],
    shown: Sequence[str],
    reverse: bool,
    lengths: ir.Value | None,
) -> list[ir.Value]:
    """Write a recurrence.

    Args:
        nodes: the list that gets the nodes.
        cell: the cell of the recurrence.
        program: the cell's step.
        given: the tensors of the call by the names of `operand_names`; those with a time axis are `(T, B, ...)`.
        shown: the names of the states whose values at all steps are outputs.
        reverse: whether it runs from the last step to the first.
        lengths: the number of valid steps of each row, `(B,)` int64; None for T.

    Returns:
        The `shown` states at all steps, `(T, B, W)` each, zero past a row's end; then the last states, `(B, W)` each.
    """
    forward = Forward.of(program)
    around = _Around(nodes, forward, cell, given)
    first = {name: given[FIRST + name] for name in cell.states}
    if size_of(given["input"], 0) == 1:
        return _one_step(around, first, shown, lengths)
    inside = nodes.inside()
    states = {name: inside.value(name, nodes.dtype) for name in cell.states}
    body = _Step(inside, around, states)
    new = body.new_states()
    rows, time = dict(new), inside.value("t", ir.DataType.INT64)
    if lengths is not None:
        new, rows = _while_it_lasts(inside, inside("Less", time, lengths), new, states)
    # An output of a body may neither be an input of a node in it nor be listed twice; `Identity` ensures both.
    leaving = [inside("Identity", v) for v in (*new.values(), *(rows[name] for name in shown))]
    for v in leaving:
        v.type = ir.TensorType(nodes.dtype)
    entering, scanned = [v for _, v in body.scanned], [v for v, _ in body.scanned]
    if lengths is not None or not scanned:  # Scan needs an input that has the number of steps
        scanned.append(_steps(nodes, given["input"]))
        entering.append(time)
    graph = ir.Graph(
        [*states.values(), *entering],
        leaving,
        nodes=inside.all,
        name=nodes.value("step").name,
        opset_imports={"": OPSET},
    )
    backward = int(reverse)
    found = nodes(
        "Scan",
        *first.values(),
        *scanned,
        outputs=len(leaving),
        body=graph,
        num_scan_inputs=len(scanned),
        scan_input_directions=[backward] * len(scanned),
        scan_output_directions=[backward] * len(shown),
    )
    return [*found[len(first) :], *found[: len(first)]]


def _one_step(
    around: _Around, first: Mapping[str, ir.Value], shown: Sequence[str], lengths: ir.Value | None
) -> list[ir.Value]:
    nodes = around.nodes
    new = _Step(nodes, around, first).new_states()
    rows = dict(new)
    if lengths is not None:
        new, rows = _while_it_lasts(nodes, nodes("Greater", lengths, nodes.integer(0)), new, first)
    return [*(nodes.unsqueeze(rows[name], 0) for name in shown), *new.values()]


def _while_it_lasts(
    nodes: Nodes, goes_on: ir.Value, new: Mapping[str, ir.Value], old: Mapping[str, ir.Value]
) -> tuple[dict[str, ir.Value], dict[str, ir.Value]]:
    """Return the new states with the old ones in rows that have ended, and the new states with zeros there."""
    valid = nodes.unsqueeze(goes_on, -1)
    nothing = nodes.number(0)
    kept = {name: nodes("Where", valid, v, old[name]) for name, v in new.items()}
    return kept, {name: nodes("Where", valid, v, nothing) for name, v in new.items()}


def _steps(nodes: Nodes, input: ir.Value) -> ir.Value:
    """Return the numbers 0 to T - 1."""
    count = nodes.squeeze(nodes("Shape", input, start=0, end=1), 0)
    return nodes("Range", nodes.integer(0), count, nodes.integer(1))


class _Around(Values):
    """The values that need no state. Each is computed once, for all time steps together if it differs between them."""

    def __init__(self, nodes: Nodes, forward: Forward, cell: Cell, given: Mapping[str, ir.Value]) -> None:
        self._cell, self.given = cell, given
        weight = given["weight_ih"]
        rows, columns = size_of(weight, 0), size_of(weight, 1)
        assert rows is not None
        assert columns is not None
        hidden = rows // len(cell.input_gates)
        projected = size_of(given[FIRST + cell.output], 1) if "P" in cell.states.values() else 0
        super().__init__(nodes, forward, cell.widths_at(columns, hidden, projected or 0))
        self._input_size = columns
        self._noise = {noise.name: 1.0 if noise.scaled else 1.0 - noise.rate for noise in cell.noise}
        gates = {number_of(node): node for node in forward.varies if node.op == "x"}
        self._gates = tuple(gates[n] for n in sorted(gates))
        if len(gates) == len(cell.input_gates) > 1:
            self.keep_together(self._gates)

    def is_here(self, node: Node) -> bool:
        return not self.forward.late[node]

    def leaf(self, node: Node) -> ir.Value:
        match node.op:
            case "x":
                every = [Node("x", (), "H")] * len(self._cell.input_gates)
                return self.cut("x", every, lambda: self._projected)[number_of(node)]
            case "input":
                return self._input(name_of(node))
            case "mask":  # in evaluation a mask is its expectation
                return self.nodes.number(self._noise[name_of(node)])
            case "parameter":
                return self._rows((node,))
            case _:
                assert node.op == "u"
                k = number_of(node)
                return self.cut(k, [node] * self.forward.products[k].pieces, lambda: self._product(k))[piece_of(node)]

    def whole(self, pieces: Pieces) -> Write | None:
        kinds = {(piece.op, name_of(piece) if piece.op == "parameter" else "") for piece in pieces}
        if len(kinds) > 1:
            return None
        op = pieces[0].op
        if op == "parameter":
            return lambda: self._rows(pieces)
        if op == "x" and [number_of(piece) for piece in pieces] == list(range(len(self._cell.input_gates))):
            return lambda: self._projected
        return None

    def _rows(self, pieces: Pieces) -> ir.Value:
        """Return pieces of a vector of the cell, or of a bias."""
        v, size = self.given[name_of(pieces[0])], self.widths[pieces[0].space] if pieces[0].space != "one" else 1
        return self.nodes.blocks(v, size, [piece_of(piece) for piece in pieces])

    @cached_property
    def _projected(self) -> ir.Value:
        """W_ih x for all gates and time steps."""
        x = self.given["input"]
        if self._cell.extras:
            x = self.nodes.columns(x, 0, self._input_size)
        return self.nodes("MatMul", x, self.nodes.transposed(self.given["weight_ih"]), name="x")

    def _input(self, name: str) -> ir.Value:
        x = self.given["input"]
        sizes = self._cell.extra_sizes(self._input_size, self.widths.hidden, self.widths.projected)
        if name == "x" and self._cell.raw and name not in sizes:
            return self.nodes.columns(x, 0, self._input_size) if sizes else x
        start = self._input_size
        for other, size in sizes.items():
            if other == name:
                return self.nodes.columns(x, start, start + size)
            start += size
        raise AssertionError(name)

    def _product(self, k: int) -> ir.Value:
        """Return a matrix product that needs no state."""
        product, nodes = self.forward.products[k], self.nodes
        v = self(product.enters)
        width = self.widths[product.entered]
        if product.enters.space in ("row", "one") and width > 1:
            v = nodes("Mul", v, nodes.constant(np.ones(width, nodes.dtype.numpy())))
        if product.heads == 1 or not self.forward.varies[product.enters]:
            return self.multiplied(nodes, product, v)
        flat = self.multiplied(nodes, product, nodes("Reshape", v, nodes.integers(-1, width)))
        shape = nodes.concat([nodes("Shape", self.given["input"], start=0, end=2), nodes.integers(-1)], 0)
        return nodes("Reshape", flat, shape)

    # --- products ---

    def matrix(self, product: ProductNode) -> ir.Value:
        """Return the matrix of a product, transposed; with heads `(N, H / N, g H / N)`."""
        matrix = self.given[product.matrix]
        if product.gates:
            matrix = self.nodes.blocks(matrix, self.widths["H"], product.gates)
        if product.heads == 1:
            return self.nodes.transposed(matrix)
        heads, columns = product.heads, size_of(self.given[product.matrix], 1)
        each = self.widths["H"] // heads
        # (g N j, k) to (N, k, g j)
        apart = self.nodes("Reshape", matrix, self.nodes.integers(len(product.gates), heads, each, columns or 0))
        turned = self.nodes("Transpose", apart, perm=[1, 3, 0, 2])
        return self.nodes("Reshape", turned, self.nodes.integers(heads, columns or 0, -1))

    def multiplied(self, nodes: Nodes, product: ProductNode, v: ir.Value) -> ir.Value:
        """Return `v M^T`, with all pieces side by side; `v` is `(..., columns)`, with heads `(B, columns)`."""
        matrix = self.matrix(product)
        if product.heads == 1:
            return nodes("MatMul", v, matrix, name="u")
        heads, each = product.heads, self.widths["H"] // product.heads
        rows = nodes("Transpose", nodes("Reshape", v, nodes.integers(0, heads, -1)), perm=[1, 0, 2])  # (N, B, k)
        found = nodes("MatMul", rows, matrix, name="u")  # (N, B, g j)
        apart = nodes("Reshape", found, nodes.integers(heads, 0, len(product.gates), each))
        return nodes("Reshape", nodes("Transpose", apart, perm=[1, 2, 0, 3]), nodes.integers(0, -1))


class _Step(Values):
    """The values that need a state.

    Args:
        nodes: the nodes of the body; for a single step those of the outer graph.
        around: the values of the outer graph.
        states: the old states.

    Attributes:
        scanned: pairs for each value that differs between time steps: the value in the outer graph, and the one in the
            body.
    """

    def __init__(self, nodes: Nodes, around: _Around, states: Mapping[str, ir.Value]) -> None:
        super().__init__(nodes, around.forward, around.widths)
        self._around, self._states = around, states
        self.scanned: list[tuple[ir.Value, ir.Value]] = []
        self._entered: dict[str, ir.Value] = {}
        self._raw: dict[int, ir.Value] = {}
        for k, pieces in self._multiplied.items():
            if len(pieces) == self.forward.products[k].pieces > 1:
                self.keep_together(tuple(pieces[n] for n in range(len(pieces))))

    def is_here(self, node: Node) -> bool:
        return self.forward.late[node]

    @cached_property
    def _multiplied(self) -> dict[int, dict[int, Node]]:
        """The pieces by number of each product that needs a state, by the number of the product."""
        found: dict[int, dict[int, Node]] = {}
        for node in walk(self.forward.roots):
            if node.op == "u" and self.is_here(node):
                found.setdefault(number_of(node), {})[piece_of(node)] = node
        return dict(sorted(found.items()))

    def new_states(self) -> dict[str, ir.Value]:
        """Return the states after the step, `(B, W)` each."""
        for k in self._multiplied:  # in order, so that none is written while another is being written
            self._product(k)
        widths = {name: self.widths[letter] for name, letter in self.forward.letters.items() if name in self._states}
        return {name: self._full(node, widths[name]) for name, node in self.forward.states.items()}

    def leaf(self, node: Node) -> ir.Value:
        if not self.is_here(node):
            return self._from_around((node,), self._around(node))
        if node.op == "state":
            return self._states[name_of(node)]
        assert node.op == "u"
        k = number_of(node)
        return self.cut(k, [node] * self.forward.products[k].pieces, lambda: self._product(k))[piece_of(node)]

    def whole(self, pieces: Pieces) -> Write | None:
        if not any(self.is_here(piece) for piece in pieces):
            return None if self._around.plan(pieces) is None else lambda: self._together_around(pieces)
        if not all(piece.op == "u" for piece in pieces):
            return None
        k = number_of(pieces[0])
        every = [(k, n) for n in range(self.forward.products[k].pieces)]
        if [(number_of(piece), piece_of(piece)) for piece in pieces] != every:
            return None
        return lambda: self._product(k)

    def _together_around(self, pieces: Pieces) -> ir.Value:
        return self._from_around(pieces, self._around.together(pieces))

    def _from_around(self, pieces: Pieces, v: ir.Value) -> ir.Value:
        """Return a value of the outer graph in the body: its entry of this time step if it differs between steps."""
        if not any(self.forward.varies[piece] for piece in pieces):
            return v
        if v.name not in self._entered:
            assert v.name is not None
            if self.nodes is self._around.nodes:
                here = self.nodes.squeeze(v, 0)
            else:
                is_condition = pieces[0].is_boolean
                here = self.nodes.value("x", ir.DataType.BOOL if is_condition else self.nodes.dtype)
                self.scanned.append((v, here))
            self._entered[v.name] = here
        return self._entered[v.name]

    def _product(self, k: int) -> ir.Value:
        if k not in self._raw:
            product = self.forward.products[k]
            enters = self._full(product.enters, self.widths[product.entered])
            self._raw[k] = self._around.multiplied(self.nodes, product, enters)
        return self._raw[k]

    def _full(self, node: Node, width: int) -> ir.Value:
        """Return a value with one number for each row and unit, expanded if it is the same for all rows or units."""
        v = self(node)
        is_narrow = node.space in ("row", "one") and width > 1
        if self.forward.has_rows[node] and not is_narrow:
            return v
        some = next(iter(self._states.values()))
        shape = self.nodes.concat([self.nodes("Shape", some, start=0, end=1), self.nodes.integers(width)], 0)
        return self.nodes("Expand", v, shape)
