"""The decorator that gives a cell a name, and with it a layer, a single step and a place in every list of cells."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ostinato.cells.spec import Cell
from ostinato.errors import CellError, did_you_mean


@dataclass(frozen=True)
class NamedCell:
    """A cell, or a choice of cells, with a name.

    Attributes:
        name: the name of the layer, such as "GRU".
        choose: the function that makes the cell from its own arguments.
        variants: see `named`.
    """

    name: str
    choose: Callable[..., Cell]
    variants: Sequence[Mapping[str, Any]]

    @property
    def arguments(self) -> Mapping[str, inspect.Parameter]:
        """The cell's own arguments, which its layer and its single step have in addition to the common ones."""
        return inspect.signature(self.choose).parameters

    def cell(self, own: Mapping[str, Any]) -> Cell:
        """The cell that these arguments choose.

        Raises:
            TypeError: an argument is unknown or missing; the message names the cell, not the function.
        """
        every = self.arguments.values()
        takes_all = any(each.kind is each.VAR_KEYWORD for each in every)
        if unknown := [argument for argument in own if argument not in self.arguments and not takes_all]:
            has = f"its own are {', '.join(self.arguments)}" if self.arguments else "it has none of its own"
            close = did_you_mean(unknown[0], self.arguments).removesuffix(".")
            raise TypeError(f"unexpected keyword argument {unknown[0]!r} of {self.name}: {has}{close}")
        needed = [each for each in every if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]
        wanted = [each.name for each in needed if each.default is each.empty and each.name not in own]
        if wanted:
            step = ""
            if len(wanted) > 2:  # the most likely mistake
                step = "; if it is a step, put the decorator ostinato.cell above it, with its gates and states"
            raise TypeError(f"{self.name} needs the argument{'s'[: len(wanted) > 1]} {', '.join(wanted)}{step}")
        return self.choose(**own)


REGISTRY: dict[str, NamedCell] = {}


def named(
    name: str, *, order: int | None = None, variants: Sequence[Mapping[str, Any]] = ({},)
) -> Callable[[Callable[..., Cell]], Callable[..., Cell]]:
    """Give a name to the cell that a function returns.

    The function's arguments, which have built-in types and literals as defaults, become arguments of the layer and the single step:
    positional ones at the place where torch.nn's RNN has `nonlinearity`, the others keyword-only. The function's docstring says
    what the layer computes and what these arguments mean; `Recurrent` and `Step` document the common ones. If torch's kernels
    compute the default cell, and torch.nn has a class of this name, that class is a base class, and arguments that the function
    refuses with a CellError raise torch.nn's own error.

    Args:
        name: the name of the layer, such as "GRU". It must be a literal, as must `order`: `ostinato.cell_names` reads them without
            running the file.
        order: the cell's place in lists of cells; None for a place after those that have one, sorted by name.
        variants: sets of own arguments with which the tests for every cell try this one.

    Raises:
        CellError: another file has a cell of that name.
    """

    def register(choose: Callable[..., Cell]) -> Callable[..., Cell]:
        # Models and the command line use the name in lower case.
        known = next((each for each in REGISTRY.values() if each.name.lower() == name.lower()), None)
        if known is not None and (known.name, known.choose.__module__) != (name, choose.__module__):
            raise CellError(
                f"expected a name that no other cell has, got {name!r}, which {known.choose.__module__} has; choose another"
            )
        REGISTRY[name] = NamedCell(name, choose, variants)
        return choose

    return register
