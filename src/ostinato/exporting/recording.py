"""Recording of a module as a graph of torch.export, in which each direction of a layer is one operator."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config

from ostinato.errors import ConfigError, OstinatoError
from ostinato.exporting.graph import Around, Graph
from ostinato.recorded import recording_for_onnx
from ostinato.types import Tensor


class Flat(Around):
    """A wrapper that takes any number of tensors as arguments; names of parameters get the prefix "module."."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:
        """Return the result of the module."""
        return self.module(*inputs)


def check_evaluation(module: nn.Module) -> None:
    """Raise a ConfigError if a module, or a part of it, is in training."""
    for part in module.modules():
        if part.training:
            raise ConfigError(
                f"expected a module in evaluation to export, but its {type(part).__name__} is in training, where masks are drawn; "
                "call .eval()"
            )


def shapes_of(graph: Graph) -> dict[str, Any]:
    """Return the description of the sizes that may vary, as torch.export takes it."""
    # torch.export treats a size of 1 as a special case if it changes the memory layout, so the minimum is 2 here. ONNX
    # has no such cases; the check of the model at a size of 1 shows whether it holds there.
    sizes = {letter: Dim(letter, min=min(2, graph.sizes[letter])) for letter in graph.letters}
    each = (
        {at: sizes[axis] for at, axis in enumerate(port.axes) if isinstance(axis, str)} or None for port in graph.inputs
    )
    return {"inputs": tuple(each)}


def recorded(module: nn.Module, example: Sequence[Tensor], shapes: Any) -> ExportedProgram:
    """Record a module as a graph of torch.export.

    Args:
        module: a module in evaluation.
        example: the arguments of the module.
        shapes: which sizes of the arguments may vary; see `shapes_of`.

    Raises:
        ConfigError: the module is in training, torch cannot record it, or the graph holds for the sizes of the example
            only.
        CellError: the module has a cell that cannot be exported.
    """
    check_evaluation(module)
    try:
        # Without `_oblivious` a size of 1 in the example would be fixed to 1.
        with torch.no_grad(), recording_for_onnx(), _oblivious():
            return torch.export.export(module, tuple(example), dynamic_shapes=shapes, strict=False)
    except OstinatoError:
        raise
    except Exception as error:  # a user's module may raise anything
        raise_ours(error)
        said = " ".join(str(error).split())
        if "Constraints violated" in said or "constraint" in type(error).__name__.lower():
            raise ConfigError(
                "the module holds for the sizes of the example only, as torch.export says; give `axes` for what may vary, "
                f"or write it without a look at sizes: {said[:600]}"
            ) from error
        raise ConfigError(f"torch.export cannot record the module ({type(error).__name__}: {said[:600]})") from error


def _oblivious() -> contextlib.AbstractContextManager[Any]:
    config: Any = _config
    return config.patch(backed_size_oblivious=True)


def raise_ours(error: BaseException) -> None:
    """Raise the first OstinatoError among an error of torch and its causes, if there is one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OstinatoError):
            raise cause
        cause = cause.__cause__ or cause.__context__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what torch's exporter logs and warns about libraries that are not needed here, and about itself."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
