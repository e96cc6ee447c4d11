"""Into what the work of a recurrence is divided: pieces of its rows, or shares of its units, and how many.

With rows of its own a thread meets nobody, but reads all weights. With units of its own it reads a part of them, and meets the
others once or twice a time step: while one of them is on no core, all wait. So rows are taken unless units are much faster; who is
late leaves its piece to the others.
"""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Mapping
from typing import NamedTuple

from ostinato.kernels.cpu.threads.cores import most_threads
from ostinato.kernels.cpu.threads.lateness import late_ends, late_meetings
from ostinato.kernels.cpu.threads.openmp import meeting_place, run

RATE = 3e9  # multiply-adds a second of a lane: what fast cores do, so that a second thread is rather not taken than in vain
READS = 4e10  # bytes a second that a thread reads of weights that are not in its cache
CACHE_BYTES = 1 << 20  # of weights that each thread can read again and again at no cost
UNIT = 20  # multiply-adds that take as long as what else is computed for a gate of a unit
LAUNCH_S = 1e-5  # at least; a thread that has gone to sleep must be woken
GAIN = 0.9  # of the time of one thread: with so much the others are not worth it
APART = 0.85  # of the time with rows of their own: if units take less, they are taken


class Work(NamedTuple):
    """What is to be done.

    Attributes:
        steps: time steps.
        rows: of the batch.
        row_steps: rows of all steps together.
        multiply_adds: of one row in a step.
        recurrent_bytes: of the weights that are read in each step.
        input_bytes: of those that are read once for many steps, unless each thread has rows of its own.
        groups: of units, of which a thread has one at least.
        meetings: in a step, where threads have units of their own.
        lanes: numbers in a vector.
    """

    steps: int
    rows: int
    row_steps: int
    multiply_adds: int
    recurrent_bytes: int
    input_bytes: int
    groups: int
    meetings: int
    lanes: int

    def seconds(self, share: float, bytes_: float) -> float:
        """How long a thread takes that does a share of it, and reads so many bytes of weights in a step."""
        computing = share * self.row_steps * self.multiply_adds / (RATE * self.lanes)
        reading = self.steps * bytes_ / READS if bytes_ > CACHE_BYTES else 0.0
        return max(reading, computing + reading / 2)  # half of it goes on meanwhile


class Costs(NamedTuple):
    """In seconds.

    Attributes:
        launch: to have threads begin and end.
        meeting: of threads that are all on a core.
    """

    launch: float
    meeting: float


@functools.lru_cache(maxsize=1024)
def divide(work: Work, threads: int, costs: Costs, late: tuple[float, float] = (0.0, 0.0)) -> tuple[int, bool]:
    """How many pieces or shares, and whether they are pieces: of rows.

    Args:
        work: what is to be done.
        threads: the most that there may be.
        costs: of so many.
        late: how much longer, as a share, several threads take on a machine as busy as this: with rows of their own, with units.
    """
    alone = work.seconds(1.0, work.recurrent_bytes)
    if threads == 1 or alone <= costs.launch:
        return 1, False
    pieces = min(
        work.rows, threads
    )  # more of them have fewer rows to multiply at once, and were measured to gain nothing
    rows = -(-work.rows // pieces)
    by_rows = costs.launch + work.seconds(rows / work.rows, work.recurrent_bytes + work.input_bytes)
    each = -(-work.groups // threads)
    shares = -(-work.groups // each)  # a last thread is one too many where it would have no group
    by_units = costs.launch + work.seconds(each / work.groups, work.recurrent_bytes * each / work.groups)
    by_units += work.steps * work.meetings * costs.meeting
    by_rows, by_units = (1 + late[0]) * by_rows, (1 + late[1]) * by_units
    if min(by_rows, by_units) > GAIN * alone:
        return 1, False
    return (shares, False) if by_units < APART * by_rows else (pieces, True)


def is_small(work: Work) -> bool:
    """Whether one thread has done it before a second one has come, on any machine."""
    return work.row_steps * work.multiply_adds <= LAUNCH_S * RATE * work.lanes


def divided(work: Work, functions: Mapping[str, int]) -> tuple[int, bool]:
    """The same for the threads that this process has now.

    Args:
        work: what is to be done.
        functions: the library.
    """
    if is_small(work) or (threads := most_threads()) == 1:
        return 1, False
    costs = measured(threads, functions["region"], functions["meetings"])
    ends = late_ends.now()
    return divide(work, threads, costs, (ends, max(ends, late_meetings.now())))


def is_worth_two() -> bool:
    """Whether two threads gain by working beside each other, as busy as the machine is."""
    return 1 + late_ends.now() < 2 * GAIN


@functools.lru_cache(maxsize=64)
def measured(threads: int, region: int, meetings: int) -> Costs:
    """What it costs here; takes a millisecond."""
    count, until = 16, time.perf_counter() + 2e-3
    place = meeting_place()
    fields = (ctypes.c_int64 * 2)(ctypes.addressof(place), 0)

    def once(count: int) -> float:
        fields[1] = count
        begin = time.perf_counter()
        run(region, meetings, ctypes.addressof(fields), threads)
        return time.perf_counter() - begin

    once(count)
    launch = many = float("inf")
    while launch == float("inf") or time.perf_counter() < until:
        launch, many = min(launch, once(0)), min(many, once(count))
    # On a busy machine it may have been another process that took the time.
    meeting = (many - launch) / count
    return Costs(min(max(launch, LAUNCH_S), 10 * LAUNCH_S), min(max(meeting, 1e-7), 2e-5))
