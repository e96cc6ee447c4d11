"""What the runs of a sweep are compared by: the figure that their task is judged by, or the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ostinato.recipes.registry import find


@dataclass(frozen=True)
class Measure:
    """The number by which runs are compared.

    Attributes:
        name: the name of the figure, such as "accuracy", or the unit of the loss, such as "nats/token".
        is_figure: whether it is a figure; of figures the largest is best unless it is an error, of losses the smallest.
        is_share: whether it is shown as a percentage.
        is_error: whether the smallest value is best.
    """

    name: str
    is_figure: bool = False
    is_share: bool = False
    is_error: bool = False

    @property
    def column(self) -> str:
        """The name of its column in a table for programs."""
        return self.name.replace("/", "_per_")

    @property
    def label(self) -> str:
        """Its name for people."""
        return self.name.replace("_", " ")

    def value(self, minimised: float) -> float:
        """The value from what a sweep minimises, which is the negative of a figure that is no error."""
        return -minimised if self.is_figure and not self.is_error else minimised

    def number(self, minimised: float) -> str:
        """The value as text."""
        value = self.value(minimised)
        return f"{value:.2%}" if self.is_share else f"{value:.4f}"

    def text(self, minimised: float) -> str:
        """The value with its name."""
        return f"{self.label} {self.number(minimised)}" if self.is_figure else f"{self.number(minimised)} {self.name}"


class Sweep(Protocol):
    """A search for good settings: a `Space`."""

    @property
    def task(self) -> str:
        """The name of the task."""
        ...

    def settings(self, values: Mapping[str, Any], /) -> Any:
        """The settings of a run with these searched values."""
        ...


def measure_of(space: Sweep, settings: Any = None) -> Measure:
    """The number by which the runs of a sweep are compared.

    Args:
        space: the sweep.
        settings: the settings of one of its runs; None for those without searched values.
    """
    task = find(space.task).make()
    figure = task.judged_by(space.settings({}) if settings is None else settings)
    if figure is None:
        return Measure(f"nats/{task.item}")
    return Measure(figure, True, is_share=figure in task.percentages, is_error=figure in task.errors)
