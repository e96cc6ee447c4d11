"""A tagger's answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from ostinato import notebook
from ostinato.recipes.in_python.prediction import Prediction


@dataclass(init=False, repr=False, eq=False)
class TagPrediction(Prediction):
    """A tag or a number for each step. Which fields have values depends on what is tagged; the others are None.

    Attributes:
        words: the words of a sentence.
        tags: the tags, one for each word or step of a recording.
        probabilities: the probabilities of these tags.
        id: the recording's id.
        segments: the segments of a recording, [first step, step after the last, tag, mean probability].
        name: the name of a file of source code.
        text: its text.
        spans: its spans, [first character, character after the last, tag].
        numbers: the numbers, one for each step of a recording, in the unit of the data.
        deviations: their standard deviations, if the model predicts them.
    """

    words: list[str] | None
    tags: list[str] | None
    probabilities: list[float] | None
    id: str | None
    segments: list[list[Any]] | None
    name: str | None
    text: str | None
    spans: list[list[Any]] | None
    numbers: list[float] | None
    deviations: list[float] | None

    @override
    def to_html(self) -> str:
        """Words or source code on the colours of their tags, segments as a strip."""
        if self.words is not None and self.tags is not None:
            return notebook.marked(zip(self.words, self.tags, strict=True))
        if self.spans is not None and self.text is not None:
            return notebook.marked(self._pieces(self.text, self.spans), between="", plain=("O", "space", "name"))
        if self.segments:
            pieces = [(first, end, str(tag)) for first, end, tag, *_ in self.segments]
            return notebook.heading(self.id or "") + notebook.strip(pieces)
        return super().to_html()

    @staticmethod
    def _pieces(text: str, spans: list[list[Any]]) -> Iterator[tuple[str, str]]:
        return ((text[first:end], tag) for first, end, tag in spans)
