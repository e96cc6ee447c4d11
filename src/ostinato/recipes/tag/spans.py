"""Spans that tags mark, such as names, and how many of them were found: the figures of CoNLL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ostinato.nn.crf.span_schemes import OUTSIDE, Mark, SpanScheme, mark_of, neighbours_in
from ostinato.recipes.tag.data import Sentences, tag_counts, tags_of


class Span(NamedTuple):
    """A span of a sentence.

    Attributes:
        first: its first step.
        end: the step after its last.
        kind: what it is, such as "PER".
    """

    first: int
    end: int
    kind: str


def spans(tags: Sequence[str | None], read: Callable[[str | None], Mark] = mark_of) -> Iterator[Span]:
    """The spans of a sentence, as CoNLL-2000's conlleval and seqeval read them, whatever the scheme.

    B and S begin a span, E and S end one; I and E continue a span of their kind, or begin one if there is none. None is
    outside any span.

    Args:
        tags: the tags of the steps.
        read: reads a tag as a mark of a span.
    """
    first, kind = 0, None
    for step, (letter, name) in enumerate([*map(read, tags), OUTSIDE]):
        if kind is not None and (name != kind or letter in "BSO"):
            yield Span(first, step, kind)
            kind = None
        if kind is None and letter != "O":
            first, kind = step, name
        if kind is not None and letter in "ES":
            yield Span(first, step + 1, kind)
            kind = None


def scheme_told(sentences: Sentences) -> list[str]:
    """A line about how the tags mark spans, and where they break their own rules; none if they mark no spans."""
    tags = sorted(tag_counts(sentences))
    scheme = SpanScheme.of(tags, tags_of(sentences))
    if scheme is None:
        begins = next((tag for tag in tags if "O" in tags and mark_of(tag).letter == "B"), None)
        if begins is None:
            return []
        other = next(tag for tag in tags if tag != "O" and mark_of(tag).letter == "O")
        return [f"tags like {begins} would mark spans, but {other} has another form: spans are not counted"]
    line = f"the tags mark spans by the scheme {scheme.name}"
    broken = set(scheme.broken)
    if not broken:
        return [line]
    breaking = (
        (at, pair) for at, tags in enumerate(tags_of(sentences)) for pair in neighbours_in(tags) if pair in broken
    )
    where, (before, after) = next(breaking)
    first, places = sentences[where].line, 1 + sum(1 for _ in breaking)
    place = f"after {before}" if before else "at the beginning"
    what = f"{after} {place}" if after else f"{before} at the end"
    told = f"the first is {what}, in the sentence of line {first:,}: a CRF may answer so too"
    return [f"{line}, but break it in {places:,} places; {told}"]


class SpanCounter:
    """Counts the true spans, the predicted spans, and those that are both: the same steps, the same kind.

    Args:
        read: reads a tag as a mark of a span.
    """

    def __init__(self, read: Callable[[str | None], Mark] = mark_of):
        self._read = read
        self.there: Counter[str] = Counter()
        self.said: Counter[str] = Counter()
        self.both: Counter[str] = Counter()

    def add(self, gold: Sequence[str | None], answer: Sequence[str | None]) -> None:
        """Counts the spans of a sentence."""
        there, said = set(spans(gold, self._read)), set(spans(answer, self._read))
        for counter, found in ((self.there, there), (self.said, said), (self.both, there & said)):
            counter.update(span.kind for span in found)

    def __iadd__(self, other: SpanCounter) -> SpanCounter:
        """Adds the counts of other sentences."""
        for mine, theirs in ((self.there, other.there), (self.said, other.said), (self.both, other.both)):
            mine.update(theirs)
        return self

    def f1(self) -> float:
        """2 both / (there + said), over spans of all kinds; NaN if there are no spans."""
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
