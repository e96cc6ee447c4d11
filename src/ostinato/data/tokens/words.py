r"""Words of a text: the only module that says where a text is cut into words and marks.

White space separates words. Between white space, a word is a run of letters, digits and underscores *as people see
them*: extended grapheme clusters (Unicode's UAX #29, by the regex package's `\X`) that begin with one of these. So no
word is cut at a combining mark (a vowel sign of Hindi, Tamil or Thai, or an accent that is a character of its own) or
at a joiner; a soft hyphen or a word joiner (U+2060) is part of the word around it. Every other cluster is a word of its
own: a full stop, an emoji with its skin tone, a flag.

For text without combining marks, joiners and emoji the result is that of the pattern `\w+|[^\w\s]` of Python's re. The
rules of UAX #29 for words would keep "don't", "1,003.5" and "l'homme" whole; here they are cut, and the code that
writes text joins them again. Languages that are written without blanks (Thai, Chinese, Japanese) are cut at marks and
blanks only: all text between them is one word.
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
    """Give, for each part of a text between white space, its words and marks; joined, they are that part.

    Args:
        text: Any text.
        within: Marks that are part of a word if they are between two of its letters or digits, such as "'-".
        breaks: "code points" for older runs, which were trained without clusters.
    """
    found = _pattern(within, breaks)
    return (found.findall(part) for part in text.split())


def without_marks_around(part: str) -> list[str]:
    """Split off the marks at both ends of a part, equal ones together: `"Well..."` gives `"`, `Well`, `...`, `"`."""
    clusters = _CLUSTER.findall(part)
    letters = [at for at, cluster in enumerate(clusters) if _BEGINS_WITH_LETTER.match(cluster)]
    first, end = (letters[0], letters[-1] + 1) if letters else (len(clusters), len(clusters))
    before, after = (["".join(equal) for _, equal in groupby(side)] for side in (clusters[:first], clusters[end:]))
    return [*before, *(["".join(clusters[first:end])] if letters else []), *after]


def spaced(text: str, *, joiner: str = "", within: str = "", breaks: Breaks = "clusters") -> str:
    """Put single blanks between the words and marks of a text, as a vocabulary of words needs it.

    Args:
        text: Any text.
        joiner: Put before a word or mark that had no blank before it, so that the text can be joined again.
        within: As for `pieces`.
        breaks: As for `pieces`.
    """
    return " ".join(f" {joiner}".join(part) for part in pieces(text, within=within, breaks=breaks))


def normalised(text: str, form: Normalisation, *, lower_case: bool = False) -> str:
    """Bring a text into one of Unicode's normal forms, with one spelling for each accent; if asked, to lower case."""
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
