"""Values on which all processes of a run must agree: the time, a request to stop, and whether to show progress.

All processes have to evaluate, save or stop after the same step, or they wait for each other for ever. So the clock is that of the
first process, and a signal that one process has received counts for all. Even a short message costs its latency, so these values
travel with the losses of a step, if losses are summed then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ostinato.training.distributed.processes import Processes
from ostinato.training.loop.evaluation import never

_OFTEN_S = 1.0  # seconds between two exchanges
_SELDOM = 16  # at most so many calls are answered without an exchange


class Agreement:
    """Values that are equal in all processes: as of the last call of `renew` or `total`; with a single process always current.

    Args:
        processes: the processes of the run.
        is_show_due: returns whether the first process wants to show progress.
    """

    def __init__(self, processes: Processes, is_show_due: Callable[[], bool] = never):
        self._processes = processes
        self._is_alone = processes.world == 1
        self._is_show_due = is_show_due
        self._asked, self._every = 0, 1
        self._is_new = False
        self.is_stop_wanted: Callable[[], bool] = never
        """Whether this process was asked to stop."""
        self.renew()

    def renew(self) -> None:
        """Exchange the values among all processes; each must call this equally often."""
        self.total([])
        self._is_new = False

    def keep_up(self) -> None:
        """Call `renew`, unless `total` has exchanged the values since the last call of `renew` or `keep_up`."""
        if not self._is_new:
            self.renew()
        self._is_new = False

    def total(self, values: Sequence[float]) -> list[float]:
        """The sums of `values` over all processes, as in `Processes.total`; the same message exchanges the agreed values."""
        if self._is_alone:
            return list(values)
        mine = (time.monotonic(), float(self._is_show_due())) if self._processes.is_first else (0.0, 0.0)
        *sums, self._now_s, self._shows, self._stops = self._processes.total(
            [*values, *mine, float(self.is_stop_wanted())]
        )
        self._is_new = True
        return sums

    def now_s(self) -> float:
        """The time in seconds since some fixed moment."""
        return time.monotonic() if self._is_alone else self._now_s

    def stops(self) -> bool:
        """Whether a process was asked to stop."""
        return self.is_stop_wanted() if self._is_alone else self._stops > 0

    def shows(self) -> bool:
        """Whether it is time to show progress."""
        return self._is_show_due() if self._is_alone else self._shows > 0

    def stops_in_between(self) -> bool:
        """As `stops`, for frequent calls: the processes exchange the values only about once a second."""
        self._asked += 1
        if self._asked >= self._every:
            before = self.now_s()
            self.renew()
            # Every process sees the same times, so all of them exchange again after equally many calls.
            is_soon = self.now_s() - before < _OFTEN_S
            self._asked, self._every = 0, min(2 * self._every, _SELDOM) if is_soon else max(self._every // 2, 1)
        return self.stops()
