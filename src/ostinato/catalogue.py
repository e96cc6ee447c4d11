"""Layers and single steps of cells that papers describe, each made when it is first used.

```python
ostinato.catalogue.JANET(64, 128, num_layers=2)
ostinato.catalogue.JANETCell(64, 128)
ostinato.catalogue.make("janet", 64, 128, num_layers=2)
```

The names for `make` and `cell` are those of the built-in cells as well, as everywhere where a cell is named.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ostinato.cell_names import catalogued, classes, every
from ostinato.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from ostinato.cells.registry import NamedCell
    from ostinato.cells.spec import Cell
    from ostinato.nn.recurrent import Recurrent

__all__ = ["cell", "make", "names", *classes(catalogued())]  # pyright: ignore[reportUnsupportedDunderAll]


def names() -> list[str]:
    """The names of all cells, the built-in ones first."""
    return [each.key for each in every()]


def make(
    name: str, input_size: int, hidden_size: int | Sequence[int], num_layers: int = 1, **options: Any
) -> Recurrent:
    """The layer of a cell, by name.

    Args:
        name: of the cell, such as "janet".
        input_size: `I`.
        hidden_size: `H`, or a list with one number for each layer.
        num_layers: `L`; may be left out where `hidden_size` is a list.
        **options: what the layer takes besides, such as `zoneout=0.1`, and the cell's own arguments, such as `beta=0.0`.

    Raises:
        ConfigError: no cell has this name.
    """
    return layer_class(name)(input_size, hidden_size, num_layers, **options)


def cell(name: str, **own: Any) -> Cell:
    """The cell itself, by name.

    Args:
        name: of the cell, such as "janet".
        **own: the cell's own arguments, such as `beta=0.0`.

    Raises:
        ConfigError: no cell has this name.
    """
    return named_cell(name).choose(**own)


def layer_class(name: str) -> type[Any]:
    """The class that the layers of a cell have.

    Raises:
        ConfigError: no cell has this name.
    """
    kind = named_cell(name).name
    home = __name__ if kind in __all__ else "ostinato.nn.layers"
    return getattr(importlib.import_module(home), kind)


def named_cell(name: str) -> NamedCell:
    """What was declared under this name.

    Raises:
        ConfigError: no cell has this name.
    """
    known = {each.key: each for each in every()}
    if name not in known:
        raise ConfigError(f"{name} is no cell{did_you_mean(name.lower(), known)} Expected one of {', '.join(known)}")
    from ostinato.cells.registry import REGISTRY

    importlib.import_module(known[name].module)
    return REGISTRY[known[name].name]


def __getattr__(name: str) -> Any:
    declared = {each.name + kind: (each, kind) for kind in ("", "Cell") for each in catalogued()}
    if name not in declared:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ostinato.nn.named import named_class
    from ostinato.nn.recurrent import Recurrent
    from ostinato.nn.step import Step

    of, kind = declared[name]
    made = named_class(named_cell(of.key), Step if kind else Recurrent, name, __name__)
    return globals().setdefault(name, made)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
