"""ONNX's own LSTM, GRU and RNN, for cells that compute the same."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from ostinato.cells.elman import rnn_relu, rnn_sigmoid, rnn_tanh
from ostinato.cells.gru import gru, gru_reset_before
from ostinato.cells.lstm import lstm
from ostinato.cells.options import coupled_gates, peephole
from ostinato.cells.spec import Cell
from ostinato.exporting.onnx.forward import same_equations
from ostinato.exporting.onnx.nodes import Nodes, len_of, size_of
from ostinato.kernels.call import FIRST
from ostinato.kernels.compiler.program import Program
from ostinato.kernels.compiler.trace import trace


@dataclass(frozen=True)
class Operator:
    """An operator of ONNX, and how our weights become its weights.

    Attributes:
        name: the name of the operator.
        rows: for each gate of ONNX the number of our gate, and 1 or -1, a factor of its rows: as sigmoid(-v) = 1 -
            sigmoid(v), -1 makes a gate that writes of one that keeps.
        peepholes: for each peephole of ONNX (i, o, f) our parameter and its sign; () for none.
        attributes: the attributes of the node.
    """

    name: str
    rows: tuple[tuple[int, int], ...]
    peepholes: tuple[tuple[str, int], ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])


_LSTM = ((0, 1), (3, 1), (1, 1), (2, 1))  # i o f g of our i f g o
_COUPLED = ((0, -1), (2, 1), (0, 1), (1, 1))  # of our f g o: i is 1 - f, and ONNX computes f as 1 - i
_PEEPHOLES = (("weight_ci", 1), ("weight_co", 1), ("weight_cf", 1))
_KNOWN: tuple[tuple[Cell, Operator], ...] = (
    (lstm, Operator("LSTM", _LSTM)),
    (peephole(lstm), Operator("LSTM", _LSTM, _PEEPHOLES)),
    (coupled_gates(lstm), Operator("LSTM", _COUPLED, attributes={"input_forget": 1})),
    (
        peephole(coupled_gates(lstm)),
        Operator("LSTM", _COUPLED, (("weight_cf", -1), *_PEEPHOLES[1:]), {"input_forget": 1}),
    ),
    (gru, Operator("GRU", ((1, 1), (0, 1), (2, 1)), attributes={"linear_before_reset": 1})),  # z r n of our r z n
    (gru_reset_before, Operator("GRU", ((1, -1), (0, 1), (2, 1)), attributes={"linear_before_reset": 0})),
    *(
        (known, Operator("RNN", ((0, 1),), attributes={"activations": [activation]}))
        for known, activation in ((rnn_tanh, "Tanh"), (rnn_relu, "Relu"), (rnn_sigmoid, "Sigmoid"))
    ),
)


def operator_of(cell: Cell, program: Program) -> Operator | None:
    """Return the operator that computes a cell, whose program equals that of a cell in ONNX; None if there is none.

    Args:
        cell: the cell, from the library or a user's own.
        program: its step.
    """
    if cell.heads > 1 or cell.extras or cell.raw:
        return None
    bias = "bias_ih" in program.dparameters
    for known, operator in _KNOWN:
        is_like = (len(known.gates), *known.states) == (len(cell.gates), *cell.states)
        if is_like and len(known.parameters) == len(cell.parameters) and same_equations(program, _known(known, bias)):
            return operator
    return None


@functools.cache
def _known(cell: Cell, bias: bool) -> Program:
    return trace(cell, bias, False)


@dataclass
class Direction:
    """A node of one direction of a layer; the nodes of both directions may be joined.

    Attributes:
        operator: the operator of the node.
        input: `(T, B, I)`.
        lengths: the lengths of the call, or None.
        is_reverse: whether the direction runs from the last step to the first.
        node: the node.
        output: `(T, B, H)`, the node's first output without its axis of directions.
    """

    operator: Operator
    input: ir.Value
    lengths: ir.Value | None
    is_reverse: bool
    node: ir.Node
    output: ir.Value


def standard(
    nodes: Nodes, operator: Operator, cell: Cell, given: Mapping[str, ir.Value], reverse: bool, lengths: ir.Value | None
) -> tuple[list[ir.Value], Direction]:
    """Write a recurrence as ONNX's own operator; for arguments and results see `scan`. Also return the `Direction`."""

    def signed(v: ir.Value, sign: int) -> ir.Value:
        return nodes("Neg", v) if sign < 0 else v

    def ordered(name: str) -> ir.Value:
        v, size = given[name], len_of(given[name]) // len(cell.gates)
        if all(sign > 0 for _, sign in operator.rows):
            return nodes.blocks(v, size, [gate for gate, _ in operator.rows])
        return nodes.concat([signed(nodes.blocks(v, size, [gate]), sign) for gate, sign in operator.rows], 0)

    bias = None
    if "bias_ih" in given:
        bias = nodes.unsqueeze(nodes.concat([ordered("bias_ih"), ordered("bias_hh")], 0), 0)
    begins_at_zero = all(_is_zero(given[FIRST + name]) for name in cell.states)
    first = [None if begins_at_zero else nodes.unsqueeze(given[FIRST + name], 0) for name in cell.states]
    more: list[ir.Value | None] = []
    if operator.peepholes:
        parts = [signed(given[name], sign) for name, sign in operator.peepholes]
        more.append(nodes.unsqueeze(nodes.concat(parts, 0), 0))
    y, *last = nodes(
        operator.name,
        given["input"],
        nodes.unsqueeze(ordered("weight_ih"), 0),
        nodes.unsqueeze(ordered("weight_hh"), 0),
        bias,
        None if lengths is None else nodes("Cast", lengths, to=int(ir.DataType.INT32)),
        *first,
        *more,
        outputs=1 + len(first),
        hidden_size=size_of(given["weight_hh"], 1),
        direction="reverse" if reverse else "forward",
        **operator.attributes,
    )
    node = y.producer()
    assert node is not None
    output, last = nodes.squeeze(y, 1), [nodes.squeeze(v, 0) for v in last]
    if lengths is not None and not begins_at_zero:
        # ONNX does not define the last state of a row without steps; ONNX Runtime gives 0.
        has_steps = nodes.unsqueeze(nodes("Greater", lengths, nodes.integer(0)), -1)
        last = [nodes("Where", has_steps, v, given[FIRST + n]) for n, v in zip(cell.states, last, strict=True)]
    return [output, *last], Direction(operator, given["input"], lengths, reverse, node, output)


