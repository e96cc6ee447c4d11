"""What the rows come to: geometric means over the sizes, and the aims of the project beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.rows import PEAK, Row
from benchmarks.sizes import RAGGED, STEPS, Size


@dataclass(frozen=True)
class Mean:
    """A subject over all sizes of a section.

    Attributes:
        section: see `Row`.
        mode: see `Row`.
        cell: see `Row`.
        subject: see `Row`.
        relative: geometric mean of its time divided by the baseline's.
        best: the least of them.
        worst: the greatest of them.
        sizes: how many.
    """

    section: str
    mode: str
    cell: str
    subject: str
    relative: float
    best: float
    worst: float
    sizes: int


@dataclass(frozen=True)
class Verdict:
    """An aim and what was measured.

    Attributes:
        what: the figure.
        aim: what it should be.
        measured: what it is.
        is_met: whether that is good enough.
    """

    what: str
    aim: str
    measured: str
    is_met: bool


def geometric_mean(values: Iterable[float]) -> float:
    """`values`: at least one, all positive."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms))


def means(rows: Sequence[Row]) -> list[Mean]:
    """One a section, mode, cell and subject, in the order of the rows."""
    groups: dict[tuple[str, str, str, str], list[float]] = {}
    for row in rows:
        if row.subject == PEAK:
            continue
        groups.setdefault((row.section, row.mode, row.cell, row.subject), []).append(row.relative)
    return [Mean(*key, geometric_mean(of), min(of), max(of), len(of)) for key, of in groups.items()]


# (geometric mean, every size): how many times faster than the baseline.
SPEED = {
    "training": ("torch.nn", {"RNN": 2.5, "GRU": 2.5, "LSTM": 1.3}, 1.0),
    "inference": ("the faster of torch.nn and ONNX Runtime", {"RNN": 1.8, "GRU": 1.4, "LSTM": 1.1}, 0.95),
}
STEP_US = {("Ostinato", STEPS[0]): 15, ("Ostinato", STEPS[1]): 95, ("Ostinato, bfloat16 weights", STEPS[1]): 60}
OPTION_AT_MOST = {"layer norm": 1.35}
ANY_OPTION_AT_MOST = 1.15
RAGGED_AT_MOST = 0.65
LINEAR_WITHIN = 1.15  # seconds a valid step at the longest T, divided by those at the middle one
PEAK_SIZE, PEAK_SHARE = Size(64, 64, 512, 512), {"inference": 0.8, "training": 0.7}


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """The aims that these rows say something about."""
    over_sizes = means(rows)
    return [*_speed(over_sizes), *_steps(rows), *_options(over_sizes), *_ragged(rows), *_share(rows)]


def _speed(over_sizes: Sequence[Mean]) -> Iterable[Verdict]:
    for mean in over_sizes:
        if mean.section in SPEED and mean.subject == "Ostinato":
            against, least, least_of_all = SPEED[mean.section]
            speed, slowest = 1 / mean.relative, 1 / mean.worst
            yield Verdict(
                f"{mean.section}, {mean.cell}, against {against}",
                f"at least {least[mean.cell]:.2f} x, no size below {least_of_all:.2f}",
                f"{speed:.2f} x, slowest size {slowest:.2f}",
                speed >= least[mean.cell] and slowest >= least_of_all,
            )


def _steps(rows: Sequence[Row]) -> Iterable[Verdict]:
    for row in rows:
        at_most = STEP_US.get((row.subject, row.size))
        if row.section == "steps" and row.cell == "LSTM" and at_most is not None:
            took = row.timing.median_s * 1e6
            name = f"streaming step, LSTM, H={row.size.H}{row.subject.removeprefix('Ostinato')}"
            yield Verdict(name, f"at most {at_most} us", f"{took:.1f} us", took <= at_most)


def _options(over_sizes: Sequence[Mean]) -> Iterable[Verdict]:
    for mean in over_sizes:
        if mean.section == "options" and not mean.subject.startswith("plain") and "reference" not in mean.subject:
            at_most = OPTION_AT_MOST.get(mean.subject, ANY_OPTION_AT_MOST)
            yield Verdict(
                f"{mean.subject}, {mean.mode}, time against the plain LSTM",
                f"at most {at_most:.2f}",
                f"{mean.relative:.2f}, worst size {mean.worst:.2f}",
                mean.relative <= at_most,
            )


def _ragged(rows: Sequence[Row]) -> Iterable[Verdict]:
    a_step: dict[tuple[str, str, str], dict[int, float]] = {}
    for row in rows:
        if row.section == "ragged" and row.subject in ("lengths=", "PackedSequence"):
            a_step.setdefault((row.subject, row.cell, row.mode), {})[row.size.T] = row.timing.median_s / row.flops
            yield Verdict(
                f"{row.subject} of {row.cell}, {row.mode}, T={row.size.T}, time against the full batch",
                f"at most {RAGGED_AT_MOST:.2f}",
                f"{row.relative:.2f}",
                row.relative <= RAGGED_AT_MOST,
            )
    middle, longest = RAGGED[-2].T, RAGGED[-1].T
    for (subject, cell, mode), by_steps in a_step.items():
        if {middle, longest} <= by_steps.keys():
            growth = by_steps[longest] / by_steps[middle]
            yield Verdict(
                f"{subject} of {cell}, {mode}, time a step at T={longest} against T={middle}",
                f"at most {LINEAR_WITHIN:.2f}",
                f"{growth:.2f}",
                growth <= LINEAR_WITHIN,
            )


def _share(rows: Sequence[Row]) -> Iterable[Verdict]:
    for row in rows:
        if row.section in PEAK_SHARE and row.size == PEAK_SIZE and row.subject == "Ostinato":
            least = PEAK_SHARE[row.section]
            yield Verdict(
                f"{row.section}, {row.cell}, {PEAK_SIZE}, share of the multiply-add peak",
                f"at least {least:.0%}",
                f"{row.share_of_peak:.0%}",
                row.share_of_peak >= least,
            )
