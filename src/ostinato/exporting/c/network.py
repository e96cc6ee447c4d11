"""One step of a whole model: its parts in order, what it is given and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ostinato.exporting.c.parts import Layers, Part
from ostinato.exporting.c.step import Argument, Field
from ostinato.exporting.c.weights import Constants


@dataclass(frozen=True)
class Network:
    """A model, ready to be written.

    Attributes:
        name: with which every public name begins.
        title: what it is, in a line.
        constants: its numbers.
        arguments: what a step is given beside the state, x first.
        parts: in order.
        outputs: how many numbers y has.
        gives: what y is, for the header.
        choices: whether y are scores of which one is chosen.
        notes: more to be known of it.
    """

    name: str
    title: str
    constants: Constants
    arguments: Sequence[Argument]
    parts: Sequence[Part]
    outputs: int
    gives: str
    choices: bool = False
    notes: Sequence[str] = ()

    @property
    def layers(self) -> Layers:
        """The recurrent ones."""
        return next(part for part in self.parts if isinstance(part, Layers))

    @property
    def fields(self) -> list[Field]:
        """What the state has beside the layers'."""
        return [each for part in self.parts for each in part.fields]

    @torch.no_grad()
    def run(self, x: torch.Tensor, more: Mapping[str, torch.Tensor] | None = None) -> torch.Tensor:
        """What the code gives for a sequence of one row, in PyTorch, with the numbers that the code has.

        Args:
            x: `(T, I)`; `(T,)` tokens, or values of a series.
            more: what a step is given besides, by its name in Python: `(T,)`, or `(T, width)`.

        Returns:
            `(T, outputs)`.
        """
        v, beside = x, dict[str, Any](more or {})
        for part in self.parts:
            v = part.run(v, beside)
        return v
