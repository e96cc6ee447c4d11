"""What a classifier says: a class, several labels or a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from ostinato import notebook
from ostinato.recipes.in_python.prediction import Prediction


@dataclass(init=False, repr=False, eq=False)
class ClassPrediction(Prediction):
    """A class and how likely each is; or several labels; or a number. The fields of the others are None.

    Attributes:
        label: the class; in JSON `class`.
        probability: of it.
        probabilities: of all classes, or labels, by name.
        text: that was classified; None for images and recordings.
        id: of the recording; None for texts and images.
        labels: those that are likely enough, where there may be several.
        number: where one is predicted, in the unit of the data.
        deviation: of it, where the model says one.
        running: of a recording, on request: steps, and the probabilities after them.
        sure_after: steps after which the class was sure and stayed so; None where it never was.
    """

    renamed: ClassVar[Mapping[str, str]] = {"label": "class"}

    label: str
    probability: float
    probabilities: dict[str, float]
    text: str | None
    id: str | None
    labels: list[str] | None
    number: float | None
    deviation: float | None
    running: list[Any] | None
    sure_after: int | None

    @override
    def to_html(self) -> str:
        """The class or the labels, and a bar for each."""
        if not isinstance(self.probabilities, Mapping):
            return super().to_html()
        beside = self.text if self.text is not None else self.id or ""
        said = str(self.label) if self.labels is None else ", ".join(self.labels) or "none"
        return notebook.heading(said, beside) + notebook.bars(self.probabilities)
