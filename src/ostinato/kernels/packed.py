"""Packed sequences on backends that take padded batches only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from ostinato.cells.named import State
from ostinato.kernels.request import Request, Result
from ostinato.types import Tensor


def lengths_of(batch_sizes: Tensor) -> Tensor:
    """The number of steps of each row, `(B,)`, from the number of rows of each step, `(T,)`, which never grows."""
    rows = torch.arange(int(batch_sizes[0]) if batch_sizes.numel() else 0, device=batch_sizes.device)
    return (batch_sizes[:, None] > rows).sum(0)


def rows_of_data(batch_sizes: Tensor) -> Tensor:
    """For each row of packed data the row of the batch that it belongs to, `(N,)`; the batch is sorted, the longest row first."""
    return (torch.arange(int(batch_sizes[0]), device=batch_sizes.device) < batch_sizes[:, None]).nonzero()[:, 1]


def run_padded(request: Request, run: Callable[[Request], Result]) -> Result:
    """Run a packed request on a backend that wants `(T, B, I)`."""
    lengths = request.lengths if request.known_lengths is None else request.known_lengths
    assert lengths is not None
    steps, batch = int(lengths.max()), lengths.numel()
    valid = torch.arange(steps, device=lengths.device)[:, None] < lengths  # (T, B)
    places = valid.flatten().nonzero()[:, 0].to(request.input.device, non_blocking=True)

    def padded(v: Tensor) -> Tensor:
        whole = v.new_zeros(steps * batch, v.shape[1]).index_copy(0, places, v)
        return whole.view(steps, batch, v.shape[1])

    def packed(v: Tensor) -> Tensor:
        return v.flatten(0, 1).index_select(0, places)

    every_step = {noise.name for noise in request.cell.noise if noise.every_step}
    masks = {name: padded(mask) if name in every_step else mask for name, mask in request.masks.items()}
    found = run(replace(request, input=padded(request.input), masks=masks, packed=False))
    states = found.states
    if states is not None:
        states = State(**{name: packed(getattr(states, name)) for name in request.cell.states})
    return Result(packed(found.output), found.last, states)
