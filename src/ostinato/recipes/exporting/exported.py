"""What a task exports: the graphs of its model, and what else is needed to use it without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ostinato.errors import ConfigError
from ostinato.exporting.graph import Axis, Graph, Port
from ostinato.exporting.layers import StateNames
from ostinato.nn import Recurrent
from ostinato.types import Tensor

# In an installed wheel, and in the repository.
_RUNNERS = (
    Path(__file__).parents[2] / "exporting" / "runners",
    Path(__file__).parents[4] / "examples" / "onnx",
)


@dataclass(frozen=True)
class Exported:
    """A model in the parts that an export writes into a folder.

    Attributes:
        graphs: all computations.
        constants: what the runner needs, as JSON can hold it.
        runner: the file among the examples that becomes run.py, such as "classify.py".
        judge: computes figures on validation data, by name, with a `Model` of run.py for the folder.
        arrays: large arrays of numbers that the runner needs.
        beside: other files among the examples that the runner needs.
    """

    graphs: tuple[Graph, ...]
    constants: Mapping[str, Any]
    runner: str
    judge: Callable[[Any], Mapping[str, float]]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    beside: Sequence[str] = ()


def runner_file(name: str) -> Path:
    """The path of a file that is copied beside a model.

    Raises:
        ConfigError: the file does not exist.
    """
    for folder in _RUNNERS:
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"expected the runner {name} in {_RUNNERS[0]}, which is part of Ostinato; install it anew")


def tokens_port(name: str, axes: tuple[Axis, ...], size: int) -> Port:
    """An input of token ids."""
    return Port(name, axes, f"token ids from 0 to {size - 1}, int64")


def drawn_tokens(axes: tuple[Axis, ...], size: int, sizes: Mapping[str, int], generator: torch.Generator) -> Tensor:
    """Random token ids."""
    shape = [sizes[axis] if isinstance(axis, str) else axis for axis in axes]
    return torch.randint(0, size, shape, generator=generator, device="cpu")


def drawn_lengths(sizes: Mapping[str, int], generator: torch.Generator, least: int = 0) -> Tensor:
    """Random lengths of rows."""
    return torch.randint(least, sizes["T"] + 1, (sizes["B"],), generator=generator, device="cpu")


LENGTHS = Port(
    "lengths", ("B",), "steps of each row that are there, 0 to T, int64; what lies behind them changes nothing"
)
ROW_LENGTHS = Port(
    "lengths", ("B",), "steps of each row that are there, 1 to T, int64; what lies behind them changes nothing"
)


def first_states(layer: Recurrent) -> dict[str, list[Any]]:
    """The first states of the layers for one row, by the names of their inputs."""
    zero = torch.zeros(1, 1, layer.input_size, dtype=next(layer.parameters()).dtype)
    with torch.no_grad():
        states = layer._layout.close(layer._first_states(zero, 1), True)
    tensors = (
        [states]
        if isinstance(states, torch.Tensor)
        else [v for each in states for v in ([each] if isinstance(each, torch.Tensor) else each)]
    )
    names = [port.name for port in StateNames(layer).ports("0", "")]
    return {name: v[:, 0].tolist() for name, v in zip(names, tensors, strict=True)}


def refuse_extras(scaling: Any) -> None:
    """Raises a ConfigError if the network reads masks or elapsed time beside its input, as for some recordings.

    Args:
        scaling: how recordings are read; None for other data.
    """
    if scaling is not None and scaling.extras:
        names = ", ".join(name for name, _ in scaling.extras)
        raise ConfigError(
            f"expected a model whose cell reads no more than its input, got one that reads {names} too, which the programs around "
            "an export do not make; train it with another --model.cell, such as gru"
        )
