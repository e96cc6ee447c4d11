"""How calls notice a busy machine: threads come late, as other work has their cores.

A thread that is late once may have lost its core by chance, or had to be woken; threads that are late again and again will go on
being late. So after a late thread, calls use one thread only for a *pause*. The pause grows each time that threads are late, and
shrinks each time that they are not.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LATE = 0.05  # share of a call's time: a shorter wait is no lateness
FIRST_S, LONGEST_S = 1e-3, 1.0  # the shortest and the longest pause
SEVERE = 3.0  # share of a call's time: a longer wait is counted as this, as it is no sign of a busier machine
# After each call with several threads, the pause is multiplied by this plus the share of the time that was waited.
SHRINKS = 0.8
HALF_S = 1.0  # besides, the pause is halved for every so many seconds that pass


class Lateness:
    """How much longer something takes with several threads than if all of them had a core, as a share of the time.

    Args:
        clock: a function that gives the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._share = self._while = self._until = self._noted = 0.0

    def now(self) -> float:
        """The share to expect now; 0 if it is time to try several threads again."""
        return self._share if self._share and self._clock() < self._until else 0.0

    def note(self, waited: float, worked: float) -> None:
        """Note how long the threads of a call waited.

        Args:
            waited: seconds for which threads waited for others.
            worked: all other seconds of the call.
        """
        now, share = self._clock(), min(waited / max(worked, 1e-6), SEVERE)
        grown = (SHRINKS + share) * self._while * 0.5 ** ((now - self._noted) / HALF_S)
        self._noted = now
        if share <= LATE:
            self._share, self._while = 0.0, min(grown, self._while)
            return
        self._while = min(max(FIRST_S, grown), LONGEST_S)
        self._share, self._until = share, now + self._while


late_meetings, late_ends = Lateness(), Lateness()  # at the barriers in each time step; at the end of a launch
