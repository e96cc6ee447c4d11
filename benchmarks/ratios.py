"""The tables of the sections `small` and `busy`: how many times as fast as torch.nn, size by size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table

from benchmarks.case import Case
from benchmarks.report import duration, show_rows
from benchmarks.rows import Row
from benchmarks.small import BASELINE, CALLS, FLOOR
from benchmarks.summary import geometric_mean
from benchmarks.timing import Timing

SECTIONS = ("small", "busy")


def table_of(case: Case) -> tuple[str, ...]:
    """The same for cases that stand in one table: all those of a layer's call, others of one section, cell and mode."""
    if case.cell.startswith(CALLS):
        return case.section, CALLS
    return case.section, case.cell, case.mode


def show(console: Console, rows: Sequence[Row]) -> None:
    """The rows of one table, each section's in its own form."""
    if rows[0].section not in SECTIONS:
        show_rows(console, rows)
    elif rows[0].cell.startswith(CALLS):
        show_calls(console, rows)
    else:
        show_ratios(console, rows)


def ratio(row: Row) -> float:
    """The baseline's time divided by that of the row: above 1 it is the faster."""
    return 1 / row.relative


def show_ratios(console: Console, rows: Sequence[Row]) -> None:
    """Ostinato and torch.nn beside each other, then the worst ratio and the geometric mean."""
    first = rows[0]
    title = ", ".join([first.section, first.cell, first.mode, *([str(first.size)] if first.setting else [])])
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("" if first.setting else "T x B x I x H", min_width=14)
    table.add_column("backend")
    for name in ("Ostinato", "quartiles", BASELINE, "quartiles", "samples", f"{BASELINE} / Ostinato"):
        table.add_column(name, justify="right")
    ratios: dict[str, float] = {}
    for (size, setting), of_case in groupby(rows, key=lambda row: (row.size, row.setting)):
        by_subject = {row.subject: row for row in of_case}
        ours, theirs = by_subject["Ostinato"], by_subject[BASELINE]
        label = setting or str(size)
        ratios[label] = ratio(ours)
        samples = str(ours.timing.samples)
        shown = duration if setting else microseconds
        times = (*_columns(ours.timing, shown), *_columns(theirs.timing, shown))
        table.add_row(label, ours.backend, *times, samples, f"{ratios[label]:.2f}")
    console.print(table)
    worst = min(ratios, key=lambda label: ratios[label])
    console.print(f"worst {ratios[worst]:.2f} ({worst}), geometric mean {geometric_mean(ratios.values()):.2f}\n")


def show_calls(console: Console, rows: Sequence[Row]) -> None:
    """A layer's call: one line for each cell."""
    size = rows[0].size
    table = Table(title=f"T = {size.T}, B = {size.B}, H = {size.H}: {CALLS}", title_justify="left", title_style="bold")
    for name in ("cell", "", "inference", "quartiles", "training step", "quartiles"):
        table.add_column(name, justify="left" if name in ("cell", "") else "right")
    for cell, of_cell in groupby(rows, key=lambda row: row.cell):
        table.add_section()
        timings = {(row.subject, row.mode): row.timing for row in of_cell}
        subjects = dict.fromkeys(subject for subject, _ in timings)
        for n, subject in enumerate(subjects):
            found = [timings.get((subject, mode)) for mode in ("inference", "training")]
            columns = [text for timing in found for text in (_columns(timing, microseconds) if timing else ("", ""))]
            name = f"{subject}, as many tensors" if subject == FLOOR else subject
            table.add_row(cell.removeprefix(f"{CALLS}: ") if n == 0 else "", name, *columns)
    console.print(table)


def microseconds(seconds: float) -> str:
    """All in one unit, so that a column can be compared at a glance."""
    return f"{seconds * 1e6:.{0 if seconds >= 1e-4 else 1}f} us"


def _columns(timing: Timing, shown: Callable[[float], str]) -> tuple[str, str]:
    return shown(timing.median_s), f"{shown(timing.q1_s)} .. {shown(timing.q3_s)}"
