"""One step of a whole model: its parts in order, its arguments and its outputs."""

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
        name: the beginning of every public name.
        title: a description of the model in a line.
        constants: the weights.
        arguments: the arguments of a step after the state, x first.
        parts: the parts in order.
        outputs: the number of values of y.
        gives: a description of y, for the header.
        choices: whether y are scores of choices.
        notes: further lines of the description.
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
        """The part with the recurrent layers."""
        return next(part for part in self.parts if isinstance(part, Layers))

    @property
    def fields(self) -> list[Field]:
        """The fields of the state after those of the layers."""
        return [each for part in self.parts for each in part.fields]

    @torch.no_grad()
    def run(self, x: torch.Tensor, more: Mapping[str, torch.Tensor] | None = None) -> torch.Tensor:
        """Compute in PyTorch what the C code gives for one sequence, with the weights of the code (rounded for int8).

        Args:
            x: `(T, I)`; `(T,)` tokens, or values of a series.
            more: the other arguments of a step by their names in Python, `(T,)` or `(T, width)`; of a series also
                "past", `(n,)`.

        Returns:
            `(T, outputs)`.
        """
        v, beside = x, dict[str, Any](more or {})
        for part in self.parts:
            v = part.run(v, beside)
        return v
