"""Requests to the kernels with random weights, in float64."""

from __future__ import annotations

from typing import Any

import torch

from ostinato.cells import Cell, State
from ostinato.kernels.request import Request, Result, Weights


def request(
    cell: Cell,
    steps: int = 5,
    rows: int = 4,
    *,
    input_size: int = 3,
    hidden: int = 4,
    proj: int = 0,
    bias: bool = True,
    lengths: list[int] | None = None,
    seed: int = 0,
    **named: Any,
) -> Request:
    """A request for this cell; with `lengths`, the padding is zero, as a layer makes it."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    drawn = {name: draw(*size) for name, size in cell.parameter_sizes(input_size, hidden, proj, bias).items()}
    ih, others = drawn.pop("weight_ih"), [drawn.pop(name, None) for name in ("weight_hh", "bias_ih", "bias_hh")]
    weights = Weights(ih, *others, own=drawn)
    x = draw(steps, rows, input_size)
    first = State(**{name: draw(rows, size) for name, size in cell.state_sizes(hidden, proj, input_size).items()})
    valid = None
    if lengths is not None:
        valid = torch.tensor(lengths, dtype=torch.int64)
        x = x * (torch.arange(steps)[:, None] < valid)[..., None]
    masks = {n.name: n.draw(steps, getattr(first, n.state), True) for n in cell.noise}
    return Request(cell, x, weights, first, valid, masks=masks, **named)


def tensors(result: Result) -> list[torch.Tensor]:
    """All that a result holds."""
    return [result.output, *result.last, *(result.states or ())]


def assert_same(result: Result, expected: Result, tolerance: float = 1e-12) -> None:
    """Every output, last state and state, to the same tolerance."""
    assert result.last.names == expected.last.names
    assert (result.states is None) == (expected.states is None)
    for got, wanted in zip(tensors(result), tensors(expected), strict=True):
        torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)
