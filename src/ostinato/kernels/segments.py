"""Long sequences in little memory: keep the states at every k-th step, and compute those between again for the backward pass.

Source: Gruslys et al. 2016, arXiv 1606.03401, in its simplest form; Chen et al. 2016, arXiv 1604.06174. With k near sqrt(T) the
memory grows with sqrt(T), at the price of one more forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch.utils.checkpoint import checkpoint

from ostinato.cells.named import State
from ostinato.kernels.request import Request, Result
from ostinato.types import Tensor


def in_segments(request: Request, run: Callable[[Request], Result]) -> Result:
    """Run a request `request.segment` steps at a time, on a backend that does not handle segments itself."""
    steps, cell = request.input.shape[0], request.cell
    starts = range(0, steps, request.segment)
    every_step = {noise.name for noise in cell.noise if noise.every_step}
    found: list[Result] = []
    state = request.first
    for start in reversed(starts) if request.reverse else starts:
        cut = slice(start, start + request.segment)
        part = replace(
            request,
            input=request.input[cut],
            first=state,
            lengths=None if request.lengths is None else (request.lengths - start).clamp(0, request.segment),
            masks={name: mask[cut] if name in every_step else mask for name, mask in request.masks.items()},
            segment=0,
        )
        # Masks are drawn already: the second computation needs no random numbers.
        result = _together(part, checkpoint(_tensors, run, part, use_reentrant=False, preserve_rng_state=False))
        found.append(result)
        state = result.last
    if request.reverse:
        found.reverse()
    states = None
    if request.every_state:
        states = State(**{n: torch.cat([getattr(r.states, n) for r in found]) for n in cell.states})
    return Result(torch.cat([r.output for r in found]), state, states)


def _tensors(run: Callable[[Request], Result], request: Request) -> list[Tensor]:
    """A result as a list of tensors: before torch 2.12, torch.compile takes nothing else from a checkpoint."""
    result = run(request)
    states = [] if result.states is None else [getattr(result.states, n) for n in request.cell.states]
    return [result.output, *(getattr(result.last, n) for n in request.cell.states), *states]


def _together(request: Request, tensors: Sequence[Tensor]) -> Result:
    """Make a result of the list that `_tensors` gave."""
    names = request.cell.states
    last, states = tensors[1 : 1 + len(names)], tensors[1 + len(names) :]
    every = State(**dict(zip(names, states, strict=True))) if states else None
    return Result(tensors[0], State(**dict(zip(names, last, strict=True))), every)
