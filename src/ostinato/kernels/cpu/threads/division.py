"""How the work of a recurrence is divided among threads: into pieces of its rows or shares of its units, and how many.

A thread with rows of its own waits for no other, but reads all weights. A thread with units of its own reads a part of the weights,
and waits for the others once or twice in each time step: while one of them has no core, all wait. So rows are divided unless units
are much faster; if a thread is late, the others take its pieces.
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

RATE = 3e9  # multiply-adds a second of a lane on fast cores: in doubt, no second thread is taken
READS = 4e10  # bytes a second that a thread reads of weights that are not in its cache
CACHE_BYTES = 1 << 20  # of weights that each thread can read again and again at no cost
UNIT = 20  # multiply-adds that take as long as everything else that is computed for a gate of a unit
LAUNCH_S = 1e-5  # the least time of a launch; a thread that sleeps must be woken, too
GAIN = 0.9  # share of the time of one thread: if several threads take more than this, one is used
APART = 0.85  # share of the time with rows divided: if units take less than this, units are divided


class Work(NamedTuple):
    """The size of the work of a pass.

    Attributes:
        steps: the number of time steps.
        rows: the rows of the batch.
        row_steps: the rows of all steps together.
        multiply_adds: the multiply-adds of one row in a step.
        recurrent_bytes: bytes of the weights that are read in each step.
        input_bytes: bytes of the weights that are read once for many steps, unless each thread has rows of its own.
        groups: the groups of units, of which a thread has at least one.
        meetings: the barriers in a step if threads have units of their own.
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
        """How long a thread takes for a share of the work, if it reads so many bytes of weights in a step."""
        computing = share * self.row_steps * self.multiply_adds / (RATE * self.lanes)
        reading = self.steps * bytes_ / READS if bytes_ > CACHE_BYTES else 0.0
        return max(reading, computing + reading / 2)  # half of the reading overlaps


class Costs(NamedTuple):
    """Costs of threads, in seconds.

    Attributes:
        launch: the cost of starting and ending them.
        meeting: the cost of a barrier if all threads have a core.
    """

    launch: float
    meeting: float


@functools.lru_cache(maxsize=1024)
def divide(work: Work, threads: int, costs: Costs, late: tuple[float, float] = (0.0, 0.0)) -> tuple[int, bool]:
    """Divide work: gives how many pieces or shares, and whether they are pieces of rows (else shares of units).

    Args:
        work: the work to divide.
        threads: the largest number of threads.
        costs: the costs of that number of threads.
        late: how much longer, as a share, several threads take because the machine is busy: with rows of their own, with units.
    """
    alone = work.seconds(1.0, work.recurrent_bytes)
    if threads == 1 or alone <= costs.launch:
        return 1, False
    pieces = min(
        work.rows, threads
    )  # more pieces have fewer rows to multiply at once, and gained nothing when measured
    rows = -(-work.rows // pieces)
    by_rows = costs.launch + work.seconds(rows / work.rows, work.recurrent_bytes + work.input_bytes)
    each = -(-work.groups // threads)
    shares = -(-work.groups // each)  # without threads that would have no group
    by_units = costs.launch + work.seconds(each / work.groups, work.recurrent_bytes * each / work.groups)
    by_units += work.steps * work.meetings * costs.meeting
    by_rows, by_units = (1 + late[0]) * by_rows, (1 + late[1]) * by_units
    if min(by_rows, by_units) > GAIN * alone:
        return 1, False
    return (shares, False) if by_units < APART * by_rows else (pieces, True)


def is_small(work: Work) -> bool:
    """Whether one thread is done before a second one could start, on any machine."""
    return work.row_steps * work.multiply_adds <= LAUNCH_S * RATE * work.lanes


def divided(work: Work, functions: Mapping[str, int]) -> tuple[int, bool]:
    """Divide work, as `divide` does, among the threads that this process has now.

    Args:
        work: the work to divide.
        functions: the functions of the library.
    """
    if is_small(work) or (threads := most_threads()) == 1:
        return 1, False
    costs = measured(threads, functions["region"], functions["meetings"])
    ends = late_ends.now()
    return divide(work, threads, costs, (ends, max(ends, late_meetings.now())))


def is_worth_two() -> bool:
    """Whether two threads that work at the same time gain anything while the machine is as busy as it is now."""
    return 1 + late_ends.now() < 2 * GAIN


@functools.lru_cache(maxsize=64)
def measured(threads: int, region: int, meetings: int) -> Costs:
    """Measure the costs of so many threads on this machine; takes some 2 ms."""
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
    # The bounds are for a busy machine, on which another process may have taken the time.
    meeting = (many - launch) / count
    return Costs(min(max(launch, LAUNCH_S), 10 * LAUNCH_S), min(max(meeting, 1e-7), 2e-5))
