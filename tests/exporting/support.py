"""What the tests of exports need: models run in ONNX Runtime, layers with weights that matter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

import ostinato
from ostinato.exporting.graph import flat
from ostinato.exporting.onnx.check import Session


def filled(layer: Any, seed: int = 0) -> Any:
    """A layer in evaluation whose learned weights are far from zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, v in layer.named_parameters():
            if name.startswith(("weight", "bias", "norm", "initial", "highway")) and v.requires_grad:
                v.copy_(0.4 * torch.randn(v.shape, generator=generator, dtype=v.dtype) + name.startswith("norm"))
    return layer.eval()


def exported(layer: Any, folder: Path, **options: Any) -> tuple[Any, Path]:
    """What `ostinato.export` says, and the file."""
    file = folder / "layer.onnx"
    return ostinato.export(layer, options.pop("example", None), file, force=True, **options), file


def run(file: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """In ONNX Runtime."""
    return [torch.from_numpy(np.array(v)) for v in Session(file.read_bytes())(list(inputs))]


def assert_same(found: Any, wanted: Any, atol: float = 1e-5) -> None:
    for a, b in zip(flat(found), flat(wanted), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol)


def nodes_of(graph: Any) -> list[Any]:
    """All nodes, those of bodies too."""
    found = []
    for node in graph.node:
        found.append(node)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                found += nodes_of(attribute.g)
    return found
