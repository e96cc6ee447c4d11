"""The compiled backend beside the reference in float64: results and every gradient, with all that must not be read poisoned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ostinato.cells import Cell, State
from ostinato.kernels.compiled import Compiled
from ostinato.kernels.reference import Reference
from ostinato.kernels.request import Request, Result, Weights

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
NAN = float("nan")
_compiled = Compiled()


@dataclass(frozen=True)
class Example:
    """A request with random numbers that float32 holds exactly, so that both dtypes compute from the same.

    Attributes:
        cell: the recurrence.
        steps: `T`.
        rows: `B`.
        inputs: `I`.
        hidden: `H`.
        proj: `P`, or 0 without projection.
        bias: whether there are biases.
        lengths: valid steps of each row, or None.
        reverse: see `Request`.
        every_state: see `Request`.
        frozen: names of what has no gradient, see `named`.
        training: whether masks are drawn, or hold their expectation.
        seed: of the numbers.
    """

    cell: Cell
    steps: int = 5
    rows: int = 4
    inputs: int = 3
    hidden: int = 7
    proj: int = 0
    bias: bool = True
    lengths: Sequence[int] | None = None
    reverse: bool = False
    every_state: bool = False
    frozen: frozenset[str] = frozenset()
    training: bool = True
    seed: int = 0

    def request(self, dtype: torch.dtype = torch.float64, poison: bool = False) -> Request:
        """The request; with `poison`, NaN is wherever a row has ended."""
        generator = torch.Generator().manual_seed(self.seed)
        cell = self.cell

        def draw(*shape: int, scale: float = 1.0) -> Tensor:
            return torch.randn(shape, generator=generator).mul_(scale).to(dtype)

        drawn = {
            name: draw(*size, scale=size[-1] ** -0.5 if len(size) == 2 else 0.5)
            for name, size in cell.parameter_sizes(self.inputs, self.hidden, self.proj, self.bias).items()
        }
        x = draw(self.steps, self.rows, self.inputs)
        first = {
            name: draw(self.rows, size) for name, size in cell.state_sizes(self.hidden, self.proj, self.inputs).items()
        }
        state = torch.get_rng_state()
        torch.manual_seed(self.seed)
        masks = {n.name: n.draw(self.steps, first[n.state].float(), self.training).to(dtype) for n in cell.noise}
        torch.set_rng_state(state)
        lengths = None if self.lengths is None else torch.tensor(self.lengths, dtype=torch.int64)
        if lengths is not None:
            ended = (torch.arange(self.steps)[:, None] >= lengths)[..., None]
            x = x.masked_fill(ended, NAN if poison else 0)
            if poison:
                masks = {name: v.masked_fill(ended, NAN) if v.dim() == 3 else v for name, v in masks.items()}
        for name, v in [("input", x), *drawn.items(), *((f"first {name}", v) for name, v in first.items())]:
            v.requires_grad_(name not in self.frozen)
        ih, hh, b_ih, b_hh = (drawn.pop(n, None) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        assert ih is not None
        weights = Weights(ih, hh, b_ih, b_hh, drawn)
        return Request(cell, x, weights, State(**first), lengths, self.reverse, masks, self.every_state)


def leaves(request: Request) -> dict[str, Tensor]:
    """Everything of a request that has a gradient."""
    weights = request.weights
    found = {"input": request.input, "weight_ih": weights.ih, "weight_hh": weights.hh}
    found |= {"bias_ih": weights.bias_ih, "bias_hh": weights.bias_hh, **weights.own}
    found |= {f"first {name}": getattr(request.first, name) for name in request.cell.states}
    return {name: v for name, v in found.items() if v is not None and v.requires_grad}


def results(result: Result, cell: Cell) -> dict[str, Tensor]:
    """Everything in a result by name."""
    found = {"output": result.output, **{f"last {name}": getattr(result.last, name) for name in cell.states}}
    if result.states is not None:
        found |= {f"every {name}": getattr(result.states, name) for name in result.states.names if name != cell.output}
    return found


def cotangents(found: Mapping[str, Tensor], example: Example) -> list[Tensor]:
    """Random gradients of all results, NaN wherever a row has ended."""
    generator = torch.Generator().manual_seed(example.seed + 1)
    drawn = [torch.randn(v.shape, generator=generator).to(v.dtype) for v in found.values()]
    if example.lengths is None:
        return drawn
    ended = (torch.arange(example.steps)[:, None] >= torch.tensor(example.lengths))[..., None]
    return [v.masked_fill(ended, NAN) if v.dim() == 3 else v for v in drawn]


def outcome(example: Example, run: Callable[[Request], Result], request: Request) -> dict[str, Tensor]:
    """All results and gradients."""
    found = results(run(request), example.cell)
    have = leaves(request)
    pairs = [(v, d) for v, d in zip(found.values(), cotangents(found, example), strict=True) if v.requires_grad]
    gradients: Any = [None] * len(have)
    if have and pairs:
        gradients = torch.autograd.grad(
            [v for v, _ in pairs], list(have.values()), [d for _, d in pairs], allow_unused=True
        )
    for (name, leaf), gradient in zip(have.items(), gradients, strict=True):
        found[f"d {name}"] = torch.zeros_like(leaf) if gradient is None else gradient
    return {name: v.detach() for name, v in found.items()}


def error(got: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest number that was expected; of small numbers, to a hundredth."""
    if not expected.numel():
        return 0.0
    return ((got.double() - expected).abs().max() / expected.abs().max().clamp(min=1e-2)).item()


def assert_right(
    example: Example, dtype: torch.dtype = torch.float64, run: Callable[[Request], Result] = _compiled.run
) -> None:
    """A backend gives what the reference gives in float64; and with no gradient wanted, what it gives with gradients."""
    request = example.request(dtype, poison=True)
    got = outcome(example, run, request)
    expected = outcome(example, Reference().run, example.request())
    assert list(got) == list(expected)
    for name, wanted in expected.items():
        assert got[name].shape == wanted.shape, name
        off, allowed = error(got[name], wanted), TOLERANCE[dtype]
        if allowed < off < 1e-3 and dtype is torch.float32:
            # A normalisation may magnify whatever was rounded: then nobody can ask for more than PyTorch gives in this dtype.
            allowed = 3 * error(outcome(example, Reference().run, example.request(dtype))[name], wanted)
        assert off <= allowed, f"{name}: off by {off:.2g}, allowed are {allowed:.2g}"
    _assert_ends(example, got)
    with torch.no_grad():
        quick = results(run(request), example.cell)
    assert all(torch.equal(quick[name], got[name]) for name in quick), "with and without gradients differ"


def _assert_ends(example: Example, got: Mapping[str, Tensor]) -> None:
    for name, v in got.items():
        if v.dim() == 3 and example.lengths is not None:
            for b, length in enumerate(example.lengths):
                assert not v[length:, b].any(), f"{name} past the end of row {b}"


def changed(example: Example, **changes: Any) -> Example:
    """The same with changes."""
    return replace(example, **changes)
