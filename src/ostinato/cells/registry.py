"""The decorator that gives a cell a name: a layer, a single step and a place in every list of cells follow from it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ostinato.cells.spec import Cell
from ostinato.errors import CellError, did_you_mean


@dataclass(frozen=True)
class NamedCell:
    """What has a name: a cell, or a choice of cells.

    Attributes:
        name: of the layer, such as "GRU".
        choose: makes the cell of the arguments that are its own.
        variants: see `named`.
    """

    name: str
    choose: Callable[..., Cell]
    variants: Sequence[Mapping[str, Any]]

    @property
    def arguments(self) -> Mapping[str, inspect.Parameter]:
        """The arguments that are its own, which its layer and its single step have beside those of every other."""
        return inspect.signature(self.choose).parameters

    def cell(self, own: Mapping[str, Any]) -> Cell:
        """The cell that these arguments choose.

        Raises:
            TypeError: one of them is none of its own, or one is missing; in words that name the cell, not the function.
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

    The function's arguments, of built-in types and with literals as defaults, are the layer's and the single step's own: positional
    ones stand where torch.nn's RNN has `nonlinearity`, the others are keyword-only. Its docstring says what the layer computes and
    what these arguments mean; `Recurrent` and `Step` tell the shared ones. Where torch's kernels compute the default, and torch.nn
    has a class of this name, that is a base class, and what the function refuses with a CellError is refused in torch.nn's words.

    Args:
        name: of the layer, such as "GRU", a literal: `ostinato.cell_names` reads it, and `order`, without running the file.
        order: its place in lists of cells; None for a place behind those that have one, by name.
        variants: the arguments of its own with which the tests that hold for every cell try it.

    Raises:
        CellError: another file has a cell of that name.
    """

    def register(choose: Callable[..., Cell]) -> Callable[..., Cell]:
        # Models and the command line have the name in small letters.
        known = next((each for each in REGISTRY.values() if each.name.lower() == name.lower()), None)
        if known is not None and (known.name, known.choose.__module__) != (name, choose.__module__):
            raise CellError(
                f"expected a name that no other cell has, got {name!r}, which {known.choose.__module__} has; choose another"
            )
        REGISTRY[name] = NamedCell(name, choose, variants)
        return choose

    return register
