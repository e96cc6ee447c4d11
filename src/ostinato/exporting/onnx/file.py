"""The file of a model: it is checked first, and written as a whole or not at all."""

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

_MOST_BYTES = 2**31 - 1  # the limit of protocol buffers for a file


@dataclass(frozen=True)
class Written:
    """A model that was written.

    Attributes:
        path: the file.
        inputs: the inputs in order.
        outputs: the outputs in order.
        difference: the difference from the module, over all sizes that were compared.
        operators: the number of each recurrent operator in the model, such as {"LSTM": 1} or {"Scan": 2}.
    """

    path: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    difference: Difference
    operators: dict[str, int]


def write(graph: Graph, path: Path, *, force: bool = False) -> Written:
    """Convert a graph, check the model and write its file; after an error an earlier file is unchanged.

    Args:
        graph: the graph to write.
        path: the file.
        force: overwrite a file that exists.

    Raises:
        ConfigError: the file exists, its folder does not, or the model is above 2 GB; or see `convert`.
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
    """Return the outputs with the sizes that the model gives them."""
    found: list[Port] = []
    for v, port in zip(model.graph.outputs, graph.outputs, strict=True):
        axes = (
            None if v.shape is None else tuple(axis if isinstance(axis, int) else str(axis.value) for axis in v.shape)
        )
        found.append(replace(port, axes=axes))
    return tuple(found)


def bytes_of(model: ir.Model, name: str) -> bytes:
    """Return the content of a model's file; equal models have equal bytes."""
    proto = ir.to_proto(model)
    if proto.ByteSize() > _MOST_BYTES:
        raise ConfigError(
            f"{name}: expected a model of at most 2 GB, which a file of ONNX can hold; got {proto.ByteSize():,} bytes"
        )
    return proto.SerializeToString(deterministic=True)


def put(content: bytes, path: Path) -> None:
    """Write a file, whole or not at all."""
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
    """Count the nodes of each recurrent operator."""
    found = [node.op_type for node in model.graph if node.op_type in ("LSTM", "GRU", "RNN", "Scan")]
    return {op: found.count(op) for op in dict.fromkeys(found)}
