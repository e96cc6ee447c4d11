"""The recurrent layers of a network: read from a module, checked, and run in PyTorch with the weights of the C code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from ostinato.cells.named import State
from ostinato.cells.spec import Cell
from ostinato.errors import ConfigError
from ostinato.exporting.c.layer import LayerDescription
from ostinato.exporting.c.weights import Constants, Matrix
from ostinato.kernels.compiler.graph import Unsupported
from ostinato.kernels.compiler.observed import Observed
from ostinato.kernels.compiler.plan import plan
from ostinato.kernels.compiler.program import Program
from ostinato.kernels.compiler.schedule import Schedule
from ostinato.kernels.compiler.trace import trace
from ostinato.kernels.reading.current import current
from ostinato.kernels.reference import Reference
from ostinato.nn.recurrent import Recurrent
from ostinato.nn.requests import make_request
from ostinato.nn.streams.stream import first_states
from ostinato.nn.streams.weights import in_evaluation


@dataclass(frozen=True)
class Stack:
    """The recurrent layers of a network.

    Attributes:
        layers: the descriptions of the layers, from the first to the last.
        inputs: the number of inputs of a step.
        connection: the connection around every layer but the first: "residual", "highway" or None.
        gates: for highway connections: the matrix, the name of the bias' array and the bias, for each layer but the
            first.
        first: the first states of each layer by name.
        parameters: the parameters of each layer by name without suffix, with the matrices of the C code (rounded for
            int8).
    """

    layers: tuple[LayerDescription, ...]
    inputs: int
    connection: str | None
    gates: tuple[tuple[Matrix, str, torch.Tensor], ...]
    first: tuple[Mapping[str, torch.Tensor], ...]
    parameters: tuple[Mapping[str, torch.Tensor], ...]

    @property
    def extras(self) -> dict[str, int]:
        """The number of values of each extra; 0 for an extra that is a single number, not an array."""
        return self.layers[0].extras

    @property
    def outputs(self) -> int:
        """The number of outputs of a step."""
        return self.layers[-1].outputs

    @torch.no_grad()
    def run(self, x: torch.Tensor, extras: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute the layers' output for a sequence of one row by the reference, with the weights of the C code.

        Args:
            x: `(T, I)`.
            extras: the extras by name, `(T,)` or `(T, width)`.

        Returns:
            `(T, P)`.
        """
        beyond = [extras[name].reshape(len(x), -1).to(x.dtype) for name in self.extras]
        for at, (layer, parameters) in enumerate(zip(self.layers, self.parameters, strict=True)):
            first = State(**{name: v[None] for name, v in self.first[at].items()})
            given = torch.cat([x, *beyond], -1)[:, None]
            request = make_request(layer.cell, parameters, given, first, training=False)
            out = Reference().run(request).output[:, 0]
            if at and self.connection == "residual":
                out = out + x
            elif at and self.connection == "highway":
                matrix, _, bias = self.gates[at - 1]
                gate = torch.sigmoid(F.linear(x, matrix.values, bias))
                out = gate * out + (1 - gate) * x
            x = out
        return x


def stack(layer: Recurrent, constants: Constants) -> Stack:
    """Read a recurrent layer of one direction as the stack of a network.

    Raises:
        ConfigError: the layer cannot be written as C; the message has the reason.
    """
    _check(layer)
    cell = layer._cells[False]  # pyright: ignore[reportPrivateUsage]
    program, schedule = _planned(layer, cell)
    layers: list[LayerDescription] = []
    parameters: list[Mapping[str, torch.Tensor]] = []
    gates: list[tuple[Matrix, str, torch.Tensor]] = []
    with in_evaluation(layer):
        for at, hidden in enumerate(layer.hidden_sizes):
            weights = {name: v.detach() for name, v in layer._multiplied(at, 0).items()}  # pyright: ignore[reportPrivateUsage]
            sizes = layer._input_size(at), hidden, layer.proj_size  # pyright: ignore[reportPrivateUsage]
            for name, shape in cell.parameter_sizes(*sizes, layer.bias).items():
                if (got := tuple(weights[name].shape)) != shape:
                    raise ConfigError(f"expected {name}_l{at} of the shape {shape}, got {got}; make the layer anew")
            matrices = {n: constants.matrix(f"l{at}_{n}", v) for n, v in weights.items() if v.dim() == 2}
            vectors = {n: constants.vector(f"l{at}_{n}", v) for n, v in weights.items() if v.dim() == 1}
            like = weights["weight_ih"].new_zeros(1, 1)
            masks = {noise.name: float(noise.draw(1, like, False).flatten()[0]) for noise in cell.noise}
            letters = cell.widths_at(*sizes).every()
            layers.append(LayerDescription(at, cell, program, schedule, matrices, vectors, letters, masks))
            rounded = {n: m.values for n, m in matrices.items()}
            parameters.append(rounded | {n: constants.vectors[name] for n, name in vectors.items()})
        first = tuple(
            {name: getattr(s, name)[0].detach().float().cpu() for name in s.names} for s in first_states(layer)
        )
        if layer.options.connection == "highway":
            for at in range(1, layer.num_layers):
                matrix = constants.matrix(f"highway_weight_l{at}", getattr(layer, f"highway_weight_l{at}"))
                bias = constants.vector(f"highway_bias_l{at}", getattr(layer, f"highway_bias_l{at}"))
                gates.append((matrix, bias, constants.vectors[bias]))
    return Stack(tuple(layers), layer.input_size, layer.options.connection, tuple(gates), first, tuple(parameters))


def _check(layer: nn.Module) -> None:
    if not isinstance(layer, Recurrent):
        name = f"{type(layer).__module__}.{type(layer).__name__}"
        raise ConfigError(
            f"C expected recurrent layers of ostinato, got {name}; ostinato.convert(module) makes torch.nn's layers ours"
        )
    if layer.bidirectional:
        raise ConfigError(
            "C expected a layer of one direction, got a bidirectional one, whose second direction needs the steps to come"
        )
    if layer.training:
        raise ConfigError("C expected a module in evaluation mode, got one in training mode; use module.eval()")


def _planned(layer: Recurrent, cell: Cell) -> tuple[Program, Schedule]:
    """Return the traced step and its schedule, after checking that they hold at the layer's sizes."""
    try:
        reading = current(cell)
        if reading.refusal is not None:
            raise Unsupported(reading.refusal)
        projected = "P" in cell.states.values()
        key = ("written as C", layer.bias, projected)
        if key not in reading.kernels:
            program = trace(cell, layer.bias, projected)
            observed = None if reading.is_ours else Observed(cell, layer.bias, projected, reading.names)
            reading.kernels[key] = program, plan(program).inference, observed
        program, schedule, observed = reading.kernels[key]
        for at, hidden in enumerate(layer.hidden_sizes):
            sizes = layer._input_size(at), hidden, layer.proj_size or hidden  # pyright: ignore[reportPrivateUsage]
            letters = cell.widths_at(sizes[0], hidden, layer.proj_size).every()
            for letter, least in program.least.items():
                if letters[letter] < least:
                    raise Unsupported(
                        f"the step takes units by numbers that {letter} = {letters[letter]} has not: it needs {least}"
                    )
            if observed is not None and (why := observed.differs(1, *sizes)) is not None:
                raise Unsupported(why)
    except Unsupported as reason:
        raise ConfigError(f"there is no C for cell {cell.name!r}: {reason}") from reason
    return program, schedule
