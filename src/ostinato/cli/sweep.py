"""`ostinato sweep SPACE.yaml`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.cli.engine import add_flags, check_flags
from ostinato.errors import ConfigError

if TYPE_CHECKING:
    from ostinato.cli.parser import Parser

SWEEPS = Path("sweeps")


def parser() -> Parser:
    """The parser of the command's arguments."""
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
    found.add_argument(
        "--storage",
        type=str | None,
        default=None,
        help="a database that several machines share, such as redis://host:6379/0, postgresql://user:password@host/database or "
        "sqlite:///file: all that run the same command work on one sweep",
    )
    found.add_argument(
        "--study", type=str | None, default=None, help="what the sweep is called there; without it, as its folder"
    )
    found.add_argument(
        "--lease",
        type=float,
        default=60.0,
        help="with --storage, seconds without a sign of life after which another process takes a trial up",
    )
    add_flags(found, "who runs the trials: ray, with many workers")
    return found


def main(words: Sequence[str]) -> int:
    """Searches for good settings. Returns 0, or 130 after an interrupt, from which the sweep can be resumed."""
    given = parser().read(words)
    for name in ("trials", "jobs"):
        value = getattr(given, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name}: expected an integer of at least 1, got {value}")
    if given.resume and given.folder is None:
        raise ConfigError("--resume needs --folder FOLDER, the sweep to go on with")
    if given.space is None and not given.resume:
        raise ConfigError("expected a YAML file that says what to try: ostinato sweep SPACE.yaml")

    check_flags(given)
    if given.engine is not None and given.jobs != 1:
        raise ConfigError("--jobs and --engine: expected one of them; --workers says how many workers Ray has")
    if given.storage is not None and given.folder is None:
        raise ConfigError("--storage needs --folder FOLDER, the same on all machines, or one for each and --study NAME")
    if given.study is not None and given.storage is None:
        raise ConfigError("--study belongs to --storage; give both, or leave it out")

    from ostinato.recipes.sweep.search import read_sweep, sweep
    from ostinato.recipes.sweep.space import read_space
    from ostinato.recipes.sweep.storage import Shared

    folder = Path(given.folder or SWEEPS / time.strftime("%Y%m%d-%H%M%S"))
    space = read_sweep(folder) if given.space is None else read_space(given.space)
    if given.trials is not None:
        space = dataclasses.replace(space, trials=given.trials)
    name = given.study or folder.name
    shared = None if given.storage is None else Shared(given.storage, name, given.lease)
    how: dict[str, Any] = {"resume": given.resume, "shared": shared}
    if given.engine is None:
        ending = sweep(space, folder, jobs=given.jobs, **how)
    else:
        ending = _on_ray(given, lambda elsewhere: sweep(space, folder, elsewhere=elsewhere, **how))

    from ostinato.cli.main import INTERRUPTED
    from ostinato.recipes.sweep.report import report

    if ending == "interrupted":
        # Only the command says where a shared record is, as its password must not be stored in the folder.
        command = f": ostinato sweep --folder {folder} --resume" if shared is None else " the same command"
        print(f"interrupted; go on with{command}")
        return INTERRUPTED
    report(space, folder, shared=shared)
    return 0


def _on_ray(given: Any, run: Callable[[Any], Any]) -> Any:
    """Runs a sweep whose trials are run by workers of Ray."""
    import sys

    from ostinato.recipes.engines.crew import Team
    from ostinato.recipes.engines.on_ray import RayCrew, ray_at
    from ostinato.recipes.sweep.on_engine import Search, Searcher, run_on

    with ray_at(given.address, given.workers) as ray:
        crew = RayCrew(ray, given.workers, "auto")

        def elsewhere(trials: Any, say: Callable[[str], None]) -> Any:
            search = Search(trials.space, str(trials.folder.absolute()), trials.shared, crew.threads)
            team = Team(
                crew.told(Searcher, search), crew.workers, lambda line: print(f"ostinato: {line}", file=sys.stderr)
            )
            return run_on(team, trials, say)

        return run(elsewhere)
