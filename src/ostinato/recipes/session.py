"""What a recipe needs around its training: processes, a run folder that nobody else writes to, progress."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from ostinato.recipes import own_cells
from ostinato.recipes.runs import new_run
from ostinato.recipes.settings import RunSettings
from ostinato.training.distributed.device import make_fabric
from ostinato.training.distributed.processes import Processes, told_of_deaths
from ostinato.training.loop.progress import Progress
from ostinato.training.run.run_folder import RunFolder


@dataclass(frozen=True)
class Session:
    """What is held while a recipe trains.

    Attributes:
        run: the folder, locked by the first process.
        processes: those that train together.
        progress: what a person sees.
    """

    run: RunFolder
    processes: Processes
    progress: Progress


@contextmanager
def opened(settings: RunSettings, make_progress: Callable[[bool], Progress]) -> Iterator[Session]:
    """Everything that must be right before data are read: a slip of the pen should not cost minutes.

    Args:
        settings: of the run.
        make_progress: from whether it is to be quiet.

    Raises:
        OstinatoError: settings or run folder are not right; the message says what to do.
    """
    if settings.run is not None:
        RunFolder(settings.run).check(resume=settings.resume)
    own_cells.check(settings, RunFolder(settings.run).path if settings.resume and settings.run is not None else None)
    fabric = make_fabric(
        settings.device,
        settings.precision,
        devices=settings.devices,
        nodes=settings.nodes,
        strategy=settings.strategy,
    )
    with told_of_deaths(fabric.world_size), ExitStack() as stack:
        processes = Processes(fabric)
        progress = make_progress(settings.quiet or not processes.is_first)
        run = RunFolder(processes.first(lambda: str(settings.run or new_run(settings.task))))
        processes.first(lambda: stack.enter_context(run.locked(resume=settings.resume)) and None)
        if processes.is_first:
            stack.enter_context(run.keeping_config())
        yield Session(run, processes, progress)


def for_the_record(settings: RunSettings, run: RunFolder, training: Any, *paths: str) -> dict[str, Any]:
    """What `config.yaml` says: paths and budget spelled out, and nothing about this one call.

    Args:
        settings: of the run.
        run: the folder.
        training: the group of `settings` with the budget.
        paths: names of other settings, such as "reading.test", that name files.
    """
    budget = dataclasses.asdict(training.budget)
    recorded = dataclasses.asdict(settings)
    for path in ("data", *paths):
        *groups, name = path.split(".")
        held = recorded
        for group in groups:
            held = held[group]
        if held[name] is not None and "://" not in held[name]:
            held[name] = _absolute(held[name])
    return {
        **recorded,
        "run": str(run),
        "devices": 1,
        "nodes": 1,
        "quiet": False,
        "resume": False,
        "training": {**recorded["training"], **budget},
    }


def _absolute(names: str) -> str:
    """A path from the root; of several files with commas between, as pairs of texts are given, each of them.

    What was read by a bare name and is no file is the name of built-in data, and stays that.
    """
    if names.isidentifier() and not os.path.exists(names):
        return names
    each = names.split(",")
    if len(each) > 1 and not os.path.exists(names) and all(map(os.path.exists, each)):
        return ",".join(map(os.path.abspath, each))
    return os.path.abspath(names)
