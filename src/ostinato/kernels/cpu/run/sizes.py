"""What follows from the constants of a call and the sizes of the layer alone."""

from __future__ import annotations

from collections.abc import Sequence

from ostinato.kernels.call import CallSpec
from ostinato.kernels.cpu.code.kernel import Kernel
from ostinato.kernels.cpu.run.passes import Pass
from ostinato.types import Tensor

MOST_BOUND = 64  # bound calls that are kept for a cell, and passes that are kept for a kernel


class Sizes:
    """The passes of a call, and what its tensors have to be.

    Args:
        spec: the constants of the call.
        kernel: the compiled cell.
        inputs: `I`.
        hidden: `H`.
        output: `P`, or `H` without a projection.

    Attributes:
        input_row: the length of a row of the first layer's input, its extras included.
        directions: the number of directions.
        places: layers times directions.
        states: the number of states of a place.
        each: the number of parameters of a place.
        passes: the pass of each place.
        widths: the width of each state.
        functions: addresses of the functions that all cells share.
        dtype: the dtype of all tensors.
        bytes: the bytes of a number.
        count: how many tensors may have a gradient.
        packed_from: for each packed weight that the forward parts read, place by place, the index of the tensor it is packed from.
    """

    def __init__(self, spec: CallSpec, kernel: Kernel, inputs: int, hidden: int, output: int) -> None:
        self.spec, self.kernel, self.inputs = spec, kernel, inputs
        self.directions, self.places, self.states = len(spec.directions), spec.places, len(spec.cell.states)
        self.each = len(spec.parameters)
        self._at = {name: n for n, name in enumerate(spec.parameters)}
        self.passes = [
            _pass(kernel, inputs if layer == 0 else self.directions * output, hidden, output, spec.bf16)
            for layer in range(spec.layers)
            for _ in spec.directions
        ]
        first = self.passes[0]
        self.input_row = first.input_row
        self.widths = list(first.states.values())
        self.dtype, self.bytes, self.functions = first.dtype, first.shape.bytes, first.functions
        self.count = 1 + spec.places * self.each + self.states
        self.packed_from = [self.parameter(p, name) for p, of in enumerate(self.passes) for name, _ in of.packings]

    def parameter(self, place: int, name: str) -> int:
        """The index of a place's parameter among the tensors of the call."""
        return 1 + place * self.each + self._at[name]

    def check_parameters(self, given: Sequence[Tensor]) -> None:
        """Raise `RuntimeError`, as torch does, for a parameter of the wrong shape: machine code would read past its end."""
        for place, of in enumerate(self.passes):
            for n, name in enumerate(self.spec.parameters, 1 + place * self.each):
                if given[n].shape != of.shapes[name]:
                    raise RuntimeError(
                        f"{self.spec.names[n]} expected the shape {of.shapes[name]}, got {tuple(given[n].shape)}; "
                        "a parameter that is put in the place of a layer's own must have its shape"
                    )


def sizes_of(spec: CallSpec, given: Sequence[Tensor]) -> tuple[int, int, int]:
    """The sizes of the first layer: `I`, `H`, and `P` (`H` without a projection)."""
    cell, first = spec.cell, given[len(given) - len(spec.cell.states) :]
    width = {letter: v.shape[-1] for letter, v in zip(cell.states.values(), first, strict=True)}
    weight = given[1]
    inputs = weight.shape[1] if cell.extras else given[0].shape[-1]  # the input has extras in further columns
    return inputs, width.get("H", weight.shape[0] // len(cell.input_gates)), width[cell.states[cell.output]]


def _pass(kernel: Kernel, inputs: int, hidden: int, output: int, bf16: bool) -> Pass:
    """The pass of a kernel at these sizes, made once for all layers that have them."""
    key = inputs, hidden, output, bf16
    if (found := kernel.passes.get(key)) is None:
        while len(kernel.passes) >= MOST_BOUND:
            kernel.passes.pop(next(iter(kernel.passes)), None)
        found = kernel.passes.setdefault(key, Pass(kernel, *key))
    return found
