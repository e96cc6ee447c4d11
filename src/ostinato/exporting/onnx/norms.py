"""Recognition of layer norm in a program, where it is written as sums over the units of several gates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ostinato.cells.widths import Widths
from ostinato.kernels.compiler.graph import Node, parts_of, plain


class Norm(NamedTuple):
    """(v - mean) / sqrt(variance + eps) over the units of all pieces together, with or without gain and shift.

    Attributes:
        pieces: all pieces that are normalised together, in no order.
        chosen: the pieces whose normalised values are wanted.
        eps: the number that is added to the variance.
        gain: for each chosen piece the piece of a parameter that multiplies it; None for no gain.
        shift: for each chosen piece the piece of a parameter that is added to it; None for no shift.
    """

    pieces: tuple[Node, ...]
    chosen: tuple[Node, ...]
    eps: float
    gain: tuple[Node, ...] | None
    shift: tuple[Node, ...] | None


def norm_of(nodes: Sequence[Node], widths: Widths) -> Norm | None:
    """Return the norm whose normalised pieces these nodes are; None if they are something else."""
    shift, core = _with_parameter(nodes, "add")
    gain, core = _with_parameter(core, "mul")
    found = _core(core, widths)
    if found is None:
        return None
    pieces, chosen, eps = found
    return Norm(pieces, chosen, eps, gain, shift)


def _with_parameter(nodes: Sequence[Node], op: str) -> tuple[tuple[Node, ...] | None, tuple[Node, ...]]:
    """Split nodes `parameter op other` into parameters and others; None and the nodes if one has another form."""
    parameters: list[Node] = []
    others: list[Node] = []
    for node in nodes:
        found = [arg for arg in node.args if arg.op == "parameter"] if node.op == op else []
        if len(found) != 1:
            return None, tuple(nodes)
        parameters += found
        others += [arg for arg in node.args if arg is not found[0]]
    return tuple(parameters), tuple(others)


def _core(nodes: Sequence[Node], widths: Widths) -> tuple[tuple[Node, ...], tuple[Node, ...], float] | None:
    deviations: list[Node] = []
    scales: list[Node] = []
    for node in nodes:
        if node.op == "div" and node.args[1].op == "sqrt":
            pair = node.args
        elif node.op == "mul" and any(arg.op == "rsqrt" for arg in node.args):
            a, b = node.args
            pair = (a, b) if b.op == "rsqrt" else (b, a)
        else:
            return None
        if pair[0].op != "sub":
            return None
        deviations.append(pair[0])
        scales.append(pair[1])
    means = {node.args[1] for node in deviations}
    if len(set(scales)) != 1 or len(means) != 1:
        return None
    variance, eps = _without_eps(scales[0].args[0])
    squares = _mean_terms(variance, widths)
    pieces = _mean_terms(means.pop(), widths)
    if squares is None or pieces is None or len(set(pieces)) != len(pieces):
        return None
    of_squares = [_root(square, deviations[0].args[1]) for square in squares]
    chosen = tuple(node.args[0] for node in deviations)
    if None in of_squares or set(of_squares) != set(pieces) or not set(chosen) <= set(pieces):
        return None
    return tuple(pieces), chosen, eps


def _without_eps(variance: Node) -> tuple[Node, float]:
    if variance.op == "add":
        for number, other in (variance.args, variance.args[::-1]):
            if (value := plain(number)) is not None:
                return other, value
    return variance, 0.0


def _root(square: Node, mean: Node) -> Node | None:
    """Return v if `square` is the square of v - mean; else None."""
    if square.op != "mul" or square.args[0] is not square.args[1]:
        return None
    deviation = square.args[0]
    return deviation.args[0] if deviation.op == "sub" and deviation.args[1] is mean else None


def _mean_terms(mean: Node, widths: Widths) -> list[Node] | None:
    """Return the pieces whose mean over all units a value of a row is; None if it is not a mean."""
    if mean.op != "mul":
        return None
    for number, total in (mean.args, mean.args[::-1]):
        if number.op != "const":
            continue
        terms = list(_terms(total))
        if any(term.op != "sum" for term in terms):
            return None
        pieces = [term.args[0] for term in terms]
        count = sum(widths[piece.space] for piece in pieces)
        if math.isclose(number_of_const(number, widths), 1 / count, rel_tol=1e-9):
            return pieces
    return None


def _terms(total: Node) -> list[Node]:
    return [term for arg in total.args for term in _terms(arg)] if total.op == "add" else [total]


def number_of_const(const: Node, widths: Widths) -> float:
    """Return the value of a constant, which may be a power of a width."""
    value, size, power = parts_of(const)
    return value * widths[size] ** power if size else value
