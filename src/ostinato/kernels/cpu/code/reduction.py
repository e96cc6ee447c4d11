"""Sums and maxima over the units of a row: collected in a vector, whose lanes are reduced to one number at the end."""

from __future__ import annotations

import math
from dataclasses import dataclass

from llvmlite import ir

from ostinato.kernels.cpu.code.builder import I32, Code, Value
from ostinato.kernels.cpu.code.product import Shape
from ostinato.kernels.cpu.code.vector import Lanes, emit


@dataclass(frozen=True)
class Reduction:
    """One of the graph's `REDUCTIONS` on vectors of a shape."""

    op: str
    shape: Shape

    @property
    def nothing(self) -> ir.Constant:
        """The value that changes no result (0 for a sum), in every lane."""
        return Lanes(self.shape.lanes, self.shape.double).const(0.0 if self.op == "sum" else -math.inf)

    def joined(self, code: Code, a: Value, b: Value) -> Value:
        """Combine two vectors, lane by lane."""
        if self.op == "sum":
            return code.builder.fadd(a, b)
        return emit(code.builder, Lanes(self.shape.lanes, self.shape.double), "maximum", [a, b])

    def number(self, code: Code, gathered: Value) -> Value:
        """Reduce all lanes of a vector to one number."""
        if self.op == "sum":
            return self.shape.total(code, gathered)
        lanes, b = self.shape.lanes, code.builder
        while lanes > 1:
            lanes //= 2
            places = [n ^ lanes for n in range(self.shape.lanes)]
            turned = b.shuffle_vector(gathered, gathered, ir.Constant(ir.VectorType(I32, len(places)), places))
            gathered = self.joined(code, gathered, turned)
        return b.extract_element(gathered, ir.Constant(I32, 0))
