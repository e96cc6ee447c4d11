"""What a recipe needs around its training: processes, a run folder that nobody else writes to, progress."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from ostinato.errors import RunError
from ostinato.recipes import own_cells, registry
from ostinato.recipes.runs import new_run
from ostinato.recipes.settings import RunSettings
from ostinato.training.distributed.device import make_fabric
from ostinato.training.distributed.launch import launch_name
from ostinato.training.distributed.processes import Processes, told_of_deaths
from ostinato.training.loop.progress import Progress
from ostinato.training.run.run_folder import RunFolder


@dataclass(frozen=True)
class Session:
    """What a recipe holds while it trains.

    Attributes:
        run: the run's folder, locked by the first process.
        processes: those that train together.
        progress: what a person sees.
    """

    run: RunFolder
    processes: Processes
    progress: Progress


@contextmanager
def opened(
    settings: RunSettings, make_progress: Callable[[bool], Progress], lock_name: str | None = None
) -> Iterator[Session]:
    """Sets up everything that must be right before data are read: a wrong setting should not cost minutes.

    Args:
        settings: the settings of the run.
        make_progress: makes the progress display from whether it is to be quiet.
        lock_name: see `RunFolder.locked`; an elastic run has the name of its launch instead.

    Raises:
        OstinatoError: settings or run folder are not right; the message says what to do.
    """
    if settings.run is not None:
        RunFolder(settings.run).check(resume=settings.resume)
    own_cells.check(settings, RunFolder(settings.run).path if settings.resume and settings.run is not None else None)
    fabric = make_fabric(
        settings.device,
        settings.precision,
        devices=1 if settings.elastic else settings.devices,  # the launch of an elastic run says how many there are now
        nodes=settings.nodes,
        strategy=settings.strategy,
    )
    with told_of_deaths(fabric.world_size), ExitStack() as stack:
        processes = Processes(fabric)
        progress = make_progress(settings.quiet or not processes.is_first)
        run = RunFolder(processes.first(lambda: str(settings.run or new_run(settings.task))))
        stack.enter_context(processes.beating())
        name = launch_name() if settings.elastic else lock_name
        processes.first(lambda: stack.enter_context(run.locked(resume=settings.resume, name=name)) and None)
        if processes.is_first:
            stack.enter_context(run.keeping_config(own_cells.FILE, registry.PLACE))
        yield Session(run, processes, progress)
        processes.first(lambda: None)  # none leaves before the first has written all


def for_the_record(settings: RunSettings, run: RunFolder, training: Any, *paths: str) -> dict[str, Any]:
    """The content of `config.yaml`: paths and budget in full, and nothing about this one call.

    Args:
        settings: the settings of the run.
        run: the run's folder.
        training: the group of `settings` with the budget.
        paths: the names of other settings that name files, such as "reading.test".
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
        "elastic": None,
        "max_restarts": 3,
        "quiet": False,
        "resume": False,
        "training": {**recorded["training"], **budget},
    }


def gone_on_with(task: Any, settings: Any) -> Any:
    """The settings of an elastic run, with `resume` if its folder holds the run already: who starts it cannot know.

    Args:
        task: the task, whose `files` name its settings that are files.
        settings: the settings of the run.

    Raises:
        RunError: the folder holds a run of other settings.
    """
    if settings.elastic is None or settings.resume or settings.run is None:
        return settings
    run = RunFolder(settings.run)
    if not run.config_file.exists():
        return settings

    def told(each: Any) -> dict[str, Any]:
        record = json.loads(json.dumps(for_the_record(each, run, each.training, *task.files)))
        return {name: value for name, value in _flat(record) if name not in ("device", "strategy")}

    before, now = told(type(settings).from_dict(run.read_config())), told(settings)
    for name, value in now.items():
        if before.get(name) != value:
            raise RunError(
                f"{run} holds a run with {name} {before.get(name)}, and here it is {value}; add --resume to go on with it "
                "all the same, or choose another --run"
            )
    return dataclasses.replace(settings, resume=True)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _absolute(names: str) -> str:
    """Makes a path absolute; of several files with commas between, as pairs of texts are given, each of them.

    A bare name that is no file is the name of built-in data, and stays as it is.
    """
    if names.isidentifier() and not os.path.exists(names):
        return names
    each = names.split(",")
    if len(each) > 1 and not os.path.exists(names) and all(map(os.path.exists, each)):
        return ",".join(map(os.path.abspath, each))
    return os.path.abspath(names)
