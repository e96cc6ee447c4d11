"""`python -m benchmarks`, which `make bench` calls."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import machine, report
from benchmarks.case import Case
from benchmarks.options import options
from benchmarks.peak import MultiplyAdd, measure_peak
from benchmarks.plain import inference, training
from benchmarks.ragged import ragged
from benchmarks.rows import Row, measure_case, with_peak
from benchmarks.sizes import GATES, RAGGED, SIZES, STEPS, Size
from benchmarks.steps import steps
from ostinato.cli.parser import Parser
from ostinato.errors import ConfigError, OstinatoError

SECTIONS = {
    "training": (training, SIZES),
    "inference": (inference, SIZES),
    "steps": (steps, STEPS),
    "options": (options, SIZES),
    "ragged": (ragged, RAGGED),
}


def parser() -> Parser:
    """The flags."""
    made = Parser("python -m benchmarks", "Time Ostinato's layers beside torch.nn, ONNX Runtime and a Python loop.")
    made.add_argument("--only", nargs="+", default=list(SECTIONS), help=f"sections: {' '.join(SECTIONS)}")
    made.add_argument("--sizes", nargs="+", default=[], help="sizes TxBxIxH of the registry, 64x64x512x512; all")
    made.add_argument("--cells", nargs="+", default=list(GATES), help=f"cells: {' '.join(GATES)}")
    made.add_argument("--budget_s", type=float, default=2.0, help="seconds of timing for each size")
    made.add_argument("--rounds", type=int | None, default=None, help="samples of each subject, in place of the budget")
    made.add_argument("--output", type=str | None, default=None, help="JSON file; benchmarks/results/DATE.json")
    return made


def selected(given: Any) -> Iterator[Case]:
    """The cases that the flags ask for, each built when it is its turn."""
    check_names("--only", given.only, list(SECTIONS))
    check_names("--cells", given.cells, list(GATES))
    check_names("--sizes", given.sizes, [str(size) for size in (*SIZES, *STEPS, *RAGGED)])
    for name in given.only:
        section, sizes = SECTIONS[name]
        kept: list[Size] = [size for size in sizes if not given.sizes or str(size) in given.sizes]
        yield from section(kept, given.cells)


def check_names(flag: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raise `ConfigError` for a name that is not known."""
    for name in names:
        if name not in known:
            raise ConfigError(f"{flag} expected some of {' '.join(known)}, got {name!r}")


def run(words: Sequence[str]) -> None:
    """Measure, print, and write after each case: an interrupted run leaves what it has."""
    given = parser().read(words)
    cases = selected(given)
    first = next(cases, None)
    if first is None:
        raise ConfigError("--sizes expected a size of one of the sections in --only, got none; leave one of them out")
    output = Path(given.output or time.strftime("benchmarks/results/%Y-%m-%d_%H-%M-%S.json"))
    warnings.filterwarnings("ignore", message="LSTM with projections is not supported with oneDNN")
    console = Console(width=None if sys.stdout.isatty() else 140)
    here, peak = machine.describe(), measure_peak()
    report.show_machine(console, here, peak)
    kernel = MultiplyAdd(sample_s=0.04)  # starting threads takes a few tenths of a millisecond
    rows: list[Row] = []
    settings = {name: value for name, value in vars(given).items() if name != "output"}
    for _, group in groupby(chain([first], cases), key=lambda case: (case.section, case.cell, case.mode)):
        begin = len(rows)
        for case in group:
            with console.status(f"{case.section}: {case.cell}, {case.mode}, {case.size}"):
                # A step takes microseconds: beside it the peak would say nothing.
                case = case if case.section == "steps" else with_peak(case, kernel)
                rows += measure_case(case, peak, given.budget_s, given.rounds)
            report.write(output, here, peak, settings, rows)
        report.show_rows(console, rows[begin:])
    report.show_summary(console, rows)
    console.print(f"written to {output}", soft_wrap=True)


def main() -> int:
    """The exit status: 2 for something the user can put right, 130 after an interrupt."""
    try:
        run(sys.argv[1:])
    except OstinatoError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nbenchmarks: interrupted; the file has what was measured", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
