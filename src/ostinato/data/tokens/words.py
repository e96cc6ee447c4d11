r"""Words of a text: the one place that says where a text is cut into words and marks.

White space parts words. Between white space a word is a run of letters, digits and underscores *as people see them*: extended
grapheme clusters (Unicode's UAX #29, by the regex package's `\X`) that begin with one. So no word is cut at a combining mark, be it
a vowel sign of Hindi, Tamil or Thai or an accent that is a character of its own, nor at a joiner; a soft hyphen or a word joiner
(U+2060) is part of the word around it. Every other cluster is a word of its own: a full stop, an emoji with its skin tone, a flag.

Of text without combining marks, joiners and emoji that is what the pattern `\w+|[^\w\s]` of Python's re gives. The rules of UAX #29
for words would keep "don't", "1,003.5" and "l'homme" whole; here they are cut, and put together again by whoever writes them.
Languages that are written without blanks (Thai, Chinese, Japanese) are cut at marks and blanks only: all between them is one word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from typing import Any, Literal, TypeAlias

from ostinato.extras import needed

with needed():
    import regex


Breaks: TypeAlias = Literal["clusters", "code points"]
"""How words are found: by what people see as a character, or by code points, as older runs did."""

Normalisation: TypeAlias = Literal["none", "nfc", "nfkc"]

# A combining mark that has nothing to combine with, and signs before a number (U+0600), belong to what follows.
_LETTER = r"(?=[\p{L}\p{N}\p{M}_\p{Grapheme_Cluster_Break=Prepend}])\X"
_WORD = rf"(?:{_LETTER})+"
_SOFT = "\u00ad\u2060"
_CLUSTER = regex.compile(r"\X")
_BEGINS_WITH_LETTER = regex.compile(_LETTER)


def pieces(text: str, *, within: str = "", breaks: Breaks = "clusters") -> Iterator[list[str]]:
    """Words and marks of each part of a text that stands between white space; joined, they are that part.

    Args:
        text: Any.
        within: Marks that are part of a word between two letters or digits of it, such as "'-".
        breaks: "code points" for what a run was trained with that knew no clusters.
    """
    found = _pattern(within, breaks)
    return (found.findall(part) for part in text.split())


def without_marks_around(part: str) -> list[str]:
    """What stands between white space, marks at its ends apart, equal ones together: `"Well..."` gives `"`, `Well`, `...`, `"`."""
    clusters = _CLUSTER.findall(part)
    letters = [at for at, cluster in enumerate(clusters) if _BEGINS_WITH_LETTER.match(cluster)]
    first, end = (letters[0], letters[-1] + 1) if letters else (len(clusters), len(clusters))
    before, after = (["".join(equal) for _, equal in groupby(side)] for side in (clusters[:first], clusters[end:]))
    return [*before, *(["".join(clusters[first:end])] if letters else []), *after]


def spaced(text: str, *, joiner: str = "", within: str = "", breaks: Breaks = "clusters") -> str:
    """A text as a vocabulary of words gets it: with single blanks between words and marks.

    Args:
        text: Any.
        joiner: Put before what follows without a blank, so that it can be put together again.
        within: As for `pieces`.
        breaks: As for `pieces`.
    """
    return " ".join(f" {joiner}".join(part) for part in pieces(text, within=within, breaks=breaks))


def normalised(text: str, form: Normalisation, *, lower_case: bool = False) -> str:
    """A text in one of Unicode's normal forms, so that an accent written in two ways is the same; in small letters, if so set."""
    text = text if form == "none" else unicodedata.normalize(form.upper(), text)  # pyright: ignore[reportArgumentType]
    return text.lower() if lower_case else text


@cache
def _pattern(within: str, breaks: Breaks) -> Any:
    joints = f"[{re.escape(within)}]" if within else None
    if breaks == "code points":
        word = r"\w+" if joints is None else rf"\w+(?:{joints}\w+)*"
        return re.compile(rf"{word}|[^\w\s]")
    joints = f"[{_SOFT}]+" if joints is None else f"(?:[{_SOFT}]+|{joints})"
    return regex.compile(rf"{_WORD}(?:{joints}{_WORD})*|\X")
