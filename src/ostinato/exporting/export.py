"""`ostinato.export`: write a module to a file that needs neither Python nor torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from ostinato.errors import ConfigError, told_kind
from ostinato.exporting.graph import Graph
from ostinato.exporting.layers import layer_graph, step_graph
from ostinato.exporting.modules import module_graph
from ostinato.exporting.onnx import Written, write
from ostinato.nn import Recurrent, Step

Form = Literal["sequence", "step"]


def export(
    module: nn.Module,
    example: Any,
    path: str | os.PathLike[str],
    *,
    form: Form = "sequence",
    states: bool = False,
    lengths: bool = False,
    axes: Mapping[str, str] | None = None,
    outputs: Sequence[str] | None = None,
    force: bool = False,
) -> Written:
    """Write a module as an ONNX model. Before the file is saved, ONNX Runtime checks it at five other sizes.

    A plain LSTM (also with peepholes or coupled gates), GRU or RNN becomes ONNX's own operator; any other recurrence
    becomes a `Scan` whose body is its step. The number of rows and the number of steps stay variable in the model; each
    is at least 1.

    Args:
        module: a module in evaluation: a layer of Ostinato, a single step (`LSTMCell` and the like), or a module that
            contains such.
        example: the arguments of the module: a tensor, a tuple of arguments, or a dictionary of them by name. For a
            layer the input alone is enough, or None, for which an input is drawn.
        path: the file, such as "model.onnx".
        form: for a layer: "step" writes one step, with states as inputs and outputs, and without the time axis.
        states: for a layer: first states become inputs (`h_0`, `c_0`), and last states outputs (`h_n`, `c_n`); also if
            the example has first states.
        lengths: for a layer: the number of valid steps of each row becomes an input, `(B,)` int64; also if the example
            has lengths.
        axes: for any other module: the dimensions of each input by its name, such as `{"x": "T B 64"}`. A letter or
            word is a size that may vary, the same one for equal sizes; a number or "-" is a fixed size. None: all sizes
            vary that torch.export can leave variable.
        outputs: for any other module: the names of its results.
        force: overwrite a file that exists.

    If the module reads a size in Python, such as for a loop over it, `torch.export` fixes that size to the example's;
    `Written.inputs` tells which sizes may vary.

    Returns:
        The inputs and outputs of the model, and the largest difference from the module that the check found.

    Raises:
        ConfigError: the module is in training or cannot be recorded, the file exists already, or arguments do not fit.
        CellError: a cell cannot be written in ONNX; the message names the operation.
        ModelError: the model computes something else than the module.
    """
    if not isinstance(module, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"module expected a torch.nn.Module, got {told_kind(module)}")
    if form not in ("sequence", "step"):
        raise ConfigError(f"form expected sequence or step, got {form!r}")
    file = Path(path)
    graph = _graph(module, example, file.stem, form, states, lengths, axes, outputs)
    return write(graph, file, force=force)


def _graph(
    module: nn.Module,
    example: Any,
    name: str,
    form: Form,
    states: bool,
    lengths: bool,
    axes: Mapping[str, str] | None,
    outputs: Sequence[str] | None,
) -> Graph:
    if isinstance(module, Recurrent | Step):
        if axes is not None or outputs is not None:
            raise ConfigError(
                "axes and outputs are for modules around layers; those of a layer are known. Leave them out"
            )
        has_states, has_lengths = _given(module, example)
        if isinstance(module, Step):
            return step_graph(module, name)
        return layer_graph(
            module, name, states=states or has_states, lengths=lengths or has_lengths, step=form == "step"
        )
    if form == "step" or states or lengths:
        asked = "form step" if form == "step" else "states" if states else "lengths"
        raise ConfigError(
            f"{asked} is for a layer of Ostinato, got a {type(module).__name__}; give states and lengths in its example, and for a "
            "step an example of one step"
        )
    if (theirs := _of_torch(module)) is not None:
        raise ConfigError(
            f"expected Ostinato's layers in the module, got torch.nn.{type(theirs).__name__}, which torch exports for the "
            "example's length only; convert it first: ostinato.export(ostinato.convert(module), ...)"
        )
    return module_graph(module, example, name, axes=axes, outputs=outputs)


def _of_torch(module: nn.Module) -> nn.Module | None:
    """Return the first recurrent layer of torch.nn in a module; None if there is none."""
    parts = (part for part in module.modules() if isinstance(part, nn.RNNBase))
    return next((part for part in parts if not isinstance(part, Recurrent)), None)


def _given(module: nn.Module, example: Any) -> tuple[bool, bool]:
    """Return whether an example of a layer has first states, and whether it has lengths."""
    if example is None:
        return False, False
    if isinstance(example, Mapping):
        args, named = (), dict(example)
    else:
        args, named = (example if isinstance(example, tuple) else (example,)), {}
    known: dict[str, Any] = dict(zip(("input", "hx", "lengths"), args, strict=False)) | named
    if not isinstance(known.get("input"), torch.Tensor):
        raise ConfigError(f"example expected the input of a layer, a tensor, got {type(known.get('input')).__name__}")
    with torch.no_grad():
        module(**known)  # its errors say what does not fit
    return known.get("hx") is not None, known.get("lengths") is not None
