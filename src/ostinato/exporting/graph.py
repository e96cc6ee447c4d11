"""Modules to export as graphs with named inputs and outputs, for any format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ostinato.types import Tensor

Axis = str | int
FOLLOWS: tuple[Axis, ...] = ("...",)
Draw = Callable[[Mapping[str, int], torch.Generator], Sequence[Tensor]]


class Around(nn.Module):
    """A wrapper that gives a module the arguments and results of a graph, and leaves its training mode as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.training = False


@dataclass(frozen=True)
class Port:
    """An input or an output of a graph.

    Attributes:
        name: its name.
        axes: the size of each dimension: a number, or a letter if it may differ between calls. `FOLLOWS` for an output
            whose sizes the format works out.
        about: a description for people, with unit and range.
    """

    name: str
    axes: tuple[Axis, ...]
    about: str = ""


@dataclass(frozen=True)
class Graph:
    """A module whose arguments and results are flat lists of tensors.

    Attributes:
        name: the name of the file without its ending.
        module: takes the inputs as positional arguments, and returns the outputs as a tuple.
        inputs: the inputs in order.
        outputs: the outputs in order.
        draw: makes inputs of the given sizes, by letter, to test the graph with.
        sizes: the sizes of the example that the graph is recorded with, by letter; at least 2 each.
        least: the smallest allowed size by letter; 1 for a letter that is missing.
        prefix: the beginning of parameter names in `module` that the original module does not have.
    """

    name: str
    module: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    draw: Draw
    sizes: Mapping[str, int] = field(default_factory=lambda: {"T": 7, "B": 3})
    least: Mapping[str, int] = field(default_factory=dict[str, int])
    prefix: str = ""

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters of all sizes that may vary."""
        return tuple(dict.fromkeys(axis for port in self.inputs for axis in port.axes if isinstance(axis, str)))

    def example(self) -> tuple[Tensor, ...]:
        """Return inputs to record the graph with."""
        return tuple(self.draw(self.sizes, torch.Generator().manual_seed(0)))

    def others(self, count: int = 5) -> list[tuple[Tensor, ...]]:
        """Return inputs of other sizes to check the graph with: shorter, longer, a single row, a single step."""
        steps, rows = (1, 13, 4, 29, 2), (4, 1, 6, 2, 9)
        found: list[tuple[Tensor, ...]] = []
        for n in range(count):
            sizes = {letter: (rows if letter == "B" else steps)[n % 5] for letter in self.letters}
            sizes = {letter: max(size, self.least.get(letter, 1)) for letter, size in sizes.items()}
            found.append(tuple(self.draw(sizes, torch.Generator().manual_seed(n + 1))))
        return found


def flat(value: Any) -> list[Tensor]:
    """Return the tensors in nested tuples, lists and dictionaries, in order; each None is skipped."""
    if isinstance(value, torch.Tensor):
        return [value]
    if value is None:
        return []
    parts = value.values() if isinstance(value, Mapping) else value
    return [tensor for part in parts for tensor in flat(part)]
