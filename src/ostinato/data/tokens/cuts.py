"""Where a text may be cut in two: between documents, between lines or between words.

The places are found while the text is read from its beginning to its end, and a long text has more places than can be
kept. Beyond `MOST`, every second one is dropped, so that they are evenly spaced and their memory does not grow with the
text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from fractions import Fraction

MOST = 2**12
_LEAST, _MOST_TIMES = Fraction(1, 2), 2  # times the share that was asked for: what may be cut off


class CutPlaces:
    """Places in a text, as numbers of characters before them.

    Args:
        pattern: A place is directly after a match of this pattern.

    Attributes:
        places: The places, in ascending order; at most `MOST`.
    """

    def __init__(self, pattern: str):
        self.places: list[int] = []
        self._search = re.compile(pattern).search
        self._gap, self._next = 1, 0

    def add(self, text: str, start: int) -> None:
        """Find the places in the next piece of the text, which begins at character `start`."""
        while found := self._search(text, max(self._next - start, 0)):
            place = start + found.end()
            self.places.append(place)
            if len(self.places) > MOST:
                self._thin()
            # The next match ends at `place + gap` or later.
            self._next = self.places[-1] + self._gap - 1

    def _thin(self) -> None:
        self._gap *= 2
        kept = [self.places[0]]
        for place in self.places:
            if place - kept[-1] >= self._gap:
                kept.append(place)
        self.places = kept


def cut(characters: int, share: float, kinds: Iterable[Sequence[int]]) -> int:
    """Find where to cut off the last `share` of a text; return the number of characters before the cut.

    The cut is at the place nearest to that share. A place is allowed if it cuts off half to twice the share, and keeps
    at least half of what the exact share would keep. If no place of the first kind is allowed, the second kind is
    tried, and so on; if none is, the cut is at the exact character.

    Args:
        characters: Characters of the text.
        share: 0 <= share < 1.
        kinds: For each kind its places in ascending order; the preferred kind first.
    """
    # Computed in decimal, as the share was written: 0.1 of 10 characters is one character, whatever 0.1 is in binary.
    exact = int(characters * (1 - Fraction(str(share))))
    off = characters - exact
    if not off or not exact:
        return exact
    least, most = max(exact * _LEAST, characters - off * _MOST_TIMES), characters - off * _LEAST
    for places in kinds:
        at = bisect_left(places, exact)
        near = [place for place in places[max(at - 1, 0) : at + 1] if least <= place <= most]
        if near:
            return min(near, key=lambda place: abs(place - exact))
    return exact
