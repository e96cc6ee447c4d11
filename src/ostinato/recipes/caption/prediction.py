"""A captioner's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from ostinato import notebook
from ostinato.recipes.in_python.prediction import Prediction


@dataclass(init=False, repr=False, eq=False)
class CaptionPrediction(Prediction):
    """A caption.

    Attributes:
        caption: the caption of the image.
        log_probability: the log-probability of the caption, nats.
        file: the image's file; None for an image from no file.
        captions: if several were asked for, all of them, best first, each with its log-probability; else None.
    """

    caption: str
    log_probability: float
    file: str | None
    captions: list[dict[str, Any]] | None

    @override
    def to_html(self) -> str:
        """The captions, as HTML."""
        rows = [(each["caption"], each["log_probability"]) for each in self.captions or [dict(self)]]
        return (notebook.line(self.file) if self.file else "") + notebook.table(["caption", "log probability"], rows)
