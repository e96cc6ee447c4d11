"""The time loop in plain PyTorch: any cell, any device, any dtype, twice differentiable. The oracle of every test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Product
from ostinato.kernels.request import Request, Result


class Reference:
    """Calls the step once for every time step."""

    name = "reference"
    takes_packed = takes_segments = False

    def is_faster(self, cell: Any, input: Any) -> bool:
        """It is what the others are measured by."""
        return False

    def binds(self, input: Any) -> bool:
        """It runs requests only."""
        return False

    def refusal(self, request: Request) -> str | None:
        """It runs everything."""
        return None

    def reluctance(self, request: Request) -> str | None:
        """It leaves nothing that it can run to another."""
        return None

    def acceptance(self, request: Request) -> str:
        """What it will run."""
        return f"the step of {request.cell.name!r} in a loop over time, in plain PyTorch"

    def bind(self, spec: Any, given: Any, is_one_step: bool) -> None:
        """It runs requests only."""
        return

    def run(self, request: Request) -> Result:
        """Run the loop; see `Request` and `Result` for the shapes."""
        cell, weights, lengths = request.cell, request.weights, request.lengths
        steps = request.input.shape[0]
        hidden = weights.ih.shape[0] // len(cell.input_gates)
        if lengths is not None:
            # So that not even NaN in the padding reaches a gradient.
            past = torch.arange(steps, device=lengths.device)[:, None] >= lengths
            request = replace(request, input=request.input.masked_fill(past[:, :, None], 0))
        inputs = request.projected_input().unbind(0)
        U = None if weights.hh is None else Product(cell.gates, weights.hh, weights.bias_hh, hidden)
        masks_of_sequence = {n.name: request.masks[n.name] for n in cell.noise if not n.every_step}
        masks_of_step = {n.name: request.masks[n.name].unbind(0) for n in cell.noise if n.every_step}
        state = request.first
        history: list[State] = []
        for t in reversed(range(steps)) if request.reverse else range(steps):
            x = Gates(**dict(zip(cell.input_gates, inputs[t].chunk(len(cell.input_gates), -1), strict=True)))
            masks = {name: mask[t] for name, mask in masks_of_step.items()}
            if lengths is None:
                state = cell.step(x, state, U, **weights.own, **masks_of_sequence, **masks)
                history.append(state)
            else:
                valid = (t < lengths)[:, None]
                # What has come out of a row's own steps goes no further: 0 times NaN would be a gradient.
                before = State(
                    **{
                        n: torch.where(valid, v, v.nan_to_num(0.0, 0.0, 0.0))
                        for n, v in zip(cell.states, state, strict=True)
                    }
                )
                new = cell.step(x, before, U, **weights.own, **masks_of_sequence, **masks)
                # A row that has ended carries its last state on, and shows nothing.
                # Under autocast the step may have another dtype than the states that it was given.
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
