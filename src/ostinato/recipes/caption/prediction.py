"""What a captioner says."""

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
        caption: of the image.
        log_probability: of it, nats.
        file: the image's; None where it came from no file.
        captions: where several are asked for, all of them, best first, each with its log probability; else None.
    """

    caption: str
    log_probability: float
    file: str | None
    captions: list[dict[str, Any]] | None

    @override
    def to_html(self) -> str:
        """The captions."""
        rows = [(each["caption"], each["log_probability"]) for each in self.captions or [dict(self)]]
        return (notebook.line(self.file) if self.file else "") + notebook.table(["caption", "log probability"], rows)
