"""The sizes of one direction of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ostinato.cells.spec import Cell
from ostinato.kernels.compiler.plan import Plan
from ostinato.kernels.gpu.code.phase import summed_outside


@dataclass(frozen=True, eq=False)
class LayerSizes:
    """What follows from a cell and the widths of a layer.

    Attributes:
        cell: the recurrence.
        plan: the plan of its step.
        bias: whether there are biases.
        inputs: `I`.
        hidden: `H`.
        projected: `P`, or 0 without a projection.
    """

    cell: Cell
    plan: Plan
    bias: bool
    inputs: int
    hidden: int
    projected: int

    @cached_property
    def widths(self) -> dict[str, int]:
        """The number of units by letter."""
        return self.cell.widths_at(self.inputs, self.hidden, self.projected).every()

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter."""
        return self.cell.parameter_sizes(self.inputs, self.hidden, self.projected, self.bias)

    @cached_property
    def inputs_at(self) -> dict[str, tuple[int, int]]:
        """For the input itself, "x", and each extra: where in a row of the input it begins, and its width."""
        found, at = {"x": (0, self.inputs)}, self.inputs
        for name, size in self.cell.extra_sizes(self.inputs, self.hidden, self.projected).items():
            found[name] = at, size
            at += size
        return found

    @cached_property
    def widest(self) -> int:
        """The largest number of units of a space of the step."""
        return max(self.widths[letter] for letter in self.plan.program.spaces)

    @cached_property
    def summed_outside(self) -> Mapping[tuple[str, int], int]:
        """See `code.phase.summed_outside`."""
        return summed_outside(self.plan)
