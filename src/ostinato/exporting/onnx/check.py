"""Check that a model computes the same as its module, at other sizes and in ONNX Runtime."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch

from ostinato.errors import ModelError
from ostinato.exporting.graph import Graph, flat
from ostinato.types import Tensor

TOLERANCE = 1e-4  # absolute for numbers up to 1, relative for larger ones
_WORSE = 4.0  # if the module's own rounding exceeds the tolerance, the model's error may be this many times as large


@dataclass(frozen=True)
class Difference:
    """The difference between the outputs of a model and of its module.

    Attributes:
        largest: the largest difference over all outputs and sizes; absolute for numbers up to 1, relative for larger
            ones.
        output: the name of the output with this difference.
        sizes: the shapes of the inputs with this difference.
        rounding: if `largest` exceeds `TOLERANCE`, the difference between the module in its own type and in float64;
            else None.
    """

    largest: float
    output: str
    sizes: tuple[tuple[int, ...], ...]
    rounding: float | None = None


class Session:
    """A model loaded in ONNX Runtime.

    Args:
        model: the bytes of a file, or its path.
    """

    def __init__(self, model: bytes | str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # The inputs are small, and waiting threads would take cores from other processes.
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # errors only: warnings are about its own optimisations
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._names = [each.name for each in self._session.get_inputs()]

    def __call__(self, inputs: Sequence[Tensor]) -> list[np.ndarray]:
        """Return the outputs in order."""
        # The session has no input that nothing depends on; `strict` then raises.
        found = self._session.run(None, dict(zip(self._names, (v.numpy() for v in inputs), strict=True)))
        return [np.asarray(v) for v in found]


def check(model: bytes, graph: Graph, others: Sequence[Sequence[Tensor]]) -> Difference:
    """Compare a model with its module.

    Args:
        model: the bytes of the file.
        graph: the graph that the model was made of.
        others: the inputs to compare with.

    Raises:
        ModelError: ONNX's checker rejects the model, ONNX Runtime cannot run it, or it computes something else.
    """
    try:
        onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
        session = Session(model)
    except Exception as error:  # the checker and ONNX Runtime may raise anything
        raise ModelError(f"{graph.name}: the ONNX model is not valid: {' '.join(str(error).split())[:600]}") from error
    worst = Difference(-1.0, "", ())
    for inputs in others:
        sizes = tuple(tuple(v.shape) for v in inputs)
        with torch.no_grad():
            wanted = flat(graph.module(*inputs))
        try:
            found = session(inputs)
        except Exception as error:
            said = " ".join(str(error).split())
            raise ModelError(
                f"{graph.name}: ONNX Runtime cannot run the model at {_told(graph, sizes)}: {said[:600]}"
            ) from error
        for port, ours, theirs in zip(graph.outputs, wanted, found, strict=True):
            difference = Difference(distance(ours, theirs), port.name, sizes)
            if difference.largest > TOLERANCE:
                difference = _judged(graph, inputs, difference, theirs)
            if difference.largest > worst.largest:
                worst = difference
    return worst


def distance(ours: Tensor, theirs: np.ndarray) -> float:
    """Return the largest difference, divided by the largest number if that is above 1.

    It is infinite if shapes, types, whole numbers, or the places of NaN and infinity differ.
    """
    a = ours.detach().numpy()
    if a.shape != theirs.shape or a.dtype != theirs.dtype:
        return math.inf
    if a.dtype.kind in "biu":
        return math.inf if (a != theirs).any() else 0.0
    a, b = a.astype(np.float64), theirs.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if not a.size or same.all():
        return 0.0
    there = np.isfinite(a) & np.isfinite(b)
    if not (there | same).all():
        return math.inf
    return float(np.abs(a - b)[there].max() / max(1.0, np.abs(a[there]).max()))


def _judged(graph: Graph, inputs: Sequence[Tensor], found: Difference, theirs: np.ndarray) -> Difference:
    """Return a difference above the tolerance if the module's own rounding explains it; else raise a ModelError.

    A recurrence may multiply an error from step to step. Then no two programs in float32 agree, so each is compared
    with the result in float64.
    """
    output, told = found.output, _told(graph, found.sizes)
    apart = f"the model is {found.largest:.1e} from the module in {output} at {told}"
    message = f"{graph.name}: {apart}; at most {TOLERANCE:.0e} is right"
    exact = _exact(graph, inputs, output)
    if exact is None:
        raise ModelError(message)
    with torch.no_grad():
        ours = flat(graph.module(*inputs))[[port.name for port in graph.outputs].index(output)]
    rounding, of_model = (distance(exact, v.astype(np.float64)) for v in (ours.numpy(), theirs))
    if not of_model <= max(TOLERANCE, _WORSE * rounding):
        raise ModelError(
            f"{message}. In float64 the module is {rounding:.1e} from itself, and the model {of_model:.1e}"
        )
    return Difference(found.largest, output, found.sizes, rounding)


def _exact(graph: Graph, inputs: Sequence[Tensor], output: str) -> Tensor | None:
    """Compute an output in float64; None if the module does not run in float64."""
    try:
        module: Any = copy.deepcopy(graph.module).double()
        with torch.no_grad():
            found = flat(module(*(v.double() if v.is_floating_point() else v for v in inputs)))
    except Exception:  # a module may accept no other type
        return None
    exact = found[[port.name for port in graph.outputs].index(output)]
    return exact if exact.dtype is torch.float64 else None


def _told(graph: Graph, sizes: Sequence[Sequence[int]]) -> str:
    return ", ".join(f"{port.name} {tuple(size)}" for port, size in zip(graph.inputs, sizes, strict=True))
