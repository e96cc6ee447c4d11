"""The names of the built-in cells, read from the sources in `cells/`: the command line lists them without waiting for torch."""

from __future__ import annotations

import ast
import functools
import math
from pathlib import Path
from typing import Literal, NamedTuple


class Declared(NamedTuple):
    """A cell that has a name.

    Attributes:
        order: its place among the others; those that have none come last, by name.
        name: of its layer, such as "MinGRU"; its single step is "MinGRUCell".
        module: the one in `ostinato.cells` that declares it.
    """

    order: float
    name: str
    module: str

    @property
    def key(self) -> str:
        """Its name for models and on the command line, such as "mingru"."""
        return self.name.lower()


@functools.cache
def declared() -> tuple[Declared, ...]:
    """Every `@named("...", order=...)` of a function in a file of `ostinato.cells`, in order."""
    found: list[Declared] = []
    for file in Path(__file__).with_name("cells").glob("*.py"):
        if "@named(" not in (source := file.read_text(encoding="utf-8")):
            continue
        functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
        for call in (each for function in functions for each in function.decorator_list):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "named":
                told = {each.arg: each.value for each in call.keywords}
                order = ast.literal_eval(told["order"]) if "order" in told else math.inf
                found.append(Declared(order, ast.literal_eval(call.args[0]), f"ostinato.cells.{file.stem}"))
    return tuple(sorted(found))


def classes() -> list[str]:
    """The names of all layers, then of all single steps."""
    return [each.name + kind for kind in ("", "Cell") for each in declared()]


CellName = Literal[tuple(each.key for each in declared())]  # pyright: ignore[reportInvalidTypeForm]
