"""What a classifier says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from ostinato import notebook
from ostinato.recipes.in_python.prediction import Prediction


@dataclass(init=False, repr=False, eq=False)
class ClassPrediction(Prediction):
    """A class and how likely each is.

    Attributes:
        label: the class; in JSON `class`.
        probability: of it.
        probabilities: of all classes, by name.
        text: that was classified; None for images and recordings.
        id: of the recording; None for texts and images.
    """

    renamed: ClassVar[Mapping[str, str]] = {"label": "class"}

    label: str
    probability: float
    probabilities: dict[str, float]
    text: str | None
    id: str | None

    @override
    def to_html(self) -> str:
        """The class, and a bar for each."""
        if not isinstance(self.probabilities, Mapping):
            return super().to_html()
        beside = self.text if self.text is not None else self.id or ""
        return notebook.heading(str(self.label), beside) + notebook.bars(self.probabilities)
