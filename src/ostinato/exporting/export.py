"""`ostinato.export`: a module in a file that needs neither Python nor torch."""

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
    """Writes a module as an ONNX model, and checks it in ONNX Runtime at five other sizes before the file is there.

    A plain LSTM, GRU or RNN, with peepholes or coupled gates too, becomes ONNX's own operator; any other recurrence a `Scan` whose
    body is its step. Sizes that may vary are left open: the number of rows, and that of steps, at least 1.

    Args:
        module: in evaluation. A layer of Ostinato, a single step (`LSTMCell` and its kin), or any module around them.
        example: its arguments: a tensor, a tuple of arguments, or a dictionary of them by name. Of a layer the input alone may do;
            None for one that is drawn.
        path: the file, such as "model.onnx".
        form: of a layer; "step" for one step, whose states go in and out, without the axis of time.
        states: of a layer; first states are inputs (`h_0`, `c_0`), and last ones outputs (`h_n`, `c_n`). An example that has some
            says so too.
        lengths: of a layer; the valid steps of each row are an input, `(B,)` int64. An example that has some says so too.
        axes: of any other module, name of an input to what its dimensions are, such as `{"x": "T B 64"}`: the same letter or word
            for the same size that may vary, a number or "-" for one that may not. None leaves open what torch.export can.
        outputs: of any other module, the names of its results.
        force: write over a file that is there.

    What `torch.export` finds a size of the example in, such as a loop in Python, holds for that size: `Written.inputs` tells which
    sizes are open.

    Returns:
        What was written: inputs, outputs, and the largest difference that was found.

    Raises:
        ConfigError: the module is in training, or cannot be recorded, or the file is there already, or arguments do not fit.
        CellError: a cell that has no form in ONNX; the message names the operation.
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
    """A layer of torch.nn's own in a module."""
    parts = (part for part in module.modules() if isinstance(part, nn.RNNBase))
    return next((part for part in parts if not isinstance(part, Recurrent)), None)


def _given(module: nn.Module, example: Any) -> tuple[bool, bool]:
    """Whether an example of a layer has first states, and lengths."""
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
        module(**known)  # whose errors say what does not fit
    return known.get("hx") is not None, known.get("lengths") is not None
