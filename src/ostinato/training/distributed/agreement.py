"""What the processes of a run have to see alike: the clock, a wish to stop, the moment to show how it goes.

Whoever evaluates, saves or stops has to do so after the same step in every process, or all wait for ever. So the clock is that of
the first process, and a signal that one has received counts for all. A message costs its latency however short it is, so this goes
with the losses of a step, where those are told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ostinato.training.distributed.processes import Processes
from ostinato.training.loop.evaluation import never

_OFTEN_S = 1.0  # between two questions
_SELDOM = 16  # at most so many are answered without asking all


class Agreement:
    """Of one process alone it asks at once; of several, it knows what was agreed on when all last called `renew` or `total`.

    Args:
        processes: those of the run.
        is_show_due: whether the first process would like to show something.
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
        """Asks all processes; each must call it equally often."""
        self.total([])
        self._is_new = False

    def keep_up(self) -> None:
        """`renew`, unless all were asked by `total` since the last call of either."""
        if not self._is_new:
            self.renew()
        self._is_new = False

    def total(self, values: Sequence[float]) -> list[float]:
        """The sums of `values` over all processes, as `Processes.total`; in the same message all are asked."""
        if self._is_alone:
            return list(values)
        mine = (time.monotonic(), float(self._is_show_due())) if self._processes.is_first else (0.0, 0.0)
        *sums, self._now_s, self._shows, self._stops = self._processes.total(
            [*values, *mine, float(self.is_stop_wanted())]
        )
        self._is_new = True
        return sums

    def now_s(self) -> float:
        """The time in seconds since some moment."""
        return time.monotonic() if self._is_alone else self._now_s

    def stops(self) -> bool:
        """Whether a process was asked to stop."""
        return self.is_stop_wanted() if self._is_alone else self._stops > 0

    def shows(self) -> bool:
        """Whether it is time to show something."""
        return self._is_show_due() if self._is_alone else self._shows > 0

    def stops_in_between(self) -> bool:
        """`stops`, for something that is asked often: only now and then all processes are, about once a second."""
        self._asked += 1
        if self._asked >= self._every:
            before = self.now_s()
            self.renew()
            # All know the same times, and so ask again after equally many.
            is_soon = self.now_s() - before < _OFTEN_S
            self._asked, self._every = 0, min(2 * self._every, _SELDOM) if is_soon else max(self._every // 2, 1)
        return self.stops()
