"""What calls see of a busy machine: threads that come late, as other work has their cores.

Who is late once may have lost its core by chance, or had to be woken; who is late again and again will be. So where others are
late again a call does without them for a while, which grows with each time that they are late and shrinks with each time that they
are not.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LATE = 0.05  # share of a call's time: what is waited for less than this is no lateness
FIRST_S, LONGEST_S = 1e-3, 1.0  # for how long others are done without
SEVERE = 3.0  # share of a call's time: to be later than this is no sign of a busier machine
SHRINKS = (
    0.8  # the while, each time that nobody is late; where somebody is, it is multiplied by the share too, beside this
)
HALF_S = 1.0  # after which half of the while is forgotten


class Lateness:
    """How much longer something takes with several threads than where all of them are on a core, as a share of the time.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._share = self._while = self._until = self._noted = 0.0

    def now(self) -> float:
        """What has to be expected now; 0 where it is time to try again."""
        return self._share if self._share and self._clock() < self._until else 0.0

    def note(self, waited: float, worked: float) -> None:
        """What a call with several threads has seen.

        Args:
            waited: seconds for which threads waited for others.
            worked: all other seconds.
        """
        now, share = self._clock(), min(waited / max(worked, 1e-6), SEVERE)
        grown = (SHRINKS + share) * self._while * 0.5 ** ((now - self._noted) / HALF_S)
        self._noted = now
        if share <= LATE:
            self._share, self._while = 0.0, min(grown, self._while)
            return
        self._while = min(max(FIRST_S, grown), LONGEST_S)
        self._share, self._until = share, now + self._while


late_meetings, late_ends = Lateness(), Lateness()  # at meetings in each time step; at the end of a launch
