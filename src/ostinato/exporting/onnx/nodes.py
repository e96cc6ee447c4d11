"""A writer of the nodes of an ONNX graph."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

OPSET = 18  # runtimes since 2023 have it; LayerNormalization exists since 17


class Nodes:
    """A growing list of nodes.

    Args:
        dtype: the type of numbers.
        numbers: the numbers at the end of names; one iterator for a whole model, as names must differ in its subgraphs
            too.

    Attributes:
        all: the nodes, in order.
    """

    def __init__(self, dtype: ir.DataType, numbers: Iterator[int] | None = None) -> None:
        self.dtype = dtype
        self.numbers = itertools.count() if numbers is None else numbers
        self.all: list[ir.Node] = []

    def inside(self) -> Nodes:
        """Return an empty list for the nodes of a subgraph."""
        return Nodes(self.dtype, self.numbers)

    def value(self, name: str, dtype: ir.DataType | None = None) -> ir.Value:
        """Return a value with a unique name: it has a slash, and names of torch's exporter have none."""
        type_ = None if dtype is None else ir.TensorType(dtype)
        return ir.Value(name=f"{name}/{next(self.numbers)}", type=type_)

    def __call__(self, op: str, *inputs: ir.Value | None, outputs: int = 1, name: str = "", **attributes: Any) -> Any:
        """Append a node; return its output, or a list if it has several.

        Args:
            op: the operator's name in ONNX.
            *inputs: the inputs; None for one that is left out.
            outputs: the number of outputs.
            name: the beginning of the outputs' names; the operator in lower case by default.
            **attributes: the attributes of the operator.
        """
        values = [self.value(name or op.lower()) for _ in range(outputs)]
        given = ir.convenience.convert_attributes(attributes)
        self.all.append(ir.Node("", op, inputs, given, outputs=values, name=f"{values[0].name}/node"))
        return values[0] if outputs == 1 else values

    def number(self, value: float) -> ir.Value:
        """Append a constant: a single number of the graph's type."""
        return self.constant(np.array(value, self.dtype.numpy()))

    def integer(self, value: int) -> ir.Value:
        """Append a constant: a single whole number."""
        return self.constant(np.array(value, np.int64))

    def integers(self, *values: int) -> ir.Value:
        """Append a constant: a vector of whole numbers."""
        return self.constant(np.array(values, np.int64))

    def constant(self, array: np.ndarray) -> ir.Value:
        """Append a constant: an array."""
        return self("Constant", value=ir.tensor(array))

    def split(self, v: ir.Value, widths: Sequence[int]) -> list[ir.Value]:
        """Split a value into pieces along the last dimension."""
        if len(widths) == 1:
            return [v]
        if len(set(widths)) == 1:
            return self("Split", v, outputs=len(widths), axis=-1, num_outputs=len(widths))
        return self("Split", v, self.integers(*widths), outputs=len(widths), axis=-1)

    def columns(self, v: ir.Value, start: int, end: int) -> ir.Value:
        """Take the entries from `start` to `end`, exclusive, of the last dimension."""
        return self("Slice", v, self.integers(start), self.integers(end), self.integers(-1))

    def blocks(self, v: ir.Value, size: int, chosen: Sequence[int]) -> ir.Value:
        """Take blocks of `size` rows in the chosen order; by Slice, which is folded for constants, unlike Split."""
        count = len_of(v) // size
        if list(chosen) == list(range(count)):
            return v
        runs: list[list[int]] = []
        for at in chosen:
            if runs and runs[-1][1] == at:
                runs[-1][1] = at + 1
            else:
                runs.append([at, at + 1])
        parts = [self("Slice", v, self.integers(a * size), self.integers(b * size), self.integers(0)) for a, b in runs]
        return self.concat(parts, 0)

    def concat(self, values: Sequence[ir.Value], axis: int) -> ir.Value:
        """Concatenate values along an axis."""
        return values[0] if len(values) == 1 else self("Concat", *values, axis=axis)

    def transposed(self, matrix: ir.Value) -> ir.Value:
        """Transpose a matrix."""
        return self("Transpose", matrix, perm=[1, 0])

    def unsqueeze(self, v: ir.Value, axis: int) -> ir.Value:
        """Insert a dimension of size 1."""
        return self("Unsqueeze", v, self.integers(axis))

    def squeeze(self, v: ir.Value, axis: int) -> ir.Value:
        """Remove a dimension of size 1."""
        return self("Squeeze", v, self.integers(axis))


def size_of(v: ir.Value, axis: int) -> int | None:
    """Return the number of entries along a dimension; None if it may vary."""
    assert v.shape is not None
    size = v.shape[axis]
    return size if isinstance(size, int) else None


def len_of(v: ir.Value) -> int:
    """Return the number of rows of a parameter."""
    size = size_of(v, 0)
    assert size is not None
    return size
