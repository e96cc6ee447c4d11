"""The words that may be written, as a tree of their units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ostinato.errors import ConfigError

_MOST_PLACES = 2**28  # numbers in the table, a gigabyte


class Lexicon:
    """A tree whose node 0 is the beginning of a word; a row of its table has the nodes that may follow a node.

    Args:
        words: each word as its units, from 1 on; at least one word.
        num_units: V, including the blank.
        separator: the unit between words, a space; None if a unit is a word itself.

    Raises:
        ConfigError: there is no word, or the table would be too large.
    """

    def __init__(self, words: Iterable[Sequence[int]], num_units: int, separator: int | None):
        children: list[dict[int, int]] = [{}]
        ends: list[int] = []
        for word in words:
            node = 0
            for unit in word:
                following = children[node].get(unit)
                if following is None:
                    following = children[node][unit] = len(children)
                    children.append({})
                node = following
            if node:
                ends.append(node)
        if not ends:
            raise ConfigError("lexicon: expected at least one word that can be written with the units of the model")
        if len(children) * num_units > _MOST_PLACES:
            raise ConfigError(
                f"lexicon: expected at most {_MOST_PLACES // num_units:,} different beginnings of words, got {len(children):,}; "
                "give fewer words"
            )
        self.separator = separator
        self._table = np.full((len(children), num_units), -1, dtype=np.int32)
        for node, following in enumerate(children):
            for unit, child in following.items():
                self._table[node, unit] = child
        self._ends = np.zeros(len(children), dtype=bool)
        self._ends[ends] = True
        if separator is None:
            self._table[self._table > 0] = 0  # a word is a unit, and any word may follow another
            self._ends[0] = True
        else:
            self._table[self._ends, separator] = 0

    def after(self, nodes: np.ndarray, units: np.ndarray) -> np.ndarray:
        """The nodes after texts at `nodes` continue with `units` (the two broadcast); -1 if that is not allowed."""
        return self._table[nodes, units]

    def may_end(self, nodes: np.ndarray) -> np.ndarray:
        """Whether a text may end at these nodes: after a word."""
        return self._ends[nodes]

    def whole_words(self, units: Sequence[int]) -> list[int]:
        """The text without an incomplete word at its end."""
        node, end = 0, 0
        for at, unit in enumerate(units, start=1):
            node = int(self._table[node, unit])
            if self._ends[node]:
                end = at
        return list(units[:end])
