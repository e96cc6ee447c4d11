"""A translator's answer."""

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
        source: the source text.
        translation: its translation.
        score: the score by which the beam orders translations.
        log_probability: the log-probability of the translation, nats.
        n_best: if several were asked for, all of them, best first, each with the three fields above; else None.
    """

    source: str
    translation: str
    score: float
    log_probability: float
    n_best: list[dict[str, Any]] | None

    @override
    def to_html(self) -> str:
        """The source and its translations, as HTML."""
        others = self.n_best or [dict(self)]
        rows = [(each["translation"], each["log_probability"]) for each in others]
        return notebook.line(str(self.source)) + notebook.table(["translation", "log probability"], rows)
