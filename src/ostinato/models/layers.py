"""Recurrent layers by name, with the arguments that a model leaves to its user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from ostinato.errors import CellError, ConfigError
from ostinato.nn import GRU, LSTM, RHN, RNN, MinGRU, MinLSTM, Recurrent

CellName: TypeAlias = Literal["lstm", "gru", "rnn", "rhn", "mingru", "minlstm"]

_LAYERS: dict[str, Any] = {"lstm": LSTM, "gru": GRU, "rnn": RNN, "rhn": RHN, "mingru": MinGRU, "minlstm": MinLSTM}
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
    if cell not in _LAYERS:
        raise ConfigError(f"cell: expected one of {', '.join(_LAYERS)}, got {cell}")
    layer = _LAYERS[cell]
    if taken := sorted(set(options or {}) & (_SET_BY_THE_MODEL | set(given))):
        raise ConfigError(f"options: {', '.join(taken)} cannot be given here; the model sets it itself")
    try:
        return layer(input_size, hidden_size, num_layers, **given, **(options or {}))
    except (CellError, TypeError, ValueError) as error:
        raise ConfigError(f"options of {layer.__name__}: {error}") from error


def output_size(layers: Recurrent) -> int:
    """D H, the width of what the last layer gives."""
    return (layers.proj_size or layers.hidden_sizes[-1]) * layers.num_directions
