"""Nodes of an ONNX graph, written one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

OPSET = 18  # of runtimes since 2023; LayerNormalization is there since 17


class Nodes:
    """A list of nodes that grows.

    Args:
        dtype: of numbers.
        numbers: what names end with; one iterator for a whole model, as names must differ in its subgraphs too.

    Attributes:
        all: the nodes, in order.
    """

    def __init__(self, dtype: ir.DataType, numbers: Iterator[int] | None = None) -> None:
        self.dtype = dtype
        self.numbers = itertools.count() if numbers is None else numbers
        self.all: list[ir.Node] = []

    def inside(self) -> Nodes:
        """Those of a subgraph."""
        return Nodes(self.dtype, self.numbers)

    def value(self, name: str, dtype: ir.DataType | None = None) -> ir.Value:
        """A value with a name that no other has: torch's exporter writes no slash into the names of its own."""
        type_ = None if dtype is None else ir.TensorType(dtype)
        return ir.Value(name=f"{name}/{next(self.numbers)}", type=type_)

    def __call__(self, op: str, *inputs: ir.Value | None, outputs: int = 1, name: str = "", **attributes: Any) -> Any:
        """Appends a node; gives its value, or a list where there are several.

        Args:
            op: of the standard.
            *inputs: None for those that are left out.
            outputs: how many.
            name: what the values are called; the operator by default.
            **attributes: of the operator.
        """
        values = [self.value(name or op.lower()) for _ in range(outputs)]
        given = ir.convenience.convert_attributes(attributes)
        self.all.append(ir.Node("", op, inputs, given, outputs=values, name=f"{values[0].name}/node"))
        return values[0] if outputs == 1 else values

    def number(self, value: float) -> ir.Value:
        """A single number of the graph's type."""
        return self.constant(np.array(value, self.dtype.numpy()))

    def integer(self, value: int) -> ir.Value:
        """A single whole number."""
        return self.constant(np.array(value, np.int64))

    def integers(self, *values: int) -> ir.Value:
        """A vector of whole numbers."""
        return self.constant(np.array(values, np.int64))

    def constant(self, array: np.ndarray) -> ir.Value:
        """An array."""
        return self("Constant", value=ir.tensor(array))

    def split(self, v: ir.Value, widths: Sequence[int]) -> list[ir.Value]:
        """Into pieces along the last dimension."""
        if len(widths) == 1:
            return [v]
        if len(set(widths)) == 1:
            return self("Split", v, outputs=len(widths), axis=-1, num_outputs=len(widths))
        return self("Split", v, self.integers(*widths), outputs=len(widths), axis=-1)

    def columns(self, v: ir.Value, start: int, end: int) -> ir.Value:
        """Some of the last dimension."""
        return self("Slice", v, self.integers(start), self.integers(end), self.integers(-1))

    def blocks(self, v: ir.Value, size: int, chosen: Sequence[int]) -> ir.Value:
        """Blocks of so many rows of a parameter, in this order; by slices, which of constants are folded, as Split is not."""
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
        """One behind the other."""
        return values[0] if len(values) == 1 else self("Concat", *values, axis=axis)

    def transposed(self, matrix: ir.Value) -> ir.Value:
        """Rows for columns."""
        return self("Transpose", matrix, perm=[1, 0])

    def unsqueeze(self, v: ir.Value, axis: int) -> ir.Value:
        """With one more dimension."""
        return self("Unsqueeze", v, self.integers(axis))

    def squeeze(self, v: ir.Value, axis: int) -> ir.Value:
        """With one dimension less."""
        return self("Squeeze", v, self.integers(axis))


def size_of(v: ir.Value, axis: int) -> int | None:
    """The number of entries along a dimension; None where it may vary."""
    assert v.shape is not None
    size = v.shape[axis]
    return size if isinstance(size, int) else None


def len_of(v: ir.Value) -> int:
    """The number of rows of a parameter."""
    size = size_of(v, 0)
    assert size is not None
    return size
