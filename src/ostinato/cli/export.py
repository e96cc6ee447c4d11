"""`ostinato export RUN`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ostinato.cli.parser import Parser


def parser() -> Parser:
    """The parser of the command's arguments."""
    from ostinato.cli.parser import Parser

    found = Parser(
        "ostinato export",
        "Write the model of a run in a form that needs no torch: a folder with graphs, vocabulary, a card that says what goes in "
        "and out, and a small program that runs it.",
    )
    found.add_argument(
        "run", nargs="?", type=str | None, default=None, help="folder of the run; without it, the latest in runs/"
    )
    found.add_argument("--format", type=str, default="onnx", help="onnx for ONNX Runtime and browsers, or c for C99")
    found.add_argument(
        "--output",
        type=str | None,
        default=None,
        help="the folder to write; without it, FORMAT in the folder of the run",
    )
    found.add_argument(
        "--weights",
        type=Literal["int8"] | None,
        default=None,
        help="int8 writes weights in 8 bits, and prints the size and the task's figure on validation data before and after",
    )
    found.add_argument("--force", type=bool, default=False, help="write over an export that is there")
    return found


def main(words: Sequence[str]) -> int:
    """Writes the folder, and prints what is in it."""
    given = parser().read(words)

    from pathlib import Path

    from ostinato.recipes import open_run
    from ostinato.recipes.exporting.formats import find
    from ostinato.recipes.runs import latest_run

    write = find(given.format)
    run = Path(latest_run() if given.run is None else given.run)
    folder = Path(given.output) if given.output is not None else run / given.format
    trained = open_run(run)
    trained.model.eval()
    write(trained, folder, weights=given.weights, force=given.force, say=print)
    return 0
