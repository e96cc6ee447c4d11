"""The names of the cells, read from the sources in `cells/`: the command line lists them without waiting for torch."""

from __future__ import annotations

import ast
import functools
import math
from pathlib import Path
from typing import NamedTuple

from ostinato.errors import did_you_mean


class Declared(NamedTuple):
    """A cell that has a name.

    Attributes:
        order: its place in lists; infinite for a cell without one, which comes last, sorted by name.
        name: the name of its layer, such as "MinGRU"; its single step is "MinGRUCell".
        module: the module in `ostinato.cells` that declares it.
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
    """The built-in cells, in order: every `@named("...", order=...)` of a function in a file of `ostinato.cells`."""
    return _read("cells")


@functools.cache
def catalogued() -> tuple[Declared, ...]:
    """The cells of `ostinato.cells.catalogue`, by name. Read separately, as it takes a moment that `import ostinato` saves."""
    return _read("cells/catalogue")


def every() -> tuple[Declared, ...]:
    """The built-in cells and those of the catalogue."""
    return (*declared(), *catalogued())


def _read(folder: str) -> tuple[Declared, ...]:
    found: list[Declared] = []
    home = f"ostinato.{folder.replace('/', '.')}"
    for file in (Path(__file__).parent / folder).glob("*.py"):
        if "@named(" not in (source := file.read_text(encoding="utf-8")):
            continue
        functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
        for call in (each for function in functions for each in function.decorator_list):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "named":
                told = {each.arg: each.value for each in call.keywords}
                order = ast.literal_eval(told["order"]) if "order" in told else math.inf
                found.append(Declared(order, ast.literal_eval(call.args[0]), f"{home}.{file.stem}"))
    return tuple(sorted(found))


def classes(of: tuple[Declared, ...] | None = None) -> list[str]:
    """The names of all layers, then of all single steps: of the cells `of`, or of the built-in cells."""
    return [each.name + kind for kind in ("", "Cell") for each in (declared() if of is None else of)]


class CellName(str):
    """The type of a setting that names a cell: by a name of the lists, or a user's own by its place, "module:name"."""

    __slots__ = ()


def names_a_cell(text: object) -> bool:
    """Whether the text is the name of a cell, or may be the place of one."""
    return isinstance(text, str) and (":" in text or any(text == each.key for each in every()))


def expected() -> str:
    """A text that says what a `CellName` may be."""
    return f"one of {', '.join(each.key for each in every())}, or the place of one of your own, module:cell"


def unknown(name: object) -> str:
    """The error text for a name that no cell has."""
    if (place := str(name)).replace(".", "").isidentifier() and "." in place:
        close = "; did you mean {}:{}?".format(*place.rsplit(".", 1))
    else:
        close = did_you_mean(place.lower(), [each.key for each in every()]).removesuffix(".")
    return f"expected {expected()}, got {name}{close}"
