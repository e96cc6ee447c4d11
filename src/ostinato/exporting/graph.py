"""What is exported: modules as graphs with named inputs and outputs, whatever the format."""

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
    """What lays out a module's arguments and results as a graph has them; itself it has no mode, and leaves the module's alone."""

    def __init__(self) -> None:
        super().__init__()
        self.training = False


@dataclass(frozen=True)
class Port:
    """An input or an output of a graph.

    Attributes:
        name: of it.
        axes: the size of each dimension: a number, or a letter of what may be another number in each call. `FOLLOWS` of an
            output whose sizes the format tells.
        about: what it is, with its unit and range, for people.
    """

    name: str
    axes: tuple[Axis, ...]
    about: str = ""


@dataclass(frozen=True)
class Graph:
    """A module with tensors as arguments and results, one behind the other.

    Attributes:
        name: of the file, without its ending.
        module: takes the inputs by their place, and gives the outputs as a tuple.
        inputs: in order.
        outputs: in order.
        draw: makes inputs of some sizes, by letter, to try the graph with.
        sizes: those of the example that it is recorded with; by letter, at least 2 each.
        least: the least that a letter may be; 1 where nothing is said.
        prefix: what names of parameters begin with in `module`, but not where people know them from.
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
        """Of all sizes that may vary."""
        return tuple(dict.fromkeys(axis for port in self.inputs for axis in port.axes if isinstance(axis, str)))

    def example(self) -> tuple[Tensor, ...]:
        """Inputs to record it with."""
        return tuple(self.draw(self.sizes, torch.Generator().manual_seed(0)))

    def others(self, count: int = 5) -> list[tuple[Tensor, ...]]:
        """Inputs of other sizes, to check it with: shorter and longer, a single row, a single step."""
        steps, rows = (1, 13, 4, 29, 2), (4, 1, 6, 2, 9)
        found: list[tuple[Tensor, ...]] = []
        for n in range(count):
            sizes = {letter: (rows if letter == "B" else steps)[n % 5] for letter in self.letters}
            sizes = {letter: max(size, self.least.get(letter, 1)) for letter, size in sizes.items()}
            found.append(tuple(self.draw(sizes, torch.Generator().manual_seed(n + 1))))
        return found


def flat(value: Any) -> list[Tensor]:
    """The tensors of nested tuples, lists and dictionaries, in order; those that are None are left out."""
    if isinstance(value, torch.Tensor):
        return [value]
    if value is None:
        return []
    parts = value.values() if isinstance(value, Mapping) else value
    return [tensor for part in parts for tensor in flat(part)]
