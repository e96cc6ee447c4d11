"""What a translator says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from ostinato import notebook
from ostinato.recipes.in_python.prediction import Prediction


@dataclass(init=False, repr=False, eq=False)
class TranslationPrediction(Prediction):
    """A translation.

    Attributes:
        source: the text.
        translation: of it.
        score: what the beam is ordered by.
        log_probability: of the translation, nats.
        n_best: where several are asked for, all of them, best first, each with these three; else None.
    """

    source: str
    translation: str
    score: float
    log_probability: float
    n_best: list[dict[str, Any]] | None

    @override
    def to_html(self) -> str:
        """The source and its translations."""
        others = self.n_best or [dict(self)]
        rows = [(each["translation"], each["log_probability"]) for each in others]
        return notebook.line(str(self.source)) + notebook.table(["translation", "log probability"], rows)