def _is_zero(v: ir.Value) -> bool:
    """Whether a first state is all zeros by construction."""
    node = v.producer()
    if node is None or node.op_type != "Expand" or (number := node.inputs[0]) is None:
        return False
    tensor = ir.convenience.get_const_tensor(number)
    return tensor is not None and tensor.size == 1 and not tensor.numpy().any()


def join(graph: ir.Graph, nodes: Nodes, directions: Sequence[Direction]) -> None:
    """Join the two nodes of a bidirectional layer to one node, if their outputs are concatenated.

    Args:
        graph: the graph of the nodes.
        nodes: an empty list for the new nodes.
        directions: all directions that were written.
    """
    waiting = [each for each in directions if not each.is_reverse]
    for backward in (each for each in directions if each.is_reverse):
        for forward in waiting:
            if (beside := _beside(forward, backward)) is not None:
                _join(nodes, forward, backward, beside)
                waiting.remove(forward)
                break
    if nodes.all:
        graph.extend(nodes.all)
        graph.sort()


def _beside(forward: Direction, backward: Direction) -> ir.Node | None:
    """Return the node that concatenates the outputs of two directions; None if they are not of one layer."""
    same = forward.input is backward.input and forward.lengths is backward.lengths
    if not same or forward.operator != backward.operator:
        return None
    for user in forward.output.consumers():
        axis = user.attributes.get_int("axis", 0) if user.op_type == "Concat" else 0
        if tuple(user.inputs) == (forward.output, backward.output) and axis in (-1, 2):
            return user
    return None


def _join(nodes: Nodes, forward: Direction, backward: Direction, beside: ir.Node) -> None:
    pairs = list(zip(forward.node.inputs, backward.node.inputs, strict=True))
    x, *others = pairs
    lens = 3  # the index of the lengths among the inputs after the first
    inputs = [
        a if a is None or b is None or at == lens else nodes("Concat", a, b, axis=0) for at, (a, b) in enumerate(others)
    ]
    attributes = dict(forward.operator.attributes)
    if "activations" in attributes:  # one for each direction
        attributes["activations"] = attributes["activations"] * 2
    # The exporter has removed last states that are not used.
    count = max(2, len(forward.node.outputs), len(backward.node.outputs))
    y, *last = nodes(
        forward.operator.name,
        x[0],
        *inputs,
        outputs=count,
        hidden_size=forward.node.attributes.get_int("hidden_size"),
        direction="bidirectional",
        **attributes,
    )
    hidden = forward.node.attributes.get_int("hidden_size", 0)
    together = nodes(
        "Reshape", nodes("Transpose", y, perm=[0, 2, 1, 3]), nodes.integers(0, 0, 2 * hidden)
    )  # (T, 2, B, H)
    together.shape, together.type = beside.outputs[0].shape, beside.outputs[0].type
    ir.convenience.replace_all_uses_with(beside.outputs[0], together, replace_graph_outputs=True)
    for at, v in enumerate(last, 1):
        both = nodes("Split", v, outputs=2, axis=0, num_outputs=2)
        for direction, part in zip((forward, backward), both, strict=True):
            if at < len(direction.node.outputs):
                ir.convenience.replace_all_uses_with(direction.node.outputs[at], part)
