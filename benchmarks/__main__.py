"""`python -m benchmarks`, which `make bench` calls."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import machine, report
from benchmarks.busy import busy
from benchmarks.case import Case
from benchmarks.names import check_names
from benchmarks.options import options
from benchmarks.peak import MultiplyAdd, measure_peak
from benchmarks.plain import inference, training
from benchmarks.ragged import ragged
from benchmarks.ratios import show, table_of
from benchmarks.rows import Row, measure_case, with_peak
from benchmarks.sizes import BUSY, CALL, GATES, RAGGED, SIZES, SMALL, STEPS, Size
from benchmarks.small import small
from benchmarks.steps import steps
from ostinato.cli.parser import Parser
from ostinato.errors import ConfigError, OstinatoError


@dataclass(frozen=True)
class Section:
    """A part of the registry.

    Attributes:
        cases: from sizes and cells.
        sizes: all it has.
        share: of the flag's budget, for each of its cases: many that are short need less, few that are disturbed need more.
        has_peak: whether the machine's peak is measured beside each case. A call of microseconds has next to no arithmetic,
            and neighbours have a part of the machine: the peak would say nothing.
    """

    cases: Callable[[Sequence[Size], Sequence[str]], Iterator[Case]]
    sizes: Sequence[Size]
    share: float = 1.0
    has_peak: bool = True


SECTIONS = {
    "training": Section(training, SIZES),
    "inference": Section(inference, SIZES),
    "steps": Section(steps, STEPS, has_peak=False),
    "options": Section(options, SIZES),
    "ragged": Section(ragged, RAGGED),
    "small": Section(small, (*SMALL, CALL), share=0.15, has_peak=False),
    "busy": Section(busy, BUSY, share=1.5, has_peak=False),
}


def parser() -> Parser:
    """The flags."""
    made = Parser("python -m benchmarks", "Time Ostinato's layers beside torch.nn, ONNX Runtime and a Python loop.")
    made.add_argument("--only", nargs="+", default=list(SECTIONS), help=f"sections: {' '.join(SECTIONS)}")
    made.add_argument("--sizes", nargs="+", default=[], help="sizes TxBxIxH of the registry, 64x64x512x512; all")
    made.add_argument("--cells", nargs="+", default=list(GATES), help=f"cells: {' '.join(GATES)}")
    made.add_argument(
        "--budget_s", type=float, default=2.0, help="seconds of timing for each size; see docs/benchmarks.md"
    )
    made.add_argument("--rounds", type=int | None, default=None, help="samples of each subject, in place of the budget")
    made.add_argument("--output", type=str | None, default=None, help="JSON file; benchmarks/results/DATE.json")
    return made


def selected(given: Any) -> Iterator[Case]:
    """The cases that the flags ask for, each built when it is its turn."""
    check_names("--only", given.only, list(SECTIONS))
    check_names("--cells", given.cells, list(GATES))
    check_names("--sizes", given.sizes, list(dict.fromkeys(str(size) for s in SECTIONS.values() for size in s.sizes)))
    for name in given.only:
        section = SECTIONS[name]
        kept = [size for size in section.sizes if not given.sizes or str(size) in given.sizes]
        yield from section.cases(kept, given.cells)


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
    for _, group in groupby(chain([first], cases), key=table_of):
        begin = len(rows)
        for case in group:
            section = SECTIONS[case.section]
            with console.status(f"{case.section}: {case.cell}, {case.mode}, {case.size} {case.setting}"):
                case = with_peak(case, kernel) if section.has_peak else case
                rows += measure_case(case, peak, section.share * given.budget_s, given.rounds)
            report.write(output, here, peak, settings, rows)
        show(console, rows[begin:])
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
