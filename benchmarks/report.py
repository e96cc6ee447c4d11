"""Tables for a person, JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.peak import Peak
from benchmarks.rows import Row
from benchmarks.summary import means, verdicts


def show_machine(console: Console, machine: dict[str, Any], peak: Peak) -> None:
    """Where the figures are from."""
    console.print(f"{machine['processor']}, {machine['cores']} cores, torch uses {peak.threads} threads")
    console.print(", ".join(f"{name} {number}" for name, number in machine["versions"].items()))
    console.print(
        f"multiply-add peak, float32: {peak.one_thread_gflops:.0f} GFLOP/s on 1 thread, "
        f"{peak.all_threads_gflops:.0f} on {peak.threads}; copy: {peak.copy_gbytes:.1f} GB/s read and written"
    )


def show_rows(console: Console, rows: Sequence[Row]) -> None:
    """The rows of one section, cell and mode; those of a size stand together."""
    first = rows[0]
    title = ", ".join(dict.fromkeys((first.section, first.cell, first.mode)))
    table = Table(title=title, title_justify="left", title_style="bold", caption="* baseline", caption_justify="left")
    table.add_column("T x B x I x H", min_width=14)
    table.add_column("subject", min_width=30)
    table.add_column("backend")
    for name in ("median", "quartiles", "samples", "GFLOP/s", "of peak", "time / *"):
        table.add_column(name, justify="right")
    for size, of_size in groupby(rows, key=lambda row: row.size):
        table.add_section()
        for n, row in enumerate(of_size):
            timing = row.timing
            table.add_row(
                str(size) if n == 0 else "",
                row.subject + (" *" if row.is_baseline else ""),
                row.backend,
                duration(timing.median_s),
                f"{duration(timing.q1_s)} .. {duration(timing.q3_s)}",
                str(timing.samples),
                f"{row.gflops:.1f}",
                f"{row.share_of_peak:.1%}",
                f"{row.relative:.2f}",
            )
    console.print(table)


def show_summary(console: Console, rows: Sequence[Row]) -> None:
    """The geometric means, and the aims."""
    over_sizes = Table(title="Time against the baseline, over the sizes", title_justify="left", title_style="bold")
    for name in ("section", "mode", "cell", "subject"):
        over_sizes.add_column(name)
    for name in ("geometric mean", "best", "worst", "sizes"):
        over_sizes.add_column(name, justify="right")
    for mean in means(rows):
        figures = (f"{mean.relative:.2f}", f"{mean.best:.2f}", f"{mean.worst:.2f}", str(mean.sizes))
        over_sizes.add_row(mean.section, mean.mode, mean.cell, mean.subject, *figures)
    console.print(over_sizes)
    aims = Table("figure", "aim", "measured", "", title="The aims", title_justify="left", title_style="bold")
    for verdict in verdicts(rows):
        word = "[green]met" if verdict.is_met else "[red]missed"
        aims.add_row(verdict.what, verdict.aim, verdict.measured, word)
    if aims.row_count:
        console.print(aims)


def duration(seconds: float) -> str:
    """With the unit that fits: "31.4 us", "2.72 ms", "1.41 s"."""
    for scale, unit in ((1e6, "us"), (1e3, "ms")):
        if seconds * scale < 1000:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds:.3g} s"


def write(path: Path, machine: dict[str, Any], peak: Peak, settings: dict[str, Any], rows: Sequence[Row]) -> None:
    """All that was measured, as JSON. The file is complete at any time: a new one takes the place of the old."""
    contents = {
        "machine": machine,
        "peak": asdict(peak),
        "settings": settings,
        "aims": [asdict(verdict) for verdict in verdicts(rows)],
        "means": [asdict(mean) for mean in means(rows)],
        "rows": [asdict(row) for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)
