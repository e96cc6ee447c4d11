"""A classifier's answer: a class, several labels or a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from ostinato import notebook
from ostinato.recipes.in_python.prediction import Prediction


@dataclass(init=False, repr=False, eq=False)
class ClassPrediction(Prediction):
    """A class and how likely each class is; or several labels; or a number. The fields of the other two kinds are None.

    Attributes:
        label: the class; `class` in JSON.
        probability: the probability of the class.
        probabilities: the probabilities of all classes or labels, by name.
        text: the text that was classified; None for images and recordings.
        id: the recording's id; None for texts and images.
        labels: the labels that are likely enough, if there may be several.
        number: the predicted number, in the unit of the data.
        deviation: its standard deviation, if the model predicts one.
        running: for a recording, on request: steps, and the probabilities after them.
        sure_after: steps after which the class was sure and stayed so; None if it was not sure to the end.
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
