"""From a case to the rows of the table."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.case import Case, Subject
from benchmarks.peak import MultiplyAdd, Peak
from benchmarks.sizes import Mode, Size
from benchmarks.timing import Timing, measure, measure_in_rounds
from ostinato.errors import ConfigError, OstinatoError
from ostinato.kernels.dispatch import recording

TOLERANCE = 1e-3  # of the largest number: float32 over hundreds of steps; a wrong order of gates is off by 1


class DisagreementError(OstinatoError):
    """Two subjects that should do the same work gave different results: their times cannot be compared."""


@dataclass(frozen=True)
class Row:
    """One subject of one case, measured.

    Attributes:
        section: see `Case`.
        cell: see `Case`.
        mode: see `Case`.
        size: see `Case`.
        subject: its name.
        backend: which of Ostinato's backends ran it; empty for the others.
        timing: seconds a call.
        flops: of one call.
        gflops: 1e9 multiplications and additions a second.
        share_of_peak: of all threads' peak, as it was between the samples of this case.
        relative: its time divided by the baseline's.
        is_baseline: whether it is one of those of which the fastest is the baseline.
        setting: see `Case`.
    """

    section: str
    cell: str
    mode: Mode
    size: Size
    subject: str
    backend: str
    timing: Timing
    flops: float
    gflops: float
    share_of_peak: float
    relative: float
    is_baseline: bool
    setting: str = ""


PEAK = "multiply-add peak"


def with_peak(case: Case, kernel: MultiplyAdd) -> Case:
    """The case with the peak as one more subject, timed in turns with the others.

    A machine that is shared, or that slows down when it is hot, has another peak from minute to minute.
    """
    threads = torch.get_num_threads()
    return replace(
        case, subjects=(*case.subjects, Subject(PEAK, lambda: kernel.seconds(threads), kernel.flops(threads)))
    )


def measure_case(case: Case, peak: Peak, budget_s: float, rounds: int | None = None) -> list[Row]:
    """Run every subject once, compare what must be equal, then time them in turns.

    A subject whose backend refuses the work has no row. Shares are of the subject `PEAK` where the case has one, else of `peak`.

    Args:
        case: what to measure.
        peak: of this machine.
        budget_s: for the timing of all subjects; see `measure` and `measure_in_rounds`.
        rounds: see `measure`.

    Raises:
        DisagreementError: where a result differs from that of the subject that it must be equal to.
    """
    results: dict[str, Any] = {}
    first_s: dict[str, float] = {}
    backends: dict[str, str] = {}
    with case.within() if case.within else torch.inference_mode(case.mode == "inference"):
        for subject in case.subjects:
            if subject.prepare is not None:
                subject.prepare()
            with recording() as choices:
                start = time.perf_counter()
                try:
                    results[subject.name] = subject.call()
                except ConfigError:
                    continue
                first_s[subject.name] = time.perf_counter() - start
            backends[subject.name] = ", ".join(sorted({choice.backend for choice in choices}))
        check(case, results)
        subjects = [subject for subject in case.subjects if subject.name in results]
        del results
        if case.sample_s is None:
            timings = measure(subjects, first_s, budget_s, rounds)
        else:
            timings = measure_in_rounds(subjects, first_s, budget_s, rounds, case.sample_s)
    peak_gflops = peak.all_threads_gflops
    for subject in subjects:
        if subject.name == PEAK:
            peak_gflops = subject.flops / timings[PEAK].median_s / 1e9
    base_s = min(timings[name].median_s for name in case.baseline if name in timings)
    rows = []
    for subject in subjects:
        timing = timings[subject.name]
        gflops = subject.flops / timing.median_s / 1e9
        rows.append(
            Row(
                *(case.section, case.cell, case.mode, case.size, subject.name, backends[subject.name]),
                *(timing, subject.flops, gflops, gflops / peak_gflops),
                *(timing.median_s / base_s, subject.name in case.baseline, case.setting),
            )
        )
    return rows


def check(case: Case, results: dict[str, Any]) -> None:
    """Raise `DisagreementError` where a subject's result is not that of the subject it must be the same as."""
    for subject in case.subjects:
        if subject.same_as is None or not {subject.name, subject.same_as} <= results.keys():
            continue
        got, wanted = (torch.as_tensor(results[name]) for name in (subject.name, subject.same_as))
        allowed = TOLERANCE * float(wanted.abs().max())
        off = float((got - wanted).abs().max()) if got.shape == wanted.shape else math.inf
        if not off <= allowed:  # so that NaN is caught too
            raise DisagreementError(
                f"{case.mode} of {case.cell} at {case.size}: expected {subject.name} to give what {subject.same_as} gives "
                f"within {allowed:.3g}, got numbers off by {off:.3g}; their times cannot be compared"
            )
