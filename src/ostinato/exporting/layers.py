"""Layers and single steps as graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ostinato.errors import ConfigError
from ostinato.exporting.graph import Around, Axis, Graph, Port, flat
from ostinato.nn import Recurrent, Step
from ostinato.types import Tensor


class StateNames:
    """The states of a stack of layers as single tensors with names.

    Args:
        layer: the stack.
    """

    def __init__(self, layer: Recurrent) -> None:
        self._shapes, self._places = layer._layout.shapes, layer.num_directions
        self._layers = layer.num_layers

    def ports(self, end: str, about: str) -> list[Port]:
        """Return one port `(L D, B, H)` for each state, or one for each layer if the widths of the layers differ.

        Args:
            end: "0" for the first states, "n" for the last.
            about: the description of the ports.
        """
        found: list[Port] = []
        for name, shapes in self._shapes.items():
            if len(set(shapes)) == 1:
                found.append(Port(f"{name}_{end}", (self._layers * self._places, "B", *shapes[0]), about))
            else:
                found += [
                    Port(f"{name}_{end}_l{n}", (self._places, "B", *shape), about) for n, shape in enumerate(shapes)
                ]
        return found

    def opened(self, tensors: Sequence[Tensor]) -> Any:
        """Return states, given as single tensors, in the form that the layers take."""
        given = iter(tensors)
        states: list[Any] = []
        for shapes in self._shapes.values():
            is_one = len(set(shapes)) == 1
            states.append(next(given) if is_one else [next(given) for _ in shapes])
        return states[0] if len(states) == 1 else tuple(states)

    def draw(self, rows: int, generator: torch.Generator, dtype: torch.dtype) -> list[Tensor]:
        """Draw first states."""
        return [drawn(port.axes, {"B": rows}, generator, dtype) for port in self.ports("0", "")]


def drawn(
    axes: Sequence[Axis], sizes: Mapping[str, int], generator: torch.Generator, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Draw normal numbers of a shape."""
    shape = [sizes[axis] if isinstance(axis, str) else axis for axis in axes]
    return torch.randn(shape, generator=generator, dtype=dtype, device="cpu")


class _Layer(Around):
    """A layer over a whole sequence, or one step of it."""

    def __init__(self, layer: Recurrent, states: bool, lengths: bool, step: bool) -> None:
        super().__init__()
        self.layer = layer
        self._names = StateNames(layer) if states else None
        self._has_lengths, self._is_step = lengths, step

    def forward(self, input: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        layer, given = self.layer, list(more)
        extras = {name: given.pop(0) for name in layer.cell.extras}
        lengths = given.pop() if self._has_lengths else None
        if self._is_step:
            axis = 1 if layer.batch_first else 0
            input, extras = input.unsqueeze(axis), {name: v.unsqueeze(axis) for name, v in extras.items()}
        hx = None if self._names is None else self._names.opened(given)
        output, last = layer(input, hx, lengths=lengths, **extras)
        if self._is_step:
            output = output.squeeze(1 if layer.batch_first else 0)
        return (output, *(flat(last) if self._names is not None else ()))


def layer_graph(
    layer: Recurrent, name: str = "layer", *, states: bool = False, lengths: bool = False, step: bool = False
) -> Graph:
    """Return the graph of a recurrent layer.

    Args:
        layer: a layer with any options, in evaluation.
        name: the name of the graph.
        states: whether first states are inputs, and last states outputs.
        lengths: whether the number of valid steps of each row is an input.
        step: one step instead of a sequence: without the axis T, and with states.

    Raises:
        ConfigError: a single step is wanted of a bidirectional layer, or with lengths.
    """
    if step and layer.bidirectional:
        raise ConfigError(
            "form step expected a layer of one direction, got a bidirectional one, which needs steps to come"
        )
    if step and lengths:
        raise ConfigError("form step expected no lengths, as each row has one step; leave them out")
    states, cell = states or step, layer.cell
    dtype = next(layer.parameters()).dtype
    time: tuple[Axis, ...] = ("B",) if step else ("B", "T") if layer.batch_first else ("T", "B")
    inputs = [Port("input", (*time, layer.input_size))]
    for extra, size in layer._extra_sizes.items():
        inputs.append(Port(extra, time if cell.extras[extra] == "1" else (*time, size)))
    names = StateNames(layer)
    width = layer._output_size(layer.num_layers - 1)
    outputs = [Port("output", (*time, width))]
    if states:
        inputs += names.ports("0", "the states before the first step")
        outputs += names.ports("n", "the states after each row's last step")
    if lengths:
        inputs.append(Port("lengths", ("B",), "steps of each row that are there, 0 to T, int64"))

    def draw(sizes: Mapping[str, int], generator: torch.Generator) -> list[Tensor]:
        found = [drawn(port.axes, sizes, generator, dtype) for port in inputs]
        for at, port in enumerate(inputs):
            if port.name in cell.extras:
                found[at] = found[at].abs()  # elapsed times and other extras are seldom negative
        if lengths:
            found[-1] = torch.randint(0, sizes["T"] + 1, (sizes["B"],), generator=generator, device="cpu")
        return found

    return Graph(name, _Layer(layer, states, lengths, step), tuple(inputs), tuple(outputs), draw, prefix="layer.")


class _Single(Around):
    """A single step of a cell."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step

    def forward(self, input: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        given = list(more)
        extras = {name: given.pop(0) for name in self.step.cell.extras}
        return tuple(flat(self.step(input, given[0] if len(given) == 1 else tuple(given), **extras)))


def step_graph(step: Step, name: str = "step") -> Graph:
    """Return the graph of a single step of a cell (`LSTMCell` and the like), with states as inputs and outputs."""
    dtype = next(step.parameters()).dtype
    shapes = {state: shape for state, (shape,) in step._layout.shapes.items()}
    inputs = [Port("input", ("B", step.input_size))]
    inputs += [
        Port(extra, ("B",) if step.cell.extras[extra] == "1" else ("B", size))
        for extra, size in step._extra_sizes.items()
    ]
    inputs += [Port(f"{state}_0", ("B", *shape)) for state, shape in shapes.items()]
    outputs = tuple(Port(f"{state}_n", ("B", *shape)) for state, shape in shapes.items())

    def draw(sizes: Mapping[str, int], generator: torch.Generator) -> list[Tensor]:
        return [drawn(port.axes, sizes, generator, dtype) for port in inputs]

    return Graph(name, _Single(step), tuple(inputs), outputs, draw, prefix="step.")
