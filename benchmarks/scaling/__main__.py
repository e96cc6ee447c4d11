"""`python -m benchmarks.scaling`: measures constants, compares predicted steps with measured ones, writes the page."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.scaling.page import told_comparisons, write_page
from benchmarks.scaling.results import measure, read, write
from ostinato.cli.parser import Parser
from ostinato.errors import OstinatoError


def parser() -> Parser:
    """The flags."""
    made = Parser(
        "python -m benchmarks.scaling", "Predict what training in many processes takes, of measured constants."
    )
    made.add_argument(
        "--measure", type=bool, default=True, help="false: write the page of what the file of results has"
    )
    made.add_argument("--rounds", type=int, default=2, help="so many times all steps are timed in turn")
    made.add_argument("--output", default="benchmarks/results/scaling.json", help="the file of results")
    made.add_argument("--page", default="docs/scaling_predicted.md", help="the page")
    return made


def run(words: Sequence[str]) -> None:
    """Measure, write, print what was predicted beside what was measured."""
    given, began = parser().read(words), time.monotonic()
    output = Path(given.output)
    found = measure(given.rounds, lambda told: print(told, flush=True)) if given.measure else read(output)
    if given.measure:
        write(output, found)
    write_page(found, Path(given.page))
    print("\n".join(told_comparisons(found)))
    print(f"written: {given.output}, {given.page}; {time.monotonic() - began:.0f} s. Now `python -m pictures scaling`")


def main() -> int:
    """The exit status: 2 for something the user can put right, 130 after an interrupt."""
    try:
        run(sys.argv[1:])
    except OstinatoError as error:
        print(f"benchmarks.scaling: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nbenchmarks.scaling: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
