"""Names of weights and sizes in a model's file, and removal of traces of the machine that wrote it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import onnx_ir as ir

from ostinato.exporting.graph import FOLLOWS, Graph

_PRODUCER = "ostinato"


def sources_of(graph: ir.Graph) -> dict[str, tuple[str, ...]]:
    """Return, for each value that depends on weights only, the names of these weights, by the name of the value."""
    found: dict[str, tuple[str, ...]] = {str(name): (str(name),) for name in graph.initializers}
    for node in graph:
        given = [v.name for v in node.inputs if v is not None]
        if node.op_type == "Constant" or (given and all(name in found for name in given)):
            weights = tuple(dict.fromkeys(source for name in given for source in found[str(name)]))
            found.update((str(v.name), weights) for v in node.outputs)
    return found


def name_weights(graph: ir.Graph, sources: Mapping[str, tuple[str, ...]], prefix: str) -> None:
    """Name each constant after the weights that it was made of; several names are joined by +.

    Args:
        graph: the graph after optimisation.
        sources: the weights of each value, from the graph before optimisation; see `sources_of`.
        prefix: the beginning of all weights' names, which is removed.
    """
    taken: set[str] = {str(v.name) for v in (*graph.inputs, *graph.outputs)}
    for v in list(graph.initializers.values()):
        weights = [name.removeprefix(prefix) for name in sources.get(str(v.name), ()) if name.startswith(prefix)]
        if not weights:
            continue
        first, *others = weights
        stem = first.rpartition(".")[0]
        name = "+".join([first, *(other.removeprefix(f"{stem}.") if stem else other for other in others)])
        names = itertools.chain([name], (f"{name}#{number}" for number in itertools.count(2)))
        v.name = next(each for each in names if each not in taken)
        taken.add(v.name)


def name_dimensions(graph: ir.Graph, described: Graph) -> None:
    """Name the inputs and outputs, and set their sizes to numbers and letters."""
    for values, ports in ((graph.inputs, described.inputs), (graph.outputs, described.outputs)):
        for v, port in zip(values, ports, strict=True):
            v.name = port.name
            if port.axes != FOLLOWS:
                v.shape = ir.Shape(port.axes)


def without_traces(model: ir.Model) -> None:
    """Remove the notes of torch's exporter about the source, which name files of this machine."""
    model.producer_name, model.producer_version, model.doc_string = _PRODUCER, None, None
    model.metadata_props.clear()
    for graph in _graphs(model.graph):
        graph.metadata_props.clear()
        graph.doc_string = None
        for v in (*graph.inputs, *graph.initializers.values()):
            v.metadata_props.clear()
        for node in graph:
            node.metadata_props.clear()
            node.doc_string = None
            for v in node.outputs:
                v.metadata_props.clear()


def _graphs(graph: ir.Graph) -> Iterator[ir.Graph]:
    yield graph
    for node in graph:
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                yield from _graphs(attribute.as_graph())
