"""Where the parameters of a model are, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class ParameterTable:
    """Of a model; print it.

    Attributes:
        rows: one for each parameter.
    """

    rows: list[Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings, as JSON has them."""
        raise NotImplementedError

    def table(self) -> Table:
        """A row for each parameter, and the sums."""
        raise NotImplementedError

    def csv(self) -> str:
        """The same as CSV, with a line of names."""
        raise NotImplementedError


def parameters(model: nn.Module, *, T: int = 1, B: int = 1, optimizer: str = "adam") -> ParameterTable:
    """Every parameter by name, shape, formula and count; memory and multiply-adds.

    Args:
        model: any.
        T: steps of a batch.
        B: rows of a batch.
        optimizer: by name: "sgd", "momentum", "rmsprop", "adam", "adamw", "adagrad".
    """
    raise NotImplementedError
