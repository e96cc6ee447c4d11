"""Layers and single steps of cells that papers describe, each made when it is first used.

```python
ostinato.catalogue.JANET(64, 128, num_layers=2)
ostinato.catalogue.JANETCell(64, 128)
ostinato.catalogue.make("janet", 64, 128, num_layers=2)
```

`make` and `cell` know the built-in cells too, and your own cells by their place, "module:cell", as wherever a cell is named.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ostinato.cell_names import catalogued, classes, every

if TYPE_CHECKING:
    from ostinato.cell_names import CellName
    from ostinato.cells.spec import Cell
    from ostinato.nn.recurrent import Recurrent

__all__ = ["cell", "make", "names", *classes(catalogued())]  # pyright: ignore[reportUnsupportedDunderAll]


_made: dict[str, type[Any]] = {}


def names() -> list[str]:
    """The names of all cells, the built-in ones first."""
    return [each.key for each in every()]


def make(
    cell: CellName | Cell, input_size: int, hidden_size: int | Sequence[int], num_layers: int = 1, **options: Any
) -> Recurrent:
    """Make the layer of a cell, by name.

    Args:
        cell: a name, such as "janet"; the place of a cell of your own, "module:cell"; or a cell.
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units, or a list with one number for each layer.
        num_layers: `L`; may be left out if `hidden_size` is a list.
        **options: further arguments of the layer, such as `zoneout=0.1`, and the cell's own, such as `beta=0.0`.

    Raises:
        ConfigError: there is no such cell.
    """
    return layer_of(cell)(input_size, hidden_size, num_layers, **options)


def cell(name: CellName, **own: Any) -> Cell:
    """The cell itself, by name.

    Args:
        name: a name, such as "janet"; or the place of a cell of your own, "module:cell".
        **own: the cell's own arguments, such as `beta=0.0`.

    Raises:
        ConfigError: there is no such cell.
        TypeError: the cell does not have an argument.
    """
    from ostinato.cells.places import find

    return find(name).cell(own)


def layer_of(cell: CellName | Cell) -> Callable[..., Recurrent]:
    """The function that makes layers of a cell: the class with its name, or `Recurrent` with the cell.

    Raises:
        ConfigError: there is no such cell.
    """
    from ostinato.cells.places import find
    from ostinato.cells.spec import Cell
    from ostinato.nn import LayerOptions, Recurrent, layers
    from ostinato.nn.options import check_names

    if isinstance(cell, Cell):
        return partial(Recurrent, cell)
    named = find(cell)
    if named.name in __all__:
        return __getattr__(named.name)
    if ":" not in cell:
        return getattr(layers, named.name)

    def at_place(*sizes: Any, **options: Any) -> Recurrent:
        common = {*inspect.signature(Recurrent.__init__).parameters, *LayerOptions.__annotations__}
        if not any(each.kind is each.VAR_KEYWORD for each in named.arguments.values()):
            check_names(options.keys() - common, {*LayerOptions.__annotations__, *named.arguments})
        own = {argument: options.pop(argument) for argument in named.arguments if argument in options}
        return Recurrent(named.cell(own), *sizes, **options)

    return at_place


def __getattr__(name: str) -> Any:
    declared = {each.name + kind: (each, kind) for kind in ("", "Cell") for each in catalogued()}
    if name not in declared:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in _made:
        from ostinato.cells.places import find
        from ostinato.nn.named import named_class
        from ostinato.nn.recurrent import Recurrent
        from ostinato.nn.step import Step

        of, kind = declared[name]
        _made.setdefault(name, named_class(find(of.key), Step if kind else Recurrent, name, __name__))
    return _made[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
