"""A module as a graph of torch.export, in which one direction of one layer is one operator."""

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
    """A module of which any number of tensors are the arguments; what it holds is called as in the module itself."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:
        """What the module gives."""
        return self.module(*inputs)


def check_evaluation(module: nn.Module) -> None:
    """Raises a ConfigError where a module, or a part of it, is in training."""
    for part in module.modules():
        if part.training:
            raise ConfigError(
                f"expected a module in evaluation to export, but its {type(part).__name__} is in training, where masks are drawn; "
                "call .eval()"
            )


def shapes_of(graph: Graph) -> dict[str, Any]:
    """What torch.export wants to be told of the sizes that may vary."""
    # Where a size of 1 lays out memory otherwise, torch.export makes a case of it. ONNX has no such cases: whoever checks the model
    # at a size of 1 sees whether it holds there.
    sizes = {letter: Dim(letter, min=min(2, graph.sizes[letter])) for letter in graph.letters}
    each = (
        {at: sizes[axis] for at, axis in enumerate(port.axes) if isinstance(axis, str)} or None for port in graph.inputs
    )
    return {"inputs": tuple(each)}


def recorded(module: nn.Module, example: Sequence[Tensor], shapes: Any) -> ExportedProgram:
    """The graph of a module.

    Args:
        module: in evaluation.
        example: its arguments.
        shapes: which of their sizes may vary.

    Raises:
        ConfigError: torch cannot record it, or it holds for the sizes of the example only.
        CellError: it has a cell that cannot be exported.
    """
    check_evaluation(module)
    try:
        # A size of 1 in the example is else a size of 1 for good.
        with torch.no_grad(), recording_for_onnx(), _oblivious():
            return torch.export.export(module, tuple(example), dynamic_shapes=shapes, strict=False)
    except OstinatoError:
        raise
    except Exception as error:  # whatever a user's module does
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
    """Raises what of ours is at the bottom of an error of torch's."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OstinatoError):
            raise cause
        cause = cause.__cause__ or cause.__context__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what torch's exporter says of libraries that nobody here needs, and of itself."""
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
