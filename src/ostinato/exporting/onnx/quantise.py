"""Weights in 8 bits by ONNX Runtime's dynamic quantisation."""

from __future__ import annotations

import logging
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx


def quantise(file: Path) -> None:
    """Rewrite a model with int8 weights in products, LSTMs and embeddings; inputs of products are rounded at run time.

    Args:
        file: the file of the model; it is replaced as a whole.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(file)
    # The quantiser transposes matrices in place, but leaves the notes of their shapes unchanged; so these are removed.
    for graph in (model.graph, *_bodies(model.graph)):
        del graph.value_info[:]
    _give_copies(model.graph)
    handle, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    os.close(handle)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a preparation that the exporter has already done
    try:
        quantize_dynamic(
            model,
            partial,
            weight_type=QuantType.QInt8,
            extra_options={"EnableSubgraph": True, "MatMulConstBOnly": True, "DefaultTensorType": 1},
        )
        os.chmod(partial, file.stat().st_mode & 0o777)
        os.replace(partial, file)
    except BaseException:
        os.unlink(partial)
        raise
    finally:
        root.setLevel(level)


def _bodies(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield attribute.g
                yield from _bodies(attribute.g)


def _give_copies(graph: onnx.GraphProto) -> None:
    """Give each `Gemm` a matrix of its own: an output layer may share its matrix with an embedding."""
    weights = {each.name: each for each in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input)
    for node in graph.node:
        name = node.input[1] if node.op_type == "Gemm" else ""
        if name in weights and uses[name] > 1:
            copy = graph.initializer.add()
            copy.CopyFrom(weights[name])
            copy.name = node.input[1] = f"{name}/{node.output[0]}"
            uses[name] -= 1
