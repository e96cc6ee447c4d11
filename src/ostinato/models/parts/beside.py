"""What a cell reads at each step beside its input, as GRU-D its mask and gaps: the last columns of a model's input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ostinato.errors import ConfigError, OstinatoError
from ostinato.models.parts.layers import AnyCell, make_layers
from ostinato.nn import Recurrent
from ostinato.types import Tensor


def extras_of(cell: AnyCell, options: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The extras of a cell by name: "1" for a number, "I" for a vector as wide as the input; empty for most cells."""
    try:
        return dict(make_layers(cell, 2, 2, options=options, with_extras=True).base_cell.extras)
    except OstinatoError:
        return {}  # making the layers reports the fault


def input_size_of(width: int, extras: Mapping[str, str]) -> int:
    """I, the width of a cell's input, if input and extras together are `width` numbers at a step.

    Raises:
        ConfigError: the numbers cannot be divided so.
    """
    alone = sum(letter == "1" for letter in extras.values())
    left, parts = width - alone, 1 + len(extras) - alone
    if left < parts or left % parts or set(extras.values()) - {"1", "I"}:
        raise ConfigError(
            f"input_size: expected the input and {', '.join(extras)} side by side, got {width} numbers of a step"
        )
    return left // parts


def parted(layers: Recurrent, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Splits (..., I + widths) into the input of layers, and their extras by name."""
    extras = layers.base_cell.extras
    if not extras:
        return x, {}
    at, found = layers.input_size, dict[str, Tensor]()
    for name, letter in extras.items():
        width = 1 if letter == "1" else layers.input_size
        found[name] = x[..., at] if letter == "1" else x[..., at : at + width]
        at += width
    return x[..., : layers.input_size], found
