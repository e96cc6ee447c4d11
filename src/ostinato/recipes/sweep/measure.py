"""What the runs of a sweep are compared by: the figure that their task is judged by, or the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ostinato.recipes.registry import find


@dataclass(frozen=True)
class Measure:
    """What is compared.

    Attributes:
        name: of the figure, such as "accuracy", or the unit of the loss, such as "nats/token".
        is_figure: whether it is a figure, of which the largest is best unless it is an error; of a loss the smallest is.
        is_share: whether it is shown as a percentage.
        is_error: whether the smallest is best.
    """

    name: str
    is_figure: bool = False
    is_share: bool = False
    is_error: bool = False

    @property
    def column(self) -> str:
        """Its name in a table that programs read."""
        return self.name.replace("/", "_per_")

    @property
    def label(self) -> str:
        """Its name for people."""
        return self.name.replace("_", " ")

    def value(self, minimised: float) -> float:
        """From what a sweep minimises, which of a figure is its negative unless it is an error."""
        return -minimised if self.is_figure and not self.is_error else minimised

    def number(self, minimised: float) -> str:
        """The value as it is shown."""
        value = self.value(minimised)
        return f"{value:.2%}" if self.is_share else f"{value:.4f}"

    def text(self, minimised: float) -> str:
        """The value with its name."""
        return f"{self.label} {self.number(minimised)}" if self.is_figure else f"{self.number(minimised)} {self.name}"


class Sweep(Protocol):
    """What is searched for good settings: a `Space`."""

    @property
    def task(self) -> str:
        """Its name."""
        ...

    def settings(self, values: Mapping[str, Any], /) -> Any:
        """The settings of a run."""
        ...


def measure_of(space: Sweep, settings: Any = None) -> Measure:
    """What the runs of a sweep are compared by.

    Args:
        space: the sweep.
        settings: of one of its runs; None for those that stay.
    """
    task = find(space.task).make()
    figure = task.judged_by(space.settings({}) if settings is None else settings)
    if figure is None:
        return Measure(f"nats/{task.item}")
    return Measure(figure, True, is_share=figure in task.percentages, is_error=figure in task.errors)
