"""How wide a state, an input or a parameter is: letters, and the numbers that they are in a layer."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ostinato.errors import CellError

# What each letter is that every cell has; a cell's own letters stand beside them.
LETTERS = {
    "H": "hidden units",
    "P": "units of the output",
    "I": "features of the layer's input",
    "N": "heads",
    "d": "units of a head, H / N",
    "1": "one number a row",
}


@dataclass(frozen=True)
class Widths:
    """The numbers of one layer.

    Attributes:
        input: `I`.
        hidden: `H`.
        projected: `P`, or 0 where it is `H`.
        heads: `N`.
        own: those of the cell's own letters.
    """

    input: int
    hidden: int
    projected: int = 0
    heads: int = 1
    own: Mapping[str, int] = field(default_factory=dict[str, int])

    def __getitem__(self, letter: str) -> int:
        match letter:
            case "H":
                return self.hidden
            case "P":
                return self.projected or self.hidden
            case "I":
                return self.input
            case "N":
                return self.heads
            case "d":
                return self.hidden // self.heads
            case "1":
                return 1
            case _:
                return self.own[letter]

    def every(self) -> dict[str, int]:
        """The number of every letter."""
        return {letter: self[letter] for letter in (*LETTERS, *self.own)}

    def shape(self, letters: Sequence[str]) -> tuple[int, ...]:
        """In numbers."""
        return tuple(self[letter] for letter in letters)

    def count(self, letters: Sequence[str]) -> int:
        """How many numbers there are in that shape."""
        return math.prod(self.shape(letters))


def letters(what: str, text: str, own: Collection[str], more: Collection[str] = ()) -> tuple[str, ...]:
    """The letters of a text such as "H", "N d d" or "N,d,d", checked.

    Args:
        what: is described, for the error.
        text: its description.
        own: the cell's own letters.
        more: others that stand here.

    Raises:
        CellError: for another letter.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise CellError(f'{what} expected letters in a text, such as "H" or "P H", got {text!r}')
    found = tuple(text.replace(",", " ").split())
    known = (*more, *LETTERS, *own)
    if unknown := [letter for letter in found if letter not in known]:
        raise CellError(
            f"{what} expected letters of {', '.join(known)}, got {unknown[0]!r}; a width of the cell's own is described by "
            f'widths={{"{unknown[0]}": 64}}'
        )
    if not found:
        raise CellError(f"{what} expected letters of {', '.join(known)}, got {text!r}")
    return found


def named_widths(what: str, text: str, default: str, own: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Name to letters of a text such as "h c memory:M", where a name alone has the default letter."""
    found: dict[str, tuple[str, ...]] = {}
    for each in text.split():
        name, colon, described = each.partition(":")
        found[name] = letters(f"{what} {name!r}", described, own) if colon else (default,)
    return found
