"""The section `steps`: one step of one row, from Python, going on from the state that the last call left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

import ostinato
from benchmarks.case import Case, Subject
from benchmarks.loop import Loop
from benchmarks.onnx_peer import OnnxLayer
from benchmarks.plain import our_layer, torch_layer
from benchmarks.sizes import GATES, STEPS, Size

PEERS = ("torch.nn", "torch.nn cell", "ONNX Runtime", "ONNX Runtime, bound")


def steps(sizes: Sequence[Size] = STEPS, cells: Sequence[str] = tuple(GATES)) -> Iterator[Case]:
    """Sizes of one step and one row."""
    for cell in cells:
        for size in sizes:
            yield Case("steps", cell, "inference", size, tuple(_subjects(cell, size)), PEERS)


def _subjects(cell: str, size: Size) -> Iterator[Subject]:
    theirs = torch_layer(cell, size).eval()
    ours = our_layer(theirs).eval()
    x = torch.randn(1, 1, size.I)
    flops = size.flops(GATES[cell], "inference")

    def subject(name: str, call: Callable[[], Any], same_as: str | None = "torch.nn") -> Subject:
        return Subject(name, call, flops, same_as=same_as)

    exact, half, row = ostinato.Stream(ours), ostinato.Stream(ours, torch.bfloat16), x[0, 0]
    yield subject("Ostinato", lambda: exact(row))
    yield subject("Ostinato, bfloat16 weights", lambda: half(row), same_as=None)
    yield subject("torch.nn", _carrying(theirs, x))
    yield subject("torch.nn cell", _carrying_cell(theirs, x[0]))
    onnx = OnnxLayer(theirs, 1, 1)
    yield subject("ONNX Runtime", onnx.step(x))
    yield subject("ONNX Runtime, bound", onnx.bound_step(x))


def _carrying(layer: Callable[..., Any], x: torch.Tensor) -> Callable[[], torch.Tensor]:
    state = None

    def call() -> torch.Tensor:
        nonlocal state
        output, state = layer(x, state)
        return output[0, 0]

    return call


def _carrying_cell(layer: torch.nn.RNNBase, x: torch.Tensor) -> Callable[[], torch.Tensor]:
    cell = Loop(layer).cell
    state = None

    def call() -> torch.Tensor:
        nonlocal state
        state = cell(x, state)
        return (state[0] if isinstance(state, tuple) else state)[0]

    return call
