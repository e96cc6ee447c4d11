"""`ostinato.train`: does what `ostinato train` does, with data in memory and settings by keyword."""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.errors import ConfigError, OstinatoError
from ostinato.extras import needed
from ostinato.recipes.in_python.kept import keep
from ostinato.recipes.registry import Entry, find, name_of, task_of
from ostinato.recipes.runs import new_run
from ostinato.recipes.task import Task
from ostinato.recipes.task_training import train as train_task
from ostinato.recipes.trained import load
from ostinato.training.distributed.launch import is_launched, rank
from ostinato.training.loop.budget import LIMITS
from ostinato.training.run.run_folder import RunFolder

if TYPE_CHECKING:
    from rich.console import Console

KEPT = "data"  # the folder within a run's folder for data that were given in memory


def train(
    task: str,
    data: Any,
    *,
    run: str | os.PathLike[str] | None,
    config: str | os.PathLike[str] | None,
    console: Console | None,
    on_evaluation: Callable[[int, float], bool | None] | None,
    settings: Mapping[str, Any],
) -> Any:
    """Trains as `ostinato.train` documents."""
    entry = find(task)
    made = entry.make()
    given = _nested(settings)
    if run is not None:
        given["run"] = os.fspath(run)
    values = _settings(entry, made, given, data, config)
    if values.get("run") is None and not is_launched():  # several processes agree on a name later
        values["run"] = str(new_run(made.name))
    path = None if values.get("run") is None else Path(values["run"])
    with _in_python(path), _kept(made, path, values):
        told = made.settings.from_dict(values)
        _check_processes(told)
        result = train_task(made, told, console, on_evaluation)
    step = result.outcome.counters.step
    if result.outcome.ending == "interrupted":
        again = f"ostinato.train({name_of(made)!r}, run={str(result.run)!r}, resume=True)"
        raise KeyboardInterrupt(f"interrupted at step {step}; go on with {again}")
    if not told.quiet and rank() == 0:
        importlib.import_module(entry.report).show(result, console)
    return made.loaded(load(made, result.run.path))


def _check_processes(settings: Any) -> None:
    if is_launched():
        return
    remedy = "start the script with torchrun, or use the command `ostinato train`"
    if settings.devices * settings.nodes > 1:
        raise ConfigError(
            f"devices, nodes: expected 1 of each in one Python process, got {settings.devices} and {settings.nodes}; {remedy}"
        )
    if settings.elastic is not None:
        raise ConfigError(f"elastic: one Python process cannot start itself again, got {settings.elastic}; {remedy}")


# --- settings ---


def _settings(
    entry: Entry,
    task: Task[Any, Any, Any, Any],
    given: dict[str, Any],
    data: Any,
    config: str | os.PathLike[str] | None,
) -> dict[str, Any]:
    """Merges settings like the command: those of a resumed run or for the built-in data, a file, and what is given."""
    values: dict[str, Any] = {}
    if given.get("resume"):
        if given.get("run") is None:
            raise ConfigError("resume needs run=FOLDER, the run to go on with")
        folder = RunFolder(given["run"])
        with _in_python(folder.path):
            folder.check(resume=True)
        other = task_of(folder.path)
        if find(other).task != entry.task:
            raise ConfigError(
                f"{folder} is a run of the task {other}, not {task.name}; call ostinato.train({other!r}, ...)"
            )
        values = folder.read_config()
    elif data is None and "data" not in given and entry.built_in_file is not None:
        values = _yaml(entry.built_in_file)
    if any(given.get("training", {}).get(limit) is not None for limit in LIMITS):
        # A limit that is asked for now replaces those of the resumed run or of the built-in data.
        values = _merged(values, {"training": dict.fromkeys(LIMITS)})
    if config is not None:
        from ostinato.recipes.papers import resolve

        values = _merged(values, _yaml(Path(resolve(os.fspath(config)))))
    values = _merged(values, given)
    if data is not None:
        values["data"] = data
    return values


def _yaml(path: Path) -> dict[str, Any]:
    with needed():
        import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({' '.join(str(error).split())}); expected settings by name in YAML"
        ) from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: expected settings by name in YAML, got {type(found).__name__}")
    return {str(name): value for name, value in found.items()}


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with dotted names as nested dicts: `{"model.hidden_size": 64}` is `{"model": {"hidden_size": 64}}`."""
    found: dict[str, Any] = {}
    for name, given in settings.items():
        value: Any = given
        if dataclasses.is_dataclass(given) and not isinstance(given, type):
            value = dataclasses.asdict(given)
        for group in reversed(name.split(".")):
            value = {group: value}
        found = _merged(found, value)
    return found


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(first)
    for name, value in second.items():
        before = found.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping) and name != "data":
            found[name] = _merged(before, value)
        else:  # a copy, as data in memory are replaced by files in it later
            found[name] = dict(value) if isinstance(value, Mapping) and name != "data" else value
    return found


# --- data in memory ---


@contextmanager
def _kept(task: Task[Any, Any, Any, Any], run: Path | None, values: dict[str, Any]) -> Iterator[None]:
    """Replaces data in memory by files in the run's folder; an error before the run begins deletes them again."""
    resume = bool(values.get("resume"))
    if run is not None:
        RunFolder(run).check(resume=resume)
    made: list[Path] = []
    try:
        for place, held, name in _places(task, values):
            value = held[name]
            if isinstance(value, os.PathLike):
                held[name] = os.fspath(value)
                continue
            if resume:
                raise ConfigError(f"{place}: a run that goes on has its data in its folder; leave {place} out")
            if run is None or is_launched():
                raise ConfigError(
                    f"{place}: data in memory are for one process; write them to a file that all of them read"
                )
            folder = run / KEPT
            if not made and folder.exists():
                raise ConfigError(
                    f"{folder}: is there already, and may hold what is not of this run; choose another run="
                )
            made = made or [path for path in (folder, *folder.parents) if not path.exists()]
            try:
                held[name] = str(keep(value, folder, name, task.pair))
            except OSError as error:
                raise ConfigError(
                    f"{folder}: cannot be written ({error.strerror or error}); choose another run="
                ) from error
        yield
    except BaseException:
        if run is not None and made and not RunFolder(run).config_file.exists():
            shutil.rmtree(made[0], ignore_errors=True)
            for each in made[1:]:
                try:
                    each.rmdir()
                except OSError:
                    break
        raise


def _places(task: Task[Any, Any, Any, Any], values: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The settings that name data by anything but a str: full name, group, and name in the group of each."""
    for place in ("data", *task.files):
        *groups, name = place.split(".")
        held: Any = values
        for group in groups:
            held = held.get(group) if isinstance(held, dict) else None
        if isinstance(held, dict) and not (held.get(name) is None or isinstance(held[name], str)):
            yield place, held, name


@contextmanager
def _in_python(run: Path | None) -> Iterator[None]:
    """Rewords errors for Python: settings without dashes, data in memory by their name."""
    try:
        yield
    except OstinatoError as error:
        said = str(error)
        for folder in () if run is None else ((run / KEPT).absolute(), run / KEPT):
            said = said.replace(f"{folder}{os.sep}", "")
        said = re.sub(r"--resume\b", "resume=True", said)
        said = re.sub(r"--(run|data)\b", r"\1=", said)
        error.args = (re.sub(r"--([a-z_]+\.[a-z_]+)", r"\1", said), *error.args[1:])
        raise
