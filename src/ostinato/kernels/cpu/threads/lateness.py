"""How calls notice a busy machine: threads come late, as other work has their cores.

A thread that is late once may have lost its core by chance, or had to be woken; threads that are late again and again will go on
being late. So after a late thread, calls use one thread only for a *pause*. The pause grows each time that threads are late, and
shrinks each time that they are not.

Threads that nobody has used for a while sleep, and may come late to the first of many calls in a row, whatever else the machine
does. So calls that wake threads and calls that find them awake are told apart.
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
ASLEEP_S = 2e-3  # after so long the threads of torch's pool no longer spin but sleep
LEAST_CALLS = 2  # of a pause after threads were woken in vain, however rare the calls are


class Lateness:
    """How much longer something takes with several threads than if all of them had a core, as a share of the time.

    Args:
        clock: a function that gives the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._share = self._while = self._until = self._noted = 0.0

    def now(self, is_early: bool = False) -> float:
        """The share to expect now; 0 if it is time to try several threads again, which it is not if it `is_early`."""
        return self._share if self._share and (is_early or self._clock() < self._until) else 0.0

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


class Activity:
    """What the threads of this process did last in machine code.

    Args:
        clock: a function that gives the time in seconds.

    Attributes:
        calls: how many calls have ended.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.calls = 0
        self._worked = self._met = float("-inf")

    def worked(self) -> None:
        """Note that a call ends now."""
        self.calls += 1
        self._worked = self._clock()

    def met(self) -> None:
        """Note that several threads have ended their work now."""
        self._met = self._clock()

    def is_first(self) -> bool:
        """Whether a call that begins now is the first one for a while."""
        return self._clock() - self._worked > ASLEEP_S

    def are_asleep(self) -> bool:
        """Whether several threads have done nothing together for a while."""
        return self._clock() - self._met > ASLEEP_S


class LateThreads:
    """The lateness of threads that are awake, and that of threads that must be woken.

    Args:
        activity: what the threads did last.
        clock: a function that gives the time in seconds.
    """

    def __init__(self, activity: Activity, clock: Callable[[], float] = time.monotonic) -> None:
        self._activity = activity
        self._awake, self._woken = Lateness(clock), Lateness(clock)
        self._again = 0  # after so many calls threads may be woken again

    def now(self) -> float:
        """The share to expect now, see `Lateness`.

        A call that follows another one at once counts as one that finds threads awake, even if the other used one thread: of many
        calls in a row, the second one wakes them for all.
        """
        if self._activity.is_first():
            return self._woken.now(is_early=self._activity.calls < self._again)
        return self._awake.now()

    def note(self, waited: float, worked: float, woken: bool) -> None:
        """Note how long the threads of a call waited.

        Args:
            waited: see `Lateness`.
            worked: see `Lateness`.
            woken: whether they were asleep when the call began.
        """
        (self._woken if woken else self._awake).note(waited, worked)
        if woken:
            self._again = self._activity.calls + 1 + LEAST_CALLS  # the call itself has not ended


activity = Activity()
late_meetings = LateThreads(activity)  # at the barriers in each time step
late_ends = LateThreads(activity)  # at the end of a launch
