"""A model's file: written whole, and checked before it is there."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from ostinato.errors import ConfigError
from ostinato.exporting.graph import Graph, Port
from ostinato.exporting.onnx.check import Difference, check
from ostinato.exporting.onnx.convert import convert

_MOST_BYTES = 2**31 - 1  # of a file of protocol buffers


@dataclass(frozen=True)
class Written:
    """A model that was written.

    Attributes:
        path: the file.
        inputs: in order.
        outputs: in order.
        difference: from the module, over all sizes that it was compared at.
        operators: how many of each recurrent operator it has, such as {"LSTM": 1} or {"Scan": 2}.
    """

    path: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    difference: Difference
    operators: dict[str, int]


def write(graph: Graph, path: Path, *, force: bool = False) -> Written:
    """Converts a graph, checks the model and writes its file; an error leaves what was there.

    Args:
        graph: what is written.
        path: the file.
        force: write over a file that is there.

    Raises:
        ConfigError: the file is there, or cannot be written; or see `convert`.
        CellError: see `convert`.
        ModelError: see `check`.
    """
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already; choose another path, or say force to write over it")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: expected a folder {path.parent} to write into, got none; make it first")
    model = convert(graph)
    content = bytes_of(model, graph.name)
    difference = check(content, graph, [graph.example(), *graph.others()])
    put(content, path)
    return Written(path, graph.inputs, ports_of(model, graph), difference, recurrent_operators(model))


def ports_of(model: ir.Model, graph: Graph) -> tuple[Port, ...]:
    """The outputs, with their sizes as the model has them."""
    found: list[Port] = []
    for v, port in zip(model.graph.outputs, graph.outputs, strict=True):
        axes = (
            None if v.shape is None else tuple(axis if isinstance(axis, int) else str(axis.value) for axis in v.shape)
        )
        found.append(replace(port, axes=axes))
    return tuple(found)


def bytes_of(model: ir.Model, name: str) -> bytes:
    """A file's content, the same for the same model."""
    proto = ir.to_proto(model)
    if proto.ByteSize() > _MOST_BYTES:
        raise ConfigError(
            f"{name}: expected a model of at most 2 GB, which a file of ONNX can hold; got {proto.ByteSize():,} bytes"
        )
    return proto.SerializeToString(deterministic=True)


def put(content: bytes, path: Path) -> None:
    """Writes a file, whole or not at all."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(partial, 0o666 & ~_umask())
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def recurrent_operators(model: ir.Model) -> dict[str, int]:
    """How many nodes of each kind there are, of those that go through time."""
    found = [node.op_type for node in model.graph if node.op_type in ("LSTM", "GRU", "RNN", "Scan")]
    return {op: found.count(op) for op in dict.fromkeys(found)}
