"""Make the request to the kernels from a layer's parameters."""

from __future__ import annotations

from collections.abc import Mapping

from ostinato.cells.named import State
from ostinato.cells.spec import Cell
from ostinato.errors import ConfigError
from ostinato.kernels.request import Request, Weights
from ostinato.recorded import is_for_onnx
from ostinato.types import Tensor


def make_request(
    cell: Cell,
    parameters: Mapping[str, Tensor],
    input: Tensor,
    first: State,
    *,
    training: bool,
    lengths: Tensor | None = None,
    reverse: bool = False,
    every_state: bool = False,
    segment: int = 0,
    packed: bool = False,
    known_lengths: Tensor | None = None,
    idle: frozenset[str] = frozenset(),
) -> Request:
    """Sort the parameters of one direction of one layer, given by their names without suffix, and draw the cell's masks.

    Args:
        cell: the cell with the options that act in this mode.
        parameters: `weight_ih`, `weight_hh` and the biases if there are any, and the cell's own parameters.
        input: `(T, B, I)`, or `(N, I)` if it is packed.
        first: the states before the first step.
        training: whether masks are drawn at random.
        lengths: see `Request`.
        reverse: see `Request`.
        every_state: see `Request`.
        segment: see `Request`.
        packed: see `Request`.
        known_lengths: see `Request`.
        idle: see `Request`.
    """
    weights = Weights(
        parameters["weight_ih"],
        parameters.get("weight_hh"),
        parameters.get("bias_ih"),
        parameters.get("bias_hh"),
        {p.name: parameters[p.name] for p in cell.parameters},
    )
    if training and cell.noise and is_for_onnx():
        raise ConfigError(
            f"expected a layer in evaluation to export, got one in training, which draws {cell.noise[0].name}; call .eval()"
        )
    masks: dict[str, Tensor] = {}
    for noise in cell.noise:
        like = getattr(first, noise.state)
        # In a packed input every valid step is a row of its own.
        like = like[0] if packed and noise.every_step else like
        masks[noise.name] = noise.draw(input.shape[0], like, training)
    return Request(
        cell, input, weights, first, lengths, reverse, masks, every_state, segment, packed, known_lengths, idle
    )
