"""Families: cells that differ in a few numbers and are made by one function; equal numbers give the same object."""

from __future__ import annotations

import ast
import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, ParamSpec

from ostinato.cells.spec import Cell
from ostinato.errors import CellError

P = ParamSpec("P")


class Family(Generic[P]):
    """A function that makes a cell from its arguments, once for equal arguments; the cell can be found again by its name.

    A cell is pickled by its name in its module. So a module with families needs a `__getattr__` that calls `member`:

    ```python
    def __getattr__(name: str) -> Cell:
        return member(__name__, name, cornn)
    ```
    """

    def __init__(self, make: Callable[P, Cell]) -> None:
        functools.update_wrapper(self, make)
        self._make, self._parameters = make, inspect.signature(make)
        self.name = make.__name__
        self._made: dict[str, Cell] = {}

    def __call__(self, *args: P.args, **named: P.kwargs) -> Cell:
        """The cell for these arguments.

        Raises:
            CellError: the function does not accept the arguments.
        """
        bound = self._parameters.bind(*args, **named)
        bound.apply_defaults()
        for each, value in bound.arguments.items():
            if type(value) is int and isinstance(self._parameters.parameters[each].default, float):
                bound.arguments[each] = float(value)
        name = "_".join([self.name, *map(_written, bound.arguments.values())])
        if name not in self._made:
            made: Any = self._make
            cell: Cell = made(*bound.args, **bound.kwargs)
            named_so = replace(cell, name=name)
            object.__setattr__(named_so, "__doc__", f"{self.name} with {dict(bound.arguments)}; see `{self.name}`.")
            self._made.setdefault(name, named_so)
        return self._made[name]

    def find(self, name: str) -> Cell | None:
        """The member that has this name, or None."""
        head, _, rest = name.partition(f"{self.name}_")
        if head or not rest:
            return None
        made: Any = self
        try:
            found: Cell = made(*map(_read, rest.split("_")))
        except (CellError, TypeError):
            return None
        return found if found.name == name else None


def member(module: str, name: str, *families: Family[...]) -> Cell:
    """The cell with this name from one of a module's families.

    Raises:
        AttributeError: no family has a cell with this name.
    """
    for family in families:
        if (found := family.find(name)) is not None:
            return found
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def number(
    what: str, value: object, *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf
) -> None:
    """Check an argument that is a finite number.

    Raises:
        CellError: it is not a finite number, or out of its range.
    """
    found = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if math.isfinite(found) and above < found <= most and found >= least:
        return
    ranges = [f"above {above:g}"] * (above > -math.inf) + [f"of at least {least:g}"] * (least > -math.inf)
    ranges += [f"of at most {most:g}"] * (most < math.inf)
    raise CellError(f"{what} expected a finite number{' ' * bool(ranges)}{' and '.join(ranges)}, got {value!r}")


def whole(what: str, value: object) -> None:
    """Check an argument that is a whole number of at least 1.

    Raises:
        CellError: it is not a whole number of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CellError(f"{what} expected a whole number of at least 1, got {value!r}")


def _written(value: object) -> str:
    return value if isinstance(value, str) and value.islower() and value.isalpha() else repr(value)


def _read(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
