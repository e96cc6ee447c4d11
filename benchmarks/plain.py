"""The sections `training` and `inference`: the three plain layers, by everyone who has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

import ostinato
from benchmarks.case import Case, Subject, make_subject
from benchmarks.loop import Loop
from benchmarks.onnx_peer import OnnxLayer
from benchmarks.sizes import GATES, SIZES, Mode, Size
from ostinato.kernels.dispatch import backends_for

PEERS = ("torch.nn", "ONNX Runtime")


def torch_layer(cell: str, size: Size, **options: Any) -> Any:
    """The layer of torch.nn, always with the same weights."""
    torch.manual_seed(0)
    return getattr(torch.nn, cell)(size.I, size.H, **options)


def our_layer(like: Any, **options: Any) -> Any:
    """Ostinato's layer, or cell, with the weights of torch.nn's."""
    layer = getattr(ostinato, type(like).__name__)(like.input_size, like.hidden_size, **options)
    layer.load_state_dict(like.state_dict())
    return layer


def training(sizes: Sequence[Size] = SIZES, cells: Sequence[str] = tuple(GATES)) -> Iterator[Case]:
    """A training step."""
    return _cases("training", sizes, cells)


def inference(sizes: Sequence[Size] = SIZES, cells: Sequence[str] = tuple(GATES)) -> Iterator[Case]:
    """A forward pass without gradient."""
    return _cases("inference", sizes, cells)


def _cases(mode: Mode, sizes: Sequence[Size], cells: Sequence[str]) -> Iterator[Case]:
    for cell in cells:
        for size in sizes:
            yield Case(mode, cell, mode, size, tuple(_subjects(cell, size, mode)), PEERS)


def _subjects(cell: str, size: Size, mode: Mode) -> Iterator[Subject]:
    theirs = torch_layer(cell, size)
    x = torch.randn(size.T, size.B, size.I)
    flops = size.flops(GATES[cell], mode)

    def module(name: str, layer: torch.nn.Module, background: bool = False) -> Subject:
        return make_subject(name, layer, lambda x: layer(x)[0], x, mode, flops, "torch.nn", background)

    yield module("Ostinato", our_layer(theirs))
    for backend in (each.name for each in backends_for("cpu")):
        yield module(f"Ostinato, {backend}", our_layer(theirs, backend=backend), background=backend == "reference")
    yield module("torch.nn", theirs)
    if mode == "inference":
        yield Subject("ONNX Runtime", OnnxLayer(theirs, size.T, size.B).sequence(x), flops, same_as="torch.nn")
    loop = Loop(theirs)
    yield make_subject("Python loop", loop, loop, x, mode, flops, "torch.nn", background=True)
