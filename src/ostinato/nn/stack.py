"""A stack of layers as one call, bound to its layer: for stacks in which nothing of ours acts between the layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch

from ostinato.kernels import dispatch
from ostinato.kernels.call import CallSpec
from ostinato.kernels.request import Bound
from ostinato.types import Tensor

if TYPE_CHECKING:
    from ostinato.nn.recurrent import Recurrent


class Calls(dict[object, tuple[CallSpec, dict[object, Bound]]]):
    """The calls of a layer that are bound, by mode and what is asked for. A copy of the layer begins with none."""

    def __deepcopy__(self, memo: object) -> Calls:
        return Calls()

    def __reduce__(self) -> tuple[type[Calls], tuple[()]]:
        return Calls, ()


def run_stack(
    layer: Recurrent,
    x: Tensor,
    hx: Any,
    rows: int,
    batched: bool,
    lengths: Tensor | None,
    every_state: bool,
    order: Tensor | None = None,
    packed: bool = False,
) -> tuple[Tensor, Sequence[Tensor], dict[str, list[Tensor]] | None] | None:
    """Run all layers; None where no backend binds the call.

    Args:
        layer: whose widths are all the same.
        x: `(T, B, I)`, or packed `(N, I)`.
        hx: as the user gave it.
        rows: `B`.
        batched: whether `hx` has a batch dimension.
        lengths: of the rows.
        every_state: give all states of all steps.
        order: of the rows of `hx`, None where it is that of `x`.
        packed: whether `x` is.

    Returns:
        The output, laid out like the input; the last states, `(L D, B, W)` each; every state of each layer.
    """
    cell = layer.cell
    has_noise = layer.training and bool(cell.noise)
    given = [x, *_weights(layer)]
    if hx is not None or has_noise or not layer._starts_at_zero:
        given += _first_states(layer, x, hx, rows, batched, order, packed)
    spec, known = _spec(layer, every_state, packed)
    call = known.get(x.dtype)
    if call is None or (now := call.look(given)) is None:
        if len(given) == 1 + len(layer._flat_weights_names):  # a call is bound to the sizes of the states
            given += _first_states(layer, x, hx, rows, batched, order, packed)
        call = dispatch.bind(spec, given, layer.backend, known)
        if call is None or (now := call.look(given)) is None:
            return None
    states = len(cell.states)
    masks = _draw_masks(layer, x.shape[0], given[-states:], packed) if has_noise else []
    found = call.run(given, now, masks, lengths)
    shown, last = found[: len(found) - states], found[len(found) - states :]
    if not every_state:
        return shown[0], last, None
    every = {name: [shown[n] for n in range(at, len(shown), states)] for at, name in enumerate(cell.states)}
    # Who changes the output in place does not mean the states.
    return every[cell.output][-1].clone(), last, every


def _first_states(
    layer: Recurrent, x: Tensor, hx: Any, rows: int, batched: bool, order: Tensor | None, packed: bool
) -> list[Tensor]:
    """For each state one tensor, `(L D, B, W)`, in the order of `x`."""
    if hx is not None:
        first = layer._layout.open_whole(hx, rows, batched, packed, x.dtype)
        return first if order is None else [v.index_select(1, order) for v in first]
    if layer._starts_at_zero:
        places = layer.num_layers * layer.num_directions
        return [x.new_zeros(places, rows, widths[0]) for widths in layer._layout.sizes.values()]
    states = layer._first_states(x, rows)
    return [torch.stack([getattr(state, name) for state in states]) for name in layer.cell.states]


def _weights(layer: Recurrent) -> list[Tensor]:
    """All of them, layer by layer, in a layer direction by direction."""
    known = layer._parameters
    try:
        return [cast("Tensor", known[name]) for name in layer._flat_weights_names]
    except KeyError:  # one is computed from others (torch.nn.utils.parametrizations)
        return [getattr(layer, name) for name in layer._flat_weights_names]


def _spec(layer: Recurrent, every_state: bool, packed: bool) -> tuple[CallSpec, dict[object, Bound]]:
    """The constants of a call, and the calls that are bound."""
    key = layer.training, every_state, packed
    if (found := layer._bound.get(key)) is None:
        directions = (False, True)[: layer.num_directions]
        spec = CallSpec(*(layer.cell, layer.bias, directions, layer.num_layers), every_state=every_state, packed=packed)
        found = layer._bound[key] = spec, {}
    return found


def _draw_masks(layer: Recurrent, steps: int, first: Sequence[Tensor], packed: bool) -> list[Tensor]:
    """The cell's noise of each place."""
    rows, masks = dict(zip(layer.cell.states, first, strict=True)), []
    for place in range(layer.num_layers * layer.num_directions):
        for noise in layer.cell.noise:
            like = rows[noise.state][place]
            # Packed, every valid step is a row of its own.
            masks.append(noise.draw(steps, like[0] if packed and noise.every_step else like, True))
    return masks
