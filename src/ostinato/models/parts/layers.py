"""Making recurrent layers from a cell, with arguments that a model leaves to its user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ostinato.catalogue import layer_of
from ostinato.cell_names import CellName, unknown
from ostinato.cells.spec import Cell
from ostinato.errors import CellError, ConfigError
from ostinato.nn import Recurrent

AnyCell: TypeAlias = CellName | Cell

_SET_BY_THE_MODEL = frozenset(
    {"input_size", "hidden_size", "num_layers", "batch_first", "dropout", "bidirectional", "device", "dtype"}
)


def make_layers(
    cell: AnyCell,
    input_size: int,
    hidden_size: int | Sequence[int],
    num_layers: int = 1,
    *,
    options: Mapping[str, Any] | None = None,
    with_extras: bool = False,
    **given: Any,
) -> Recurrent:
    """A stack of recurrent layers.

    Args:
        cell: its name, such as "lstm" or "janet"; the place of a cell of one's own, "module:cell"; or the cell itself.
        input_size: I.
        hidden_size: H, or one number a layer.
        num_layers: L; may be left out if `hidden_size` has one number a layer.
        options: keyword options of the layer that the user chose, such as `{"zoneout": 0.1}`, and arguments of the
            cell, such as `{"depth": 10}` of an RHN.
        with_extras: whether the model gives the cell what it needs beside its input, such as elapsed time.
        **given: the arguments that the model chose, such as `bidirectional`.

    Raises:
        ConfigError: the cell is unknown, or an option does not exist, is set by the model, or has a value that is
            refused.
    """
    if not isinstance(cell, str | Cell):
        raise ConfigError(f"cell: {unknown(repr(cell))}")
    layer = layer_of(cell)
    if taken := sorted(set(options or {}) & (_SET_BY_THE_MODEL | set(given))):
        raise ConfigError(f"options: {', '.join(taken)} cannot be given here; the model sets it itself")
    try:
        made = layer(input_size, hidden_size, num_layers, **given, **(options or {}))
    except (CellError, TypeError, ValueError) as error:
        name = layer.__name__ if isinstance(layer, type) else cell if isinstance(cell, str) else cell.name
        said = " ".join(str(error).split())  # in one line, whatever the user's function raises
        raise ConfigError(f"{'options of' if options else 'cell'} {name}: {said}") from error
    if (extras := made.base_cell.extras) and not with_extras:
        raise ConfigError(
            f"cell expected one that needs no more than its input, got {made.base_cell.name}, which needs {', '.join(extras)} at "
            "every step: classify and tag have it of recordings; for others use a layer of it in a model of your own"
        )
    if extras and made.bidirectional:
        raise ConfigError(
            f"bidirectional: expected false with {made.base_cell.name}, whose {', '.join(extras)} tell of the past; got true"
        )
    return made


def output_size(layers: Recurrent) -> int:
    """D H, the width of the last layer's output."""
    return (layers.proj_size or layers.hidden_sizes[-1]) * layers.num_directions
