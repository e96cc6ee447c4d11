"""Turning plain values into what a translator reads."""

from __future__ import annotations

from typing import Any

from ostinato.data.records.pairs import Pair, Pairs
from ostinato.recipes.in_python.kinds import is_list, items_of
from ostinato.recipes.in_python.plain import texts_in

_NAME = "the texts"


def part_of(given: Any) -> tuple[Pairs, bool]:
    """Texts to translate, and whether it is one text.

    Raises:
        DataError: the values are no texts.
    """
    if isinstance(given, Pairs):
        return given, False
    if isinstance(given, Pair):
        return Pairs(_NAME, (given,), (), 0), True
    if is_list(given) and (items := items_of(given)) and all(isinstance(each, Pair) for each in items):
        return Pairs(_NAME, tuple(items), (), 0), False
    texts, is_one = texts_in(given)
    return Pairs(_NAME, tuple(Pair(text.strip(), "") for text in texts), (), 0), is_one
