"""Spans that tags mark, such as names, and how many of them were found: the figures of CoNLL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """A span of a sentence.

    Attributes:
        first: its first step.
        end: the step behind its last.
        kind: what it is, such as "PER".
    """

    first: int
    end: int
    kind: str


def spans(tags: Sequence[str | None]) -> Iterator[Span]:
    """The spans of a sentence, as CoNLL-2000's conlleval reads them.

    "B-x" and "S-x" begin a span, "E-x" and "S-x" end one; "I-x" and "E-x" go on with a span of x, and where there is none, begin
    one. Any other tag is outside.
    """
    first, kind = 0, None
    for step, tag in enumerate([*tags, None]):
        mark, name = (tag[0], tag[2:]) if tag is not None and tag[:2] in ("B-", "I-", "E-", "S-") else ("O", None)
        if kind is not None and (name != kind or mark in "BS"):
            yield Span(first, step, kind)
            kind = None
        if kind is None and name is not None:
            first, kind = step, name
        if kind is not None and mark in "ES":
            yield Span(first, step + 1, kind)
            kind = None


class SpanCounter:
    """Counts spans that are there, that were said, and that are both: the same steps, the same kind."""

    def __init__(self):
        self.there: Counter[str] = Counter()
        self.said: Counter[str] = Counter()
        self.both: Counter[str] = Counter()

    def add(self, gold: Sequence[str | None], answer: Sequence[str | None]) -> None:
        """Counts those of a sentence."""
        there, said = set(spans(gold)), set(spans(answer))
        for counter, found in ((self.there, there), (self.said, said), (self.both, there & said)):
            counter.update(span.kind for span in found)

    def f1(self) -> float:
        """2 both / (there + said), over spans of all kinds; NaN where there is none."""
        total = self.there.total() + self.said.total()
        return 2 * self.both.total() / total if total else float("nan")

    def details(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and number of each kind; 0 where there is nothing to divide by."""
        found = {}
        for kind in sorted(self.there | self.said):
            both, there, said = self.both[kind], self.there[kind], self.said[kind]
            found[kind] = {
                "precision": both / max(said, 1),
                "recall": both / max(there, 1),
                "f1": 2 * both / (there + said),
                "examples": there,
            }
        return found
