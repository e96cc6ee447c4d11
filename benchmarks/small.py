"""The section `small`: layers and cells so small that the call takes longer than the arithmetic, beside torch.nn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

import ostinato
from benchmarks.case import Case, Subject, make_subject
from benchmarks.plain import our_layer, torch_layer
from benchmarks.sizes import CALL, GATES, SMALL, SMALL_BIDIRECTIONAL, Mode, Size

BASELINE = "torch.nn"
CALLS = "a layer's call"
FLOOR = "empty autograd.Function"
MODES: tuple[Mode, ...] = ("inference", "training")
SAMPLE_S = 0.0015
REGULARISED = {"zoneout": (0.05, 0.5), "layer_norm": True}

Forward = Callable[[torch.Tensor], torch.Tensor]
Subjects = Callable[[str, Size, Mode], Iterator[Subject]]


class Empty(torch.autograd.Function):
    """Takes and gives as many tensors as a layer, in both passes, and computes none: the floor of a training step in Python."""

    @staticmethod
    def forward(ctx: Any, shapes: Sequence[torch.Size], *given: torch.Tensor) -> tuple[torch.Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The tensors that the layer gives, not filled.

        Args:
            ctx: torch's.
            shapes: of the output and of the last states.
            given: the input, the parameters and the first states.
        """
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given)
        return tuple(torch.empty(shape) for shape in shapes)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> Any:
        """The gradients that are wanted, not filled."""
        wanted = ctx.needs_input_grad[1:]
        return None, *(torch.empty_like(v) if here else None for v, here in zip(ctx.saved_tensors, wanted, strict=True))


def small(
    sizes: Sequence[Size] = (*SMALL, CALL), cells: Sequence[str] = tuple(GATES), modes: Sequence[Mode] = MODES
) -> Iterator[Case]:
    """A layer's call; then layers, bidirectional ones, an LSTM with zoneout and layer norm, and cells, in both modes.

    Args:
        sizes: some of `SMALL`, and `CALL`. Bidirectional layers are measured at those of them that are in `SMALL_BIDIRECTIONAL`,
            cells at those of one time step.
        cells: "RNN", "LSTM", "GRU".
        modes: inference, training.
    """
    layers = [size for size in sizes if size != CALL]
    both_ways = [size for size in layers if size in SMALL_BIDIRECTIONAL]
    if CALL in sizes:
        for cell in cells:
            yield from _cases(f"{CALLS}: {cell}", cell, [CALL], modes, _a_call)
    for cell in cells:
        yield from _cases(cell, cell, layers, modes, _layers)
        if cell == "LSTM":
            yield from _cases("LSTM, zoneout and layer norm", cell, layers, modes, _regularised)
        if cell != "RNN":
            yield from _cases(f"{cell}, bidirectional", cell, both_ways, modes, _bidirectional)
        yield from _cases(f"{cell}Cell", cell, [size for size in layers if size.T == 1], modes, _steps)


def without_gradient(mode: Mode) -> AbstractContextManager[Any]:
    """Nothing in training, and in inference `torch.no_grad()`: what most people write."""
    return torch.no_grad() if mode == "inference" else nullcontext()


def output_of(layer: Any) -> tuple[torch.nn.Module, Forward]:
    """A layer, and what `pair` compares of it."""
    return layer, lambda x: layer(x)[0]


def pair(
    theirs: tuple[torch.nn.Module, Forward],
    ours: tuple[torch.nn.Module, Forward],
    x: torch.Tensor,
    mode: Mode,
    flops: float,
    *,
    same: bool = True,
) -> Iterator[Subject]:
    """Ostinato and torch.nn. A training step is the backward pass of `(output * weight).sum()`, whose gradient is not all ones.

    Args:
        theirs: the module of torch.nn, and its output from the input.
        ours: the same of Ostinato.
        x: the input.
        mode: training or inference.
        flops: see `Subject`.
        same: whether both do the same work.
    """
    for name, (module, forward) in (("Ostinato", ours), (BASELINE, theirs)):
        yield make_subject(name, module, weighed(forward, x, mode), x, mode, flops, BASELINE if same else None)


def weighed(forward: Forward, x: torch.Tensor, mode: Mode) -> Forward:
    """The output, in training times a weight that is drawn once."""
    if mode == "inference":
        return forward
    with torch.no_grad():
        shape = forward(x).shape
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    return lambda x: forward(x) * weight


def _cases(name: str, cell: str, sizes: Sequence[Size], modes: Sequence[Mode], subjects: Subjects) -> Iterator[Case]:
    for mode in modes:
        for size in sizes:
            yield Case(
                *("small", name, mode, size, tuple(subjects(cell, size, mode)), (BASELINE,)),
                within=lambda mode=mode: without_gradient(mode),
                sample_s=SAMPLE_S,
            )


def _layers(cell: str, size: Size, mode: Mode, directions: int = 1) -> Iterator[Subject]:
    options = {"bidirectional": directions == 2}
    theirs = torch_layer(cell, size, **options)
    ours = our_layer(theirs, **options)
    x = torch.randn(size.T, size.B, size.I)
    yield from pair(output_of(theirs), output_of(ours), x, mode, directions * size.flops(GATES[cell], mode))


def _bidirectional(cell: str, size: Size, mode: Mode) -> Iterator[Subject]:
    yield from _layers(cell, size, mode, directions=2)


def _regularised(cell: str, size: Size, mode: Mode) -> Iterator[Subject]:
    theirs, ours = torch_layer(cell, size), getattr(ostinato, cell)(size.I, size.H, **REGULARISED)
    x = torch.randn(size.T, size.B, size.I)
    yield from pair(output_of(theirs), output_of(ours), x, mode, size.flops(GATES[cell], mode), same=False)


def _steps(cell: str, size: Size, mode: Mode) -> Iterator[Subject]:
    theirs = torch_layer(f"{cell}Cell", size)
    x, h, c = torch.randn(size.B, size.I), torch.randn(size.B, size.H), torch.randn(size.B, size.H)

    def step(module: Any) -> tuple[torch.nn.Module, Forward]:
        if cell == "LSTM":
            return module, lambda x: module(x, (h, c))[0]
        return module, lambda x: module(x, h)

    yield from pair(step(theirs), step(our_layer(theirs)), x, mode, size.flops(GATES[cell], mode))


def _a_call(cell: str, size: Size, mode: Mode) -> Iterator[Subject]:
    yield from _layers(cell, size, mode)
    if mode == "training":
        layer, x = torch_layer(cell, size), torch.randn(size.T, size.B, size.I)
        with torch.no_grad():
            output, last = layer(x)
        first = [torch.zeros_like(v[0]) for v in (last if isinstance(last, tuple) else (last,))]
        shapes = [output.shape, *(v.shape for v in first)]

        def forward(x: torch.Tensor) -> torch.Tensor:
            return Empty.apply(shapes, x, *layer.parameters(), *first)[0]  # pyright: ignore[reportOptionalSubscript]

        yield make_subject(FLOOR, layer, weighed(forward, x, mode), x, mode, 0.0)
