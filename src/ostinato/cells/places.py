"""Find a cell by a text, and the text for a cell: its name such as "janet", or its place, "module:cell"."""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any

from ostinato.cell_names import every, unknown
from ostinato.cells.registry import REGISTRY, NamedCell
from ostinato.cells.spec import Cell
from ostinato.errors import CellError, ConfigError
from ostinato.places import load_from_here

_NO_CELL = "expected a cell, made with the decorator ostinato.cell, or a function that returns one"


def find(text: str) -> NamedCell:
    """The cell that a text names.

    Args:
        text: the name of a cell, such as "janet"; or the place of a cell, or of a function that returns one, such as
            "my_module:my_cell", in a module that can be imported or is in the process's current folder.

    Raises:
        ConfigError: no cell has this name, or no cell is at this place.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"cell: {unknown(repr(text))}")
    if ":" in text:
        return _at(text)
    known = {each.key: each for each in every()}
    if text not in known:
        raise ConfigError(f"cell: {unknown(text)}")
    importlib.import_module(known[text].module)
    return REGISTRY[known[text].name]


def _at(place: str) -> NamedCell:
    found = load_from_here(place, "cell")
    if isinstance(found, Cell):
        return NamedCell(place, lambda: found, ({},))
    if not inspect.isfunction(found):
        raise ConfigError(f"{place}: {_NO_CELL}, got {type(found).__name__}")

    @functools.wraps(found)
    def choose(**own: Any) -> Cell:
        made = found(**own)
        if not isinstance(made, Cell):
            raise ConfigError(f"{place}: {_NO_CELL}, got a function that returns {type(made).__name__}")
        return made

    return NamedCell(place, choose, ({},))


def text_of(cell: Cell) -> str:
    """The text with which `find` finds the cell again, in another process.

    Raises:
        ConfigError: there is no such text.
    """
    if not isinstance(cell, Cell):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"cell: {unknown(repr(cell))}")
    for each in every():
        named = REGISTRY.get(each.name) if each.module == cell.module else None
        if named is not None and named.choose() is cell:
            return each.key
    place = f"{cell.module}:{cell.name}"
    try:
        if cell.options:
            raise CellError(f"it was changed by {', '.join(cell.options)}")
        if find(place).choose() is not cell:
            raise CellError("another one is there")
    except (CellError, ConfigError, TypeError) as error:
        raise ConfigError(
            f"the cell {cell.name!r} cannot be kept by its name, {place}: {error}; define it, under this name, at the top of a "
            "module that can be imported"
        ) from error
    return place
