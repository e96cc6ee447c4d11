"""`ostinato inspect RUN`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ostinato.cli.parser import Parser


def parser() -> Parser:
    """The parser of the command's arguments."""
    from ostinato.cli.parser import Parser

    found = Parser("ostinato inspect", "Write a report of a run: one HTML file that opens without a network.")
    found.add_argument(
        "run", nargs="?", type=str | None, default=None, help="folder of the run; without it, the latest in runs/"
    )
    found.add_argument(
        "--data",
        type=str | None,
        default=None,
        help="what the model reads: a text, or labelled data of the run's task; without it, the run's validation data",
    )
    found.add_argument(
        "--output",
        type=str | None,
        default=None,
        help="the file to write; without it, inspection.html in the run's folder",
    )
    return found


def main(words: Sequence[str]) -> int:
    """Writes the report of a run, and prints its path."""
    given = parser().read(words)

    from rich.console import Console

    from ostinato.cli.closing import tell_next
    from ostinato.recipes.inspection.report import inspect_run
    from ostinato.recipes.runs import latest_run

    console = Console(stderr=True, highlight=False)
    with console.status("reading the run") as status:
        run = latest_run() if given.run is None else given.run
        file = inspect_run(run, given.data, given.output, on_section=lambda title: status.update(title.lower()))
    print(file)
    tell_next(
        {
            "open it": ["python", "-m", "webbrowser", str(file)],
            "why its answers": ["ostinato", "explain", str(run), "DATA"],
        }
    )
    return 0
