"""Tagged text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

_STYLES = {
    "keyword": "bold magenta",
    "number": "cyan",
    "string": "green",
    "comment": "italic bright_black",
    "operator": "yellow",
}
_TAG = "dim cyan"


def coloured(answer: Mapping[str, Any]) -> Text:
    """A tagger's answer as a person reads it on a terminal.

    Source code is printed as it is, in colours. In a sentence each word is followed by its tag, except for the tag "O",
    which means no tag.

    Args:
        answer: an answer of `Tag`.
    """
    if "spans" in answer:
        text = Text(answer["text"])
        for first, end, tag in answer["spans"]:
            if tag in _STYLES:
                text.stylize(_STYLES[tag], first, end)
        text.remove_suffix("\n")
        return text
    if "segments" in answer:
        return Text("\n".join(_segment(answer["id"], *each) for each in answer["segments"]))
    text = Text()
    for word, tag in zip(answer["words"], answer["tags"], strict=True):
        text.append(" " if text else "").append(word)
        if tag != "O":
            text.append(f"/{tag}", _TAG)
    return text


def _segment(id: str, first: int, end: int, tag: str, probability: float) -> str:
    return f"{id}{' ' if id else ''}{first:>6} to {end - 1:<6} {tag}  {probability:.2f}"
