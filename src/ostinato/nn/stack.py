"""Run a stack of layers, or a single step, as one call that is bound to its layer; no option may act between the layers."""

# The code of a layer is in two modules: its calls are here.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from ostinato.cells.named import State
from ostinato.cells.spec import Cell
from ostinato.kernels import dispatch
from ostinato.kernels.backend import Bound
from ostinato.kernels.call import CallSpec
from ostinato.nn.states import StateLayout
from ostinato.types import Tensor


class Calls(dict[object, tuple[CallSpec, dict[object, Bound]]]):
    """The bound calls of a layer, by its mode and the form of the call. A copy of the layer begins with none."""

    def __deepcopy__(self, memo: object) -> Calls:
        return Calls()

    def __reduce__(self) -> tuple[type[Calls], tuple[()]]:
        return Calls, ()


class SingleStep(Protocol):
    """The part of `nn.step.Step` that a call needs."""

    training: bool
    bias: bool
    _bound: Calls
    _parameter_names: tuple[str, ...]

    @property
    def cell(self) -> Cell:
        """The cell in the present mode."""
        ...


class Stack(Protocol):
    """The part of `nn.recurrent.Recurrent` that a call needs."""

    training: bool
    bias: bool
    num_layers: int
    _bound: Calls
    _layout: StateLayout
    _starts_at_zero: bool
    _flat_weights_names: list[str]

    @property
    def cell(self) -> Cell:
        """The cell in the present mode."""
        ...

    @property
    def num_directions(self) -> int:
        """`D`: 2 if bidirectional, else 1."""
        ...

    def _first_states(self, x: Tensor, rows: int) -> list[State]: ...


def run_stack(
    layer: Stack,
    name: str,
    x: Tensor,
    hx: Any,
    rows: int,
    batched: bool,
    lengths: Tensor | None,
    every_state: bool,
    order: Tensor | None = None,
    packed: bool = False,
    idle: frozenset[str] = frozenset(),
) -> tuple[Tensor, Sequence[Tensor], dict[str, list[Tensor]] | None] | None:
    """Run all layers; None if no backend binds the call.

    Args:
        layer: the stack; all its layers have one width.
        name: the name of the backend that binds the call.
        x: `(T, B, I)`, or packed `(N, I)`.
        hx: the first states as the user gave them.
        rows: `B`.
        batched: whether `hx` has a batch dimension.
        lengths: the lengths of the rows.
        every_state: give all states of all steps.
        order: the indices that sort the rows of `hx` as those of `x`; None if they are in that order.
        packed: whether `x` is packed.
        idle: see `Request`.

    Returns:
        The output, laid out like the input; the last states, `(L D, B, W)` each; every state of each layer.
    """
    cell = layer.cell

    def first_states() -> list[Tensor]:
        return _first_states(layer, x, hx, rows, batched, order, packed)

    key = layer.training, every_state, packed
    if (found := layer._bound.get(key)) is None:
        directions = (False, True)[: layer.num_directions]
        spec = CallSpec(cell, layer.bias, directions, layer.num_layers, every_state=every_state, packed=packed)
        found = layer._bound[key] = spec, {}
    has_first = hx is not None or not layer._starts_at_zero
    is_one_step = lengths is None and x.shape[0] == 1
    names = layer._flat_weights_names
    zeros = None if hx is not None or layer._starts_at_zero else lambda: _zeros(layer, x, rows)
    shown = _run(layer, found, name, x, names, first_states, has_first, lengths, is_one_step, zeros, idle)
    if shown is None:
        return None
    states = len(cell.states)
    last = shown[len(shown) - states :]
    if not every_state:
        return shown[0], last, None
    every = {state: list(shown[at : len(shown) - states : states]) for at, state in enumerate(cell.states)}
    # A copy: a caller who changes the output in place must not change the states.
    return every[cell.output][-1].clone(), last, every


def run_step(
    step: SingleStep, name: str, x: Tensor, first: list[Tensor], idle: frozenset[str] = frozenset()
) -> Sequence[Tensor] | None:
    """Run one step and return the states after it, `(B, W)` each; None if no backend binds the call.

    Args:
        step: the single step.
        name: the name of the backend that binds the call.
        x: `(B, I)`.
        first: the states before the step, `(B, W)` each.
        idle: see `Request`.
    """
    cell = step.cell
    if (found := step._bound.get(step.training)) is None:
        # "Packed" without lengths means that each row has a single step.
        found = step._bound[step.training] = CallSpec(cell, step.bias, packed=True), {}
    shown = _run(step, found, name, x, step._parameter_names, lambda: first, True, None, True, idle=idle)
    return None if shown is None else shown[len(shown) - len(cell.states) :]


