"""Turning plain values into what a tagger reads."""

from __future__ import annotations

from typing import Any

from ostinato.data.records.conll import Sentence
from ostinato.data.sources.syntax import Highlighted
from ostinato.recipes.in_python.kinds import is_list, items_of
from ostinato.recipes.in_python.plain import recordings_in, texts_in, tokens_in, wrong
from ostinato.recipes.tag.data import Part, TagKnown
from ostinato.recipes.tag.reading import plain_sentences


def part_of(known: TagKnown, given: Any) -> tuple[Part, bool]:
    """Turns values into what the run was trained on: sentences, source code, recordings; says whether they are one.

    Raises:
        DataError: the values are of another kind.
    """
    if known.scaling is not None:
        return recordings_in(given, known.scaling.channels)
    if known.words is None:
        if isinstance(given, Highlighted):
            return (given,), True
        if is_list(given) and all(isinstance(each, Highlighted) for each in items_of(given)):
            return tuple(items_of(given)), False
        texts, is_one = texts_in(given, "a text of source code")
        return tuple(Highlighted("", text.replace("\r\n", "\n"), None) for text in texts), is_one
    if isinstance(given, str | Sentence):
        return (_sentence(given, 1),), True
    if not is_list(given):
        raise wrong("a sentence, a list of sentences, or a list of lists of words", given)
    return tuple(_sentence(each, number) for number, each in enumerate(items_of(given), start=1)), False


def _sentence(given: Any, number: int) -> Sentence:
    """Cuts a text into words at blanks and around marks; a list of words stays as it is."""
    if isinstance(given, Sentence):
        return given
    if isinstance(given, str):
        return next(iter(plain_sentences([(number, given.replace("\n", " "))])))
    words = tokens_in(given)
    if words is None:
        raise wrong("a sentence, a list of sentences, or a list of lists of words", given)
    return Sentence(tuple(words), (None,) * len(words), number)
