"""How tags mark spans, such as names: IOB1, IOB2, IOBES and their kin, and which of them tagged sequences follow.

| scheme | a span of three, a span of one, two that touch | |
| --- | --- | --- |
| `IO` | `I I I`, `I`, look like one span | |
| `IOB1` | `I I I`, `I`, `I B` | `B` only after a span of the same kind (Ramshaw & Marcus 1995; the files of CoNLL-2003) |
| `IOB2` | `B I I`, `B`, `B B` | often called BIO |
| `IOE1` | `I I I`, `I`, `E I` | `E` only before a span of the same kind |
| `IOE2` | `I I E`, `E`, `E E` | |
| `IOBES` | `B I E`, `S`, `S S` | also as `BILOU` (`L` for `E`, `U` for `S`), `BMEWO` and `BMES` (`M` for `I`, `W` for `S`) |

A tag is a letter and the kind of the span: "B-PER", "B_PER" or "PER-B"; only the letter if there is one kind; "O" is outside.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeAlias

Pair: TypeAlias = tuple[str | None, str | None]
"""A tag and the one behind it; None for the beginning and the end of a sequence."""


class Mark(NamedTuple):
    """What a tag says about spans.

    Attributes:
        letter: "B", "I", "E", "S", or "O" for outside.
        kind: the kind of the span, such as "PER"; "" outside, and if there is only one kind.
    """

    letter: str
    kind: str


OUTSIDE = Mark("O", "")

_LETTERS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
_FORMS = tuple(
    re.compile(form, re.DOTALL)
    for form in (
        r"(?P<letter>[BIMELSUW])-(?P<kind>.+)",
        r"(?P<letter>[BIMELSUW])_(?P<kind>.+)",
        r"(?P<kind>.+)-(?P<letter>[BIMELSUW])",
        r"(?P<kind>.+)_(?P<letter>[BIMELSUW])",
        r"(?P<letter>[BIMELSUW])(?P<kind>)",
    )
)


class _Rules(NamedTuple):
    """Rules of a scheme.

    Attributes:
        begins: a span must begin with B or S.
        ends: a span must end with E or S.
        only_behind: B must follow a span of the same kind.
        only_before: E must precede a span of the same kind.
    """

    begins: bool = False
    ends: bool = False
    only_behind: bool = False
    only_before: bool = False


_RULES = {
    "IO": _Rules(),
    "IOB2": _Rules(begins=True),
    "IOB1": _Rules(only_behind=True),
    "IOE2": _Rules(ends=True),
    "IOE1": _Rules(only_before=True),
    **dict.fromkeys(("IOBES", "BILOU", "BMEWO", "BMES"), _Rules(begins=True, ends=True)),
}

SCHEMES = tuple(_RULES)


def mark_of(tag: str | None) -> Mark:
    """The mark of a tag of the usual form, "B-PER"; any other tag, and None, is outside."""
    return OUTSIDE if tag is None else _mark(tag, _FORMS[0])


def may_follow(scheme: str, before: Mark, after: Mark) -> bool:
    """Whether the scheme lets `after` follow `before`; the beginning and the end of a sequence count as outside."""
    rules, same = _RULES[scheme], before.kind == after.kind
    if before.letter in "BI" and after.letter in "IE" and same:
        return True  # `after` continues the span
    if (rules.begins and after.letter in "IE") or (rules.ends and before.letter in "BI"):
        return False
    if rules.only_behind and after.letter == "B":
        return before.letter in "BI" and same
    if rules.only_before and before.letter == "E":
        return after.letter in "IE" and same
    return True


@dataclass(frozen=True)
class SpanScheme:
    """The scheme of tagged sequences.

    Attributes:
        name: a name from the table at the top of this module.
        marks: the mark of each tag.
        broken: pairs of neighbours that occur in the sequences although the scheme forbids them.
    """

    name: str
    marks: Mapping[str, Mark]
    broken: tuple[Pair, ...] = ()

    @classmethod
    def of(cls, tags: Iterable[str], sequences: Iterable[Sequence[str | None]] = ()) -> SpanScheme | None:
        """The scheme that the fewest pairs of neighbours in `sequences` break.

        Args:
            tags: all tags that exist.
            sequences: sequences of tags; None in them is a tag that is not known.

        Returns:
            The scheme; None if the tags mark no spans: a tag has another form, or no tag begins a span.
        """
        names = [*dict.fromkeys(tags)]
        form = _form(names)
        if form is None:
            return None
        marks = {tag: _mark(tag, form) for tag in names}
        neighbours: Counter[Pair] = Counter(pair for sequence in sequences for pair in neighbours_in(sequence))
        schemes = [cls(name, marks) for name in _candidates(form, names)]
        broken = [[pair for pair in neighbours if not scheme.allows(*pair)] for scheme in schemes]
        counts = [sum(neighbours[pair] for pair in pairs) for pairs in broken]
        best = counts.index(min(counts))
        return cls(schemes[best].name, marks, tuple(sorted(broken[best], key=str)))

    def allows(self, before: str | None, after: str | None) -> bool:
        """Whether tags may be neighbours: by the scheme, or because they are in the sequences; None is an end of a sequence."""
        return may_follow(self.name, self.read(before), self.read(after)) or (before, after) in self.broken

    def read(self, tag: str | None) -> Mark:
        """The mark of a tag; a tag that is not in `marks` is read in the form of the others."""
        if tag is None:
            return OUTSIDE
        if tag in self.marks:
            return self.marks[tag]
        form = _form(list(self.marks))
        return OUTSIDE if form is None else _mark(tag, form)


def neighbours_in(sequence: Sequence[str | None]) -> list[Pair]:
    """A sequence's pairs of neighbours, also with its two ends; pairs with a tag that is not known are left out."""
    inner = [pair for pair in pairwise(sequence) if None not in pair]
    ends = [] if not sequence else [(None, sequence[0]), (sequence[-1], None)]
    return [*inner, *(pair for pair in ends if pair != (None, None))]


def _mark(tag: str, form: re.Pattern[str]) -> Mark:
    found = form.fullmatch(tag)
    return OUTSIDE if found is None else Mark(_LETTERS[found["letter"]], found["kind"])


def _letters(form: re.Pattern[str], tags: Iterable[str]) -> set[str]:
    """The letters of the tags as they are written: "M", not yet turned into "I"."""
    return {found["letter"] for tag in tags if (found := form.fullmatch(tag))}


def _form(tags: Sequence[str]) -> re.Pattern[str] | None:
    """The form that all tags but "O" have; None if the tags mark no spans."""
    marking = [tag for tag in tags if tag != "O"]
    form = next((form for form in _FORMS if marking and all(map(form.fullmatch, marking))), None)
    letters = set[str]() if form is None else _letters(form, marking)
    # Letters alone prove nothing: a tag "S-bar" may name a phrase, and "I" a class.
    needed = "B" in letters and len({*letters, *tags}) > 1 if form is _FORMS[-1] else not letters.isdisjoint("BIM")
    return form if needed else None


def _candidates(form: re.Pattern[str], tags: Sequence[str]) -> list[str]:
    """The names of the schemes that have the letters of these tags, the likeliest first."""
    letters = _letters(form, tags)
    if letters & set("LU"):
        return ["BILOU"]
    if letters & set("MW"):
        return ["BMES" if "S" in letters else "BMEWO"]
    if "S" in letters or letters >= {"B", "E"}:
        return ["IOBES"]
    if "E" in letters:
        return ["IOE2", "IOE1"]
    return ["IOB2", "IOB1"] if "B" in letters else ["IO"]