def _run(
    layer: Any,  # a Stack or a SingleStep
    known: tuple[CallSpec, dict[object, Bound]],
    name: str,
    x: Tensor,
    names: Sequence[str],
    first_states: Callable[[], list[Tensor]],
    has_first: bool,
    lengths: Tensor | None,
    is_one_step: bool,
    zeros: Callable[[], list[Tensor]] | None = None,
    idle: frozenset[str] = frozenset(),
) -> Sequence[Tensor] | None:
    """Bind the call if necessary, and run it. Returns its outputs, see `CallSpec`; None if no backend binds it.

    Args:
        layer: the layer that is called.
        known: the constants of the call, and the calls bound so far.
        name: the name of the backend that binds the call.
        x: the input.
        names: the names of the parameters.
        first_states: makes the first states.
        has_first: whether the first states may differ from zeros.
        lengths: the lengths of the rows.
        is_one_step: whether all rows have a single step.
        zeros: makes zeros of the sizes of the first states; None unless the layer makes first states other than zeros itself.
        idle: see `Request`.
    """
    spec, calls = known
    has_noise = layer.training and bool(spec.cell.noise)
    given = [x, *_weights(layer, names)]
    parameters = len(given)
    key = x.dtype, is_one_step, name
    call = calls.get(key)
    if call is None and zeros is not None:
        # Bind before first states are drawn at random: if no backend binds the call, the caller draws its own.
        if (call := dispatch.bind(spec, [*given, *zeros()], is_one_step, name)) is None:
            return None
        calls[key] = call
    if has_first or has_noise:
        given += first_states()
    if call is None or (now := call.look(given)) is None:
        # Binding a call needs the sizes of the states, too.
        whole = given if len(given) > parameters else [*given, *first_states()]
        call = dispatch.bind(spec, whole, is_one_step, name)
        if call is None or (now := call.look(given)) is None:
            return None
        calls[key] = call
    masks = _draw_masks(spec, x.shape[0], given[parameters:]) if has_noise else []
    return call.run(given, now, masks, lengths, idle)


def _first_states(
    layer: Stack, x: Tensor, hx: Any, rows: int, batched: bool, order: Tensor | None, packed: bool
) -> list[Tensor]:
    """The first states, `(L D, B, W)` each, with rows in the order of `x`."""
    if hx is not None:
        first = layer._layout.open_whole(hx, rows, batched, packed, x.dtype)
        return first if order is None else [v.index_select(1, order) for v in first]
    if layer._starts_at_zero:
        return _zeros(layer, x, rows)
    states = layer._first_states(x, rows)
    return [torch.stack([getattr(state, name) for state in states]) for name in layer.cell.states]


def _zeros(layer: Stack, x: Tensor, rows: int) -> list[Tensor]:
    places = layer.num_layers * layer.num_directions
    return [x.new_zeros(places, rows, widths[0]) for widths in layer._layout.sizes.values()]


def _weights(layer: torch.nn.Module, names: Sequence[str]) -> list[Tensor]:
    """All weights: layer by layer, and within a layer direction by direction."""
    known: Any = layer._parameters
    try:
        return [known[name] for name in names]
    except KeyError:  # a weight is computed from others (torch.nn.utils.parametrizations)
        return [getattr(layer, name) for name in names]


def _draw_masks(spec: CallSpec, steps: int, first: Sequence[Tensor]) -> list[Tensor]:
    """Draw the cell's masks for each place: each direction of each layer."""
    cell = spec.cell
    masks: list[Tensor] = []
    rows = dict(zip(cell.states, first, strict=True))
    for place in range(spec.places):
        for noise in cell.noise:
            whole = rows[noise.state]
            like = whole if whole.dim() == 2 else whole[place]
            # In a packed input every valid step is a row of its own.
            masks.append(noise.draw(steps, like[0] if spec.packed and noise.every_step else like, True))
    return masks
