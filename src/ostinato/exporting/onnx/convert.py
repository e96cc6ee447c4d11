"""Conversion of a module to an ONNX model by torch's own exporter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from onnxscript import optimizer, rewriter
from torch.export import ExportedProgram

from ostinato.errors import ConfigError
from ostinato.exporting.graph import Graph
from ostinato.exporting.onnx.names import name_dimensions, name_weights, sources_of, without_traces
from ostinato.exporting.onnx.nodes import OPSET, Nodes
from ostinato.exporting.onnx.standard import join
from ostinato.exporting.onnx.translation import Translation
from ostinato.exporting.recording import Flat, quiet, raise_ours, recorded, shapes_of

_PREFIX = "module."
_MOST = 1 << 40  # no limit in practice: what depends on weights only is computed on writing


def convert(graph: Graph) -> ir.Model:
    """Return the ONNX model of a graph.

    Raises:
        ConfigError: the module is in training, torch cannot record or write it, or it holds for the sizes of the
            example only.
        CellError: a cell cannot be written in ONNX.
    """
    shapes, translation = shapes_of(graph), Translation()
    with quiet():
        exported = recorded(Flat(graph.module), graph.example(), shapes)
        model = _written(exported, translation, shapes, graph)
    join(model.graph, Nodes(ir.DataType.FLOAT, translation.numbers), translation.directions)
    sources = sources_of(model.graph)
    _shrink(model, sources)
    name_weights(model.graph, sources, _PREFIX + graph.prefix)
    name_dimensions(model.graph, graph)
    without_traces(model)
    return model


def _written(exported: ExportedProgram, translation: Translation, shapes: Any, graph: Graph) -> ir.Model:
    try:
        made = torch.onnx.export(
            exported,
            custom_translation_table=translation.table(),
            dynamo=True,
            opset_version=OPSET,
            optimize=False,
            verbose=False,
            dynamic_shapes=shapes,
            input_names=[port.name for port in graph.inputs],
            output_names=[port.name for port in graph.outputs],
        )
    except Exception as error:
        raise_ours(error)
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        said = " ".join(str(cause).split())
        raise ConfigError(f"torch's exporter cannot write the module as ONNX: {said[:600]}") from error
    assert made is not None
    return made.model


def _shrink(model: ir.Model, sources: Mapping[str, Sequence[str]]) -> None:
    """Compute in advance what depends on weights only, and remove nodes that are not used.

    torch does the same with `optimize=True`, but only for small weights, and it merges weights that are equal.
    """
    optimizer.inline(model)
    for _ in range(2):
        optimizer.fold_constants(model, input_size_limit=_MOST, output_size_limit=_MOST, should_fold=_folds)
        rewriter.rewrite(model)
    lift = passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)
    lift(model)
    _merge_constants(model.graph, sources)
    for each in (passes.LiftSubgraphInitializersToMainGraphPass(), passes.CommonSubexpressionEliminationPass()):
        each(model)
    optimizer.remove_unused_nodes(model)
    for each in (passes.OutputFixPass(), passes.NameFixPass()):
        each(model)


def _merge_constants(graph: ir.Graph, sources: Mapping[str, Sequence[str]]) -> None:
    """Merge equal constants, but not equal weights."""
    known: dict[object, ir.Value] = {}
    for v in list(graph.initializers.values()):
        if v.const_value is None or sources.get(str(v.name)) or v.is_graph_output():
            continue
        array = v.const_value.numpy()
        first = known.setdefault((str(array.dtype), array.shape, array.tobytes()), v)
        if first is not v:
            v.replace_all_uses_with(first)


def _folds(node: ir.Node) -> bool | None:
    """Do not transpose in advance a weight that has other uses: the file would hold it twice."""
    given = node.inputs[0] if node.op_type == "Transpose" else None
    is_shared = given is not None and given.is_initializer() and len(given.uses()) > 1
    return False if is_shared else None
