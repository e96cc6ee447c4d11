"""A stack of layers, or a single step, as one call that is bound to its layer: where nothing of ours acts between the layers."""

# A layer and its calls are one thing in two modules.
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
    """The calls of a layer that are bound, by mode and what is asked for. A copy of the layer begins with none."""

    def __deepcopy__(self, memo: object) -> Calls:
        return Calls()

    def __reduce__(self) -> tuple[type[Calls], tuple[()]]:
        return Calls, ()


class SingleStep(Protocol):
    """What of `nn.step.Step` a call needs."""

    training: bool
    bias: bool
    _bound: Calls
    _parameter_names: tuple[str, ...]

    @property
    def cell(self) -> Cell:
        """The cell in the present mode."""
        ...


class Stack(Protocol):
    """What of `nn.recurrent.Recurrent` a call needs."""

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
        """`D`."""
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
    """Run all layers; None where no backend binds the call.

    Args:
        layer: whose widths are all the same.
        name: to bind it by.
        x: `(T, B, I)`, or packed `(N, I)`.
        hx: as the user gave it.
        rows: `B`.
        batched: whether `hx` has a batch dimension.
        lengths: of the rows.
        every_state: give all states of all steps.
        order: of the rows of `hx`, None where it is that of `x`.
        packed: whether `x` is.
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
    # Who changes the output in place does not mean the states.
    return every[cell.output][-1].clone(), last, every


def run_step(
    step: SingleStep, name: str, x: Tensor, first: list[Tensor], idle: frozenset[str] = frozenset()
) -> Sequence[Tensor] | None:
    """Run one step: the states after it, `(B, W)` each; None where no backend binds the call.

    Args:
        step: of one layer.
        name: to bind it by.
        x: `(B, I)`.
        first: the states before it, `(B, W)` each.
        idle: see `Request`.
    """
    cell = step.cell
    if (found := step._bound.get(step.training)) is None:
        # Packed rows without lengths: each has a single step.
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
    """What a call gives, see `CallSpec`; None where no backend binds it.

    Args:
        layer: whose call it is.
        known: its constants, and what is bound so far.
        name: to bind it by.
        x: the input.
        names: of the parameters.
        first_states: gives them.
        has_first: whether they are others than zeros.
        lengths: of the rows.
        is_one_step: whether all rows have a single step.
        zeros: gives first states of the same sizes, where those of `first_states` are random.
        idle: see `Request`.
    """
    spec, calls = known
    has_noise = layer.training and bool(spec.cell.noise)
    given = [x, *_weights(layer, names)]
    parameters = len(given)
    key = x.dtype, is_one_step, name
    call = calls.get(key)
    if call is None and zeros is not None:
        # Before first states are drawn at random, which who runs the call instead would draw again.
        if (call := dispatch.bind(spec, [*given, *zeros()], is_one_step, name)) is None:
            return None
        calls[key] = call
    if has_first or has_noise:
        given += first_states()
    if call is None or (now := call.look(given)) is None:
        # A call is bound to the sizes of the states, too.
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
    """For each state one tensor, `(L D, B, W)`, in the order of `x`."""
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
    """All of them, layer by layer, in a layer direction by direction."""
    known: Any = layer._parameters
    try:
        return [known[name] for name in names]
    except KeyError:  # one is computed from others (torch.nn.utils.parametrizations)
        return [getattr(layer, name) for name in names]


def _draw_masks(spec: CallSpec, steps: int, first: Sequence[Tensor]) -> list[Tensor]:
    """The cell's noise of each place."""
    cell = spec.cell
    masks: list[Tensor] = []
    rows = dict(zip(cell.states, first, strict=True))
    for place in range(spec.places):
        for noise in cell.noise:
            whole = rows[noise.state]
            like = whole if whole.dim() == 2 else whole[place]
            # Packed, every valid step is a row of its own.
            masks.append(noise.draw(steps, like[0] if spec.packed and noise.every_step else like, True))
    return masks
