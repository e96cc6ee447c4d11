"""Letters for the widths of states, inputs and parameters, and the numbers that they stand for in a layer."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ostinato.errors import CellError

# The meaning of the letters that every cell has; a cell may add letters of its own.
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
    """The numbers that the letters stand for in one layer.

    Attributes:
        input: `I`.
        hidden: `H`.
        projected: `P`, or 0 if it is `H`.
        heads: `N`.
        own: the numbers of the cell's own letters.
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
        """The shape that these letters describe, in numbers."""
        return tuple(self[letter] for letter in letters)

    def count(self, letters: Sequence[str]) -> int:
        """How many elements a tensor of that shape has."""
        return math.prod(self.shape(letters))


def letters(what: str, text: str, own: Collection[str], more: Collection[str] = ()) -> tuple[str, ...]:
    """The letters of a text such as "H", "N d d" or "N,d,d", checked.

    Args:
        what: what the letters describe, for the error.
        text: the letters.
        own: the cell's own letters.
        more: further letters that are allowed here.

    Raises:
        CellError: a letter is not allowed.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise CellError(f'{what} expected letters in a text, such as "H" or "P H", got {text!r}')
    found = tuple(text.replace(",", " ").split())
    known = (*more, *LETTERS, *own)
    if unknown := [letter for letter in found if letter not in known]:
        is_name = unknown[0].isidentifier()
        example = f'widths={{"{unknown[0]}": 64}}' if is_name else 'a letter of its own, with widths={"M": 64}'
        raise CellError(
            f"{what} expected letters of {', '.join(known)}, got {unknown[0]!r}; a width of the cell's own is described "
            f"by {example}"
        )
    if not found:
        raise CellError(f"{what} expected letters of {', '.join(known)}, got {text!r}")
    return found


def named_widths(what: str, text: str, default: str, own: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Read a text such as "h c memory:M" into letters by name; a name without a colon has the default letter."""
    found: dict[str, tuple[str, ...]] = {}
    for each in text.split():
        name, colon, described = each.partition(":")
        found[name] = letters(f"{what} {name!r}", described, own) if colon else (default,)
    return found
