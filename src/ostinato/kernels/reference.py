"""The time loop in plain PyTorch: any cell, any device, any dtype, twice differentiable. The oracle of every test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Product
from ostinato.cells.spec import Cell
from ostinato.errors import CellError
from ostinato.kernels.request import Request, Result
from ostinato.types import Tensor


class Reference:
    """Calls the step once for every time step."""

    name = "reference"
    devices = None
    takes_packed = takes_segments = False

    def is_faster(self, cell: Any, input: Any) -> bool:
        """False: the other backends are compared with it."""
        return False

    def binds(self, input: Any) -> bool:
        """False: it runs requests only."""
        return False

    def refusal(self, request: Request) -> str | None:
        """None: it runs every request."""
        return None

    def reluctance(self, request: Request) -> str | None:
        """None: it never leaves a request to another backend."""
        return None

    def acceptance(self, request: Request) -> str:
        """Say what it will run."""
        return f"the step of {request.cell.name!r} in a loop over time, in plain PyTorch"

    def bind(self, spec: Any, given: Any, is_one_step: bool) -> None:
        """None: it runs requests only."""
        return

    def run(self, request: Request) -> Result:
        """Run the loop; see `Request` and `Result` for the shapes."""
        cell, weights, lengths = request.cell, request.weights, request.lengths
        steps = request.input.shape[0]
        hidden = weights.ih.shape[0] // len(cell.input_gates)
        if lengths is not None:
            # Zeros in the padding, so that not even NaN there reaches a gradient.
            past = torch.arange(steps, device=lengths.device)[:, None] >= lengths
            request = replace(request, input=request.input.masked_fill(past[:, :, None], 0))
        inputs = _Inputs(request, hidden)
        U = None if weights.hh is None else Product(cell.gates, weights.hh, weights.bias_hh, hidden, cell.heads)
        masks_of_sequence = {n.name: request.masks[n.name] for n in cell.noise if not n.every_step}
        masks_of_step = {n.name: request.masks[n.name].unbind(0) for n in cell.noise if n.every_step}
        state = request.first
        history: list[State] = []
        for t in reversed(range(steps)) if request.reverse else range(steps):
            x, more = inputs.at(t)
            more |= {name: mask[t] for name, mask in masks_of_step.items()}
            if lengths is None:
                before = state
                state = inputs.step(x, before, U, **weights.own, **masks_of_sequence, **more)
                if not history:
                    _check_shapes(cell, before, state)
                history.append(state)
            else:
                valid = (t < lengths)[:, None]
                # The states of a row that has ended are cleaned of NaN and infinities, as 0 times NaN would reach a gradient.
                before = State(
                    **{
                        n: torch.where(valid, v, v.nan_to_num(0.0, 0.0, 0.0))
                        for n, v in zip(cell.states, state, strict=True)
                    }
                )
                new = inputs.step(x, before, U, **weights.own, **masks_of_sequence, **more)
                if not history:
                    _check_shapes(cell, before, new)
                # A row that has ended keeps its last state, and its outputs are zero. Under autocast, new states may have
                # another dtype than the old ones.
                state = State(
                    **{
                        n: torch.where(valid, getattr(new, n), getattr(state, n).to(getattr(new, n)))
                        for n in cell.states
                    }
                )
                history.append(State(**{n: getattr(new, n).masked_fill(~valid, 0) for n in cell.states}))
        if request.reverse:
            history.reverse()
        shown = tuple(cell.states) if request.every_state else (cell.output,)
        states = State(**{n: torch.stack([getattr(at, n) for at in history]) for n in shown})
        last = State(**{n: getattr(state, n) for n in cell.states})
        return Result(getattr(states, cell.output), last, states if request.every_state else None)


def _check_shapes(cell: Cell, before: State, after: State) -> None:
    """Check the shapes again: a step that was right at the few units of its trial may be wrong at those of a layer."""
    for name in cell.states:
        was, now = tuple(getattr(before, name).shape), tuple(getattr(after, name).shape)
        if was != now:
            raise CellError(f"the step of cell {cell.name!r} changed the shape of {name} from {was} to {now}")


class _Inputs:
    """What a step is given besides its states, for each time step.

    Args:
        request: the request to take it from.
        hidden: `H`.
    """

    def __init__(self, request: Request, hidden: int) -> None:
        cell, weights = request.cell, request.weights
        output, inputs = getattr(request.first, cell.output).shape[1], weights.ih.shape[1]
        self._cell, self._shapes = cell, cell.state_shapes(hidden, output, inputs)
        self._offered: dict[str, Any] = {"num_heads": cell.heads} if cell.counts_heads else {}
        if cell.raw:
            self._offered["W"] = Product(cell.input_gates, weights.ih, weights.bias_ih, hidden)
        self._x = (request.input[..., :inputs] if cell.raw else request.projected_input()).unbind(0)
        self._extras: dict[str, tuple[Tensor, ...]] = {}
        for name, size in cell.extra_sizes(inputs, hidden, output).items():
            self._extras[name] = request.input[..., inputs : inputs + size].unbind(0)
            inputs += size

    def at(self, t: int) -> tuple[Any, dict[str, Any]]:
        """`x` of a time step, and by name its extras and whatever else the step takes (`W`, `num_heads`)."""
        x: Any = self._x[t]
        if not self._cell.raw:
            x = Gates(**dict(zip(self._cell.input_gates, x.chunk(len(self._cell.input_gates), -1), strict=True)))
        return x, self._offered | {name: steps[t] for name, steps in self._extras.items()}

    def step(self, x: Any, state: State, U: Any, **named: Any) -> State:
        """Run one step on flat states: states and masks of several dimensions are unflattened for it."""
        if all(len(shape) == 1 for shape in self._shapes.values()):
            return self._cell.step(x, state, U, **named)
        whole = State(**dict(self._each(state, self._shapes)))
        for noise in self._cell.noise:
            if len(shape := self._shapes[noise.state]) > 1:
                named[noise.name] = named[noise.name].unflatten(-1, shape)
        new = self._cell.step(x, whole, U, **named)
        return State(**{name: v.flatten(1) for name, v in self._each(new, {})})

    def _each(self, state: State, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, Tensor]]:
        for name in self._cell.states:
            v: Tensor = getattr(state, name)
            yield name, v.unflatten(1, shapes[name]) if len(shapes.get(name, ())) > 1 else v
