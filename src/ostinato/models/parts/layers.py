"""Recurrent layers by name, with the arguments that a model leaves to its user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ostinato.cell_names import CellName as CellName
from ostinato.cells.library import NAMED
from ostinato.errors import CellError, ConfigError
from ostinato.nn import Recurrent, layers

_SET_BY_THE_MODEL = frozenset(
    {"input_size", "hidden_size", "num_layers", "batch_first", "dropout", "bidirectional", "device", "dtype"}
)


def make_layers(
    cell: CellName,
    input_size: int,
    hidden_size: int | Sequence[int],
    num_layers: int = 1,
    *,
    options: Mapping[str, Any] | None = None,
    **given: Any,
) -> Recurrent:
    """A stack of recurrent layers.

    Args:
        cell: which.
        input_size: I.
        hidden_size: H, or one number a layer.
        num_layers: L; may be left out where `hidden_size` has one number a layer.
        options: keyword options of the layer that the user chose, such as `{"zoneout": 0.1}`.
        **given: those that the model chose, such as `bidirectional`.

    Raises:
        ConfigError: an unknown cell, or an option that the layer does not have, that is not the user's, or whose value is refused.
    """
    if cell not in NAMED:
        raise ConfigError(f"cell: expected one of {', '.join(NAMED)}, got {cell}")
    layer = getattr(layers, NAMED[cell].name)
    if taken := sorted(set(options or {}) & (_SET_BY_THE_MODEL | set(given))):
        raise ConfigError(f"options: {', '.join(taken)} cannot be given here; the model sets it itself")
    try:
        return layer(input_size, hidden_size, num_layers, **given, **(options or {}))
    except (CellError, TypeError, ValueError) as error:
        raise ConfigError(f"options of {layer.__name__}: {error}") from error


def output_size(layers: Recurrent) -> int:
    """D H, the width of what the last layer gives."""
    return (layers.proj_size or layers.hidden_sizes[-1]) * layers.num_directions
