"""Translation to ONNX, for torch's exporter, of the operator that is a layer in a graph of `torch.export`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir
import onnxscript
import torch
from onnxscript import evaluator

from ostinato.errors import CellError
from ostinato.exporting.onnx.nodes import Nodes
from ostinato.exporting.onnx.scan import scan
from ostinato.exporting.onnx.standard import Direction, operator_of, standard
from ostinato.kernels.call import operand_names
from ostinato.kernels.compiler.trace import Unsupported, trace
from ostinato.kernels.graphs.operator_key import read
from ostinato.recorded import translations


class Translation:
    """Translates each `torch.ops.ostinato.recurrence` of one graph.

    Attributes:
        directions: the nodes of ONNX's own LSTM, GRU and RNN that were written.
        numbers: the numbers at the end of the names of values.
    """

    def __init__(self) -> None:
        self.directions: list[Direction] = []
        self.numbers = itertools.count()
        translations.add(self)

    def table(self) -> dict[Callable[..., Any], Callable[..., Any]]:
        """Return the table for `torch.onnx.export(custom_translation_table=...)`; it keeps this object alive."""

        # torch reads these annotations.
        def recurrence(
            what: str,
            given: Sequence[onnxscript.FLOAT],
            masks: Sequence[onnxscript.FLOAT],
            lengths: onnxscript.INT64 | None = None,
            save: bool = False,
        ) -> Any:
            return self._written(what, given, masks, lengths)

        return {torch.ops.ostinato.recurrence.default: recurrence}

    def _written(self, what: str, given: Sequence[Any], masks: Sequence[Any], lengths: Any) -> list[ir.Value]:
        of = read(what)
        if any(_is_drawn(mask) for mask in masks[: len(of.cell.noise)]):
            raise CellError(
                f"expected a layer in evaluation to export, got one of the cell {of.cell.name!r} in training, which draws "
                f"{of.cell.noise[0].name}; call .eval()"
            )
        nodes = Nodes(given[0].dtype, self.numbers)
        by_name = dict(zip(operand_names(of.cell, of.bias), given, strict=True))
        reverse = of.directions[0]
        try:
            program = trace(of.cell, of.bias, of.projected)
        except Unsupported as error:
            raise CellError(f"the cell {of.cell.name!r} cannot be exported to ONNX: {error}") from error
        # ONNX Runtime's LSTM, GRU and RNN know float32 only.
        operator = None if of.every_state or nodes.dtype != ir.DataType.FLOAT else operator_of(of.cell, program)
        if operator is None:
            found = scan(nodes, of.cell, program, by_name, of.shown, reverse, lengths)
        else:
            found, direction = standard(nodes, operator, of.cell, by_name, reverse, lengths)
            self.directions.append(direction)
        # torch's exporter collects the nodes of a translation here.
        evaluator.default().nodes.extend(nodes.all)  # pyright: ignore[reportAttributeAccessIssue]
        return found


_RANDOM = frozenset(["Bernoulli", "RandomUniform", "RandomUniformLike", "RandomNormal", "RandomNormalLike"])


def _is_drawn(mask: ir.Value) -> bool:
    """Whether a mask is drawn at random; in evaluation it is its expectation."""
    node = mask.producer()
    if node is None:
        return False
    return node.op_type in _RANDOM or any(_is_drawn(v) for v in node.inputs if v is not None)


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return a table with which torch's own exporter can write our layers; make one for each export.

    ```python
    torch.onnx.export(module, (x,), "model.onnx", custom_translation_table=translation_table())
    ```
    """
    return Translation().table()
