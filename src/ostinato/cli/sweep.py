"""`ostinato sweep SPACE.yaml`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.errors import ConfigError

if TYPE_CHECKING:
    from ostinato.cli.parser import Parser

SWEEPS = Path("sweeps")


def parser() -> Parser:
    """What the command takes."""
    from ostinato.cli.parser import Parser

    found = Parser("ostinato sweep", "Search for good settings of a task with many runs.")
    found.add_argument("space", nargs="?", type=str | None, default=None, help="a YAML file that says what to try")
    found.add_argument(
        "--folder", type=str | None, default=None, help="the folder to write; without it, a new one in sweeps/"
    )
    found.add_argument(
        "--trials", type=int | None, default=None, help="how many runs in all; without it, what the file says"
    )
    found.add_argument("--jobs", type=int, default=1, help="how many runs at once")
    found.add_argument("--resume", type=bool, default=False, help="go on with the sweep in the folder")
    return found


def main(words: Sequence[str]) -> int:
    """Searches for good settings. Returns 0, or 130 after an interrupt that left a sweep to resume."""
    given = parser().read(words)
    for name in ("trials", "jobs"):
        value = getattr(given, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name}: expected an integer of at least 1, got {value}")
    if given.resume and given.folder is None:
        raise ConfigError("--resume needs --folder FOLDER, the sweep to go on with")
    if given.space is None and not given.resume:
        raise ConfigError("expected a YAML file that says what to try: ostinato sweep SPACE.yaml")

    from ostinato.recipes.sweep.search import read_sweep, sweep
    from ostinato.recipes.sweep.space import read_space

    folder = Path(given.folder or SWEEPS / time.strftime("%Y%m%d-%H%M%S"))
    space = read_sweep(folder) if given.space is None else read_space(given.space)
    if given.trials is not None:
        space = dataclasses.replace(space, trials=given.trials)
    ending = sweep(space, folder, jobs=given.jobs, resume=given.resume)

    from ostinato.cli.main import INTERRUPTED
    from ostinato.recipes.sweep.report import report

    if ending == "interrupted":
        print(f"interrupted; go on with: ostinato sweep --folder {folder} --resume")
        return INTERRUPTED
    report(space, folder)
    return 0
