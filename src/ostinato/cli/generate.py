"""`ostinato generate RUN`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ostinato.errors import ConfigError, RunError

if TYPE_CHECKING:
    from ostinato.cli.parser import Parser


def parser() -> Parser:
    """The parser of the command's arguments."""
    from ostinato.cli.parser import Parser

    found = Parser("ostinato generate", "Write text with the language model of a run.")
    found.add_argument(
        "run", nargs="?", type=str | None, default=None, help="folder of the run; without it, the latest in runs/"
    )
    found.add_argument("--prompt", type=str, default="", help="the text that the model goes on from")
    found.add_argument("--length", type=int, default=500, help="how many tokens to write")
    found.add_argument(
        "--temperature", type=float, default=0.8, help="how bold to draw: 0 takes the likeliest token, above 1 is wild"
    )
    found.add_argument("--top-k", type=int | None, default=None, help="draw from so many likeliest tokens only")
    found.add_argument(
        "--top-p",
        type=float | None,
        default=None,
        help="draw from the likeliest tokens that have this share together, up to 1",
    )
    found.add_argument("--seed", type=int | None, default=None, help="the same seed writes the same text")
    return found


def main(words: Sequence[str]) -> int:
    """Writes text to standard output while the model makes it."""
    given = parser().read(words)
    if given.seed is not None and not -(2**63) <= given.seed < 2**64:
        raise ConfigError(f"--seed: expected an integer from -2^63 to 2^64 - 1, as torch takes, got {given.seed}")

    from ostinato.cli.closing import tell_next
    from ostinato.recipes.lm.task import LanguageModelling
    from ostinato.recipes.registry import task_of
    from ostinato.recipes.runs import latest_run
    from ostinato.recipes.trained import load

    task = LanguageModelling()
    run = latest_run(task.name) if given.run is None else given.run
    if (other := task_of(run)) != task.name:
        raise RunError(
            f"{run} is a run of the task {other}, not a language model; see `ostinato predict` and `evaluate`"
        )
    model = load(task, run).model
    pieces = model.stream(
        given.prompt,
        given.length,
        temperature=given.temperature,
        top_k=given.top_k,
        top_p=given.top_p,
        seed=given.seed,
    )
    sys.stdout.write(given.prompt)
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")
    sys.stdout.flush()
    tell_next(
        {
            "see inside": ["ostinato", "inspect", str(run)],
            "serve it": ["ostinato", "serve", str(run)],
        }
    )
    return 0
