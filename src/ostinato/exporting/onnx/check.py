"""Whether a model computes what its module computes: at other sizes, in ONNX Runtime."""

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

TOLERANCE = 1e-4  # of a number up to 1; of a larger one its share
_WORSE = 4.0  # than the module's own rounding, which a model may be where that is above the tolerance


@dataclass(frozen=True)
class Difference:
    """How far a model is from its module.

    Attributes:
        largest: over all outputs and sizes, of numbers up to 1, or the share of larger ones.
        output: the name of that output.
        sizes: the shapes of the inputs there.
        rounding: where it is above `TOLERANCE`, how far the module itself is from what float64 gives; else None.
    """

    largest: float
    output: str
    sizes: tuple[tuple[int, ...], ...]
    rounding: float | None = None


class Session:
    """ONNX Runtime with a model.

    Args:
        model: a file's bytes, or its path.
    """

    def __init__(self, model: bytes | str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # What is compared is small, and threads that wait for work would take cores from others.
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # its warnings are about how it changes the model for itself
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._names = [each.name for each in self._session.get_inputs()]

    def __call__(self, inputs: Sequence[Tensor]) -> list[np.ndarray]:
        """The outputs, in order."""
        # An input that nothing depends on is no input of the session.
        found = self._session.run(None, dict(zip(self._names, (v.numpy() for v in inputs), strict=True)))
        return [np.asarray(v) for v in found]


def check(model: bytes, graph: Graph, others: Sequence[Sequence[Tensor]]) -> Difference:
    """Compares a model with its module.

    Args:
        model: a file's bytes.
        graph: what it was made of.
        others: inputs to compare at.

    Raises:
        ModelError: the standard's checker refuses the model, ONNX Runtime cannot run it, or it computes something else.
    """
    try:
        onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
        session = Session(model)
    except Exception as error:  # of both, whatever they raise
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
            apart = distance(ours, theirs)
            if apart > worst.largest:
                worst = Difference(apart, port.name, sizes)
            if apart > TOLERANCE:
                worst = _judged(graph, inputs, port.name, worst, theirs)
    return worst


def distance(ours: Tensor, theirs: np.ndarray) -> float:
    """The largest difference, as a share of the largest number where that is above 1; infinite for other shapes or other NaN."""
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


def _judged(graph: Graph, inputs: Sequence[Tensor], output: str, found: Difference, theirs: np.ndarray) -> Difference:
    """A difference above the tolerance, where the module's own rounding explains it.

    A recurrence may multiply an error from step to step; then no two programs in float32 agree, and each is to be compared with
    what float64 gives.
    """
    told = _told(graph, found.sizes)
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
    return Difference(found.largest, found.output, found.sizes, rounding)


def _exact(graph: Graph, inputs: Sequence[Tensor], output: str) -> Tensor | None:
    """An output as float64 gives it; None where the module has no such form."""
    try:
        module: Any = copy.deepcopy(graph.module).double()
        with torch.no_grad():
            found = flat(module(*(v.double() if v.is_floating_point() else v for v in inputs)))
    except Exception:  # a module may insist on its type
        return None
    exact = found[[port.name for port in graph.outputs].index(output)]
    return exact if exact.dtype is torch.float64 else None


def _told(graph: Graph, sizes: Sequence[Sequence[int]]) -> str:
    return ", ".join(f"{port.name} {tuple(size)}" for port, size in zip(graph.inputs, sizes, strict=True))
