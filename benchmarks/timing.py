"""Interleaved timing: the machine's speed drifts, so subjects are compared turn by turn, never one after the other."""

from __future__ import annotations

import itertools
import math
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.case import Subject

MIN_SAMPLES = 3
SAMPLE_S = 0.002  # calls that are shorter are repeated
WARM_S = 0.05  # calls that are longer need no call before them to fill the caches
PATIENCE_S = 10.0  # what takes longer than this is measured once


@dataclass(frozen=True)
class Timing:
    """Seconds a call.

    Attributes:
        median_s: over the samples.
        q1_s: the lower quartile.
        q3_s: the upper quartile.
        samples: how many.
    """

    median_s: float
    q1_s: float
    q3_s: float
    samples: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """`seconds`: at least one sample."""
        if len(seconds) == 1:
            return cls(seconds[0], seconds[0], seconds[0], 1)
        q1, median, q3 = statistics.quantiles(seconds, n=4, method="inclusive")
        return cls(median, q1, q3, len(seconds))


def measure(
    subjects: Sequence[Subject], first_s: Mapping[str, float], budget_s: float, rounds: int | None = None
) -> dict[str, Timing]:
    """Time subjects in turns.

    A round is one sample of each subject, in an order that is drawn anew: what a subject finds in the caches depends on which one
    was before it, and that should not always be the same. Each subject has an equal share of the time; the samples of
    one that is slow are fewer, and spread over all rounds.

    Args:
        subjects: each has been called once.
        first_s: seconds of that first call, by name.
        budget_s: for all subjects together. Nothing gets fewer than three samples, except what is slower than `PATIENCE_S`.
        rounds: this many samples of every subject, whatever the time.
    """
    found: dict[str, list[float]] = {s.name: [first_s[s.name]] for s in subjects if first_s[s.name] > PATIENCE_S}
    subjects = [s for s in subjects if s.name not in found]
    once_s = {s.name: first_s[s.name] if s.background else _seconds(s, 1) for s in subjects}
    share_s = budget_s / max(1, sum(not s.background for s in subjects))
    planned = {s.name: rounds or _samples(s, once_s[s.name], share_s) for s in subjects}
    found |= {s.name: [] for s in subjects}
    last = max(planned.values(), default=0)
    orders = random.Random(0)
    for turn in range(last):
        for subject in orders.sample(subjects, len(subjects)):
            wanted = planned[subject.name]
            if (turn + 1) * wanted // last > turn * wanted // last:
                found[subject.name].append(_sample(subject, once_s[subject.name]))
    return {name: Timing.of(seconds) for name, seconds in found.items()}


def measure_in_rounds(
    subjects: Sequence[Subject],
    first_s: Mapping[str, float],
    budget_s: float,
    rounds: int | None = None,
    sample_s: float = SAMPLE_S,
) -> dict[str, Timing]:
    """Time subjects in whole rounds, as many of each, until the budget is spent.

    `measure` plans its samples by one call of each subject. Where a call takes another time whenever it is made, as beside
    busy processes, or less than the waiting before it, such a plan is far off.

    Args:
        subjects: each has been called once.
        first_s: seconds of that first call, by name.
        budget_s: for all subjects together, waiting included. Nothing gets fewer than three samples.
        rounds: this many samples of every subject, whatever the time.
        sample_s: a sample is of as many calls as take so long, or up to twice as long.
    """
    end = time.perf_counter() + budget_s
    found: dict[str, list[float]] = {s.name: [] for s in subjects}
    orders = random.Random(0)
    for turn in itertools.count():
        if turn >= rounds if rounds else turn >= MIN_SAMPLES and time.perf_counter() > end:
            break
        for subject in orders.sample(subjects, len(subjects)):
            wait_until_idle()
            if min([first_s[subject.name], *found[subject.name]]) < WARM_S:
                _seconds(subject, 1)
            found[subject.name].append(_seconds_over(subject, sample_s))
    return {name: Timing.of(seconds) for name, seconds in found.items()}


def _seconds_over(subject: Subject, at_least_s: float) -> float:
    total, calls = _seconds(subject, 1), 1
    while total < at_least_s:
        # Twice as many calls each time: few looks at the clock, and no sample much too long where the first call was a fast one.
        total += calls * _seconds(subject, calls)
        calls *= 2
    return total / calls


def _repeats(once_s: float) -> int:
    return max(1, math.ceil(SAMPLE_S / max(once_s, 1e-7)))


def _samples(subject: Subject, once_s: float, share_s: float) -> int:
    if subject.background:
        return MIN_SAMPLES
    calls = _repeats(once_s) + (once_s < WARM_S)
    return max(MIN_SAMPLES, int(share_s / (calls * once_s + 2 * SAMPLE_S)))


def _sample(subject: Subject, once_s: float) -> float:
    wait_until_idle()
    if once_s < WARM_S:
        _seconds(subject, 1)
    return _seconds(subject, _repeats(once_s))


def _seconds(subject: Subject, repeats: int) -> float:
    if subject.prepare is None:
        start = time.perf_counter()
        for _ in range(repeats):
            subject.call()
        return (time.perf_counter() - start) / repeats
    total = 0.0
    for _ in range(repeats):
        subject.prepare()
        start = time.perf_counter()
        subject.call()
        total += time.perf_counter() - start
    return total / repeats


def wait_until_idle(at_most_s: float = 0.2) -> None:
    """Sleep until no thread of this process is busy.

    The threads of OpenMP go on spinning for about 5 ms after a call, those of ONNX Runtime for about 30 ms: each would take a core
    from the subject whose turn it is.
    """
    end = time.perf_counter() + at_most_s
    while time.perf_counter() < end:
        busy, start = time.process_time(), time.perf_counter()
        time.sleep(0.001)
        if time.process_time() - busy < 0.2 * (time.perf_counter() - start):
            return
