"""The cells that are compiled and timed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ostinato import cells
from ostinato.cells import Cell
from ostinato.cells import options as option
from ostinato.errors import CellError

# In the order in which a layer applies them.
_OPTIONS: tuple[Callable[[Cell], Cell], ...] = (
    option.coupled_gates,
    option.peephole,
    option.layer_norm,
    partial(option.recurrent_dropout, rate=0.2),
    partial(option.variational_dropout, rate=0.2),
    lambda cell: option.zoneout(cell, dict.fromkeys(cell.states, 0.1)),
)


def built_in() -> dict[str, Cell]:
    """Every built-in cell with no option, and with all that it takes together."""
    plain = [each for each in vars(cells).values() if isinstance(each, Cell)] + [cells.rhn(1), cells.rhn(4)]
    found: dict[str, Cell] = {}
    for each in {cell.name: cell for cell in plain}.values():
        found[each.name] = together = each
        for change in _OPTIONS:
            try:
                together = change(together)
            except CellError:
                continue
        found[f"{each.name}, all"] = together
    return found
