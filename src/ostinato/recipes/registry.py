"""The tasks by name. Loading this module loads no task: `ostinato train` lists them without a delay.

A task of one's own is registered by `register`; so that the command line knows it too, its package names it under
`[project.entry-points."ostinato.tasks"]`. A task that is not registered is named by its place,
`my_package.my_module:MyTask`.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato import places
from ostinato.data.sources.plain_file import read_plain
from ostinato.errors import ConfigError, RunError, did_you_mean
from ostinato.extras import needed

if TYPE_CHECKING:
    from ostinato.recipes.task import Task

GROUP = "ostinato.tasks"  # the group of entry points
PLACE = "task.json"  # in the folder of a run whose task is not Ostinato's own: where the task's class is
DEFAULT = "lm"  # the task of runs and sweeps that name none: they are of versions that knew only this one


@dataclass(frozen=True)
class Entry:
    """A task, as the registry knows it.

    Attributes:
        summary: what the task does, in a line.
        settings: "module:class" of its settings.
        task: "module:class" of the task.
        built_in: a file of settings for the built-in data, in this folder or below; None if the defaults suit them.
        report: the module that shows a result: `show(result)`, `resume_command(result)`, `show_scores(task, run,
            scores)`.
        inspection: the module with which `ostinato inspect` looks at a run: `inspected(path, data, folder)` and
            `SECTIONS`.
        example_config: a configuration that ships, for the help of the command line.
        example_data: a name that a user's data may have, for the help of the command line.
    """

    summary: str
    settings: str
    task: str
    built_in: str | None = None
    report: str = "ostinato.recipes.task_report"
    inspection: str = "ostinato.recipes.inspection.task"
    example_config: str | None = None
    example_data: str = "FILE"

    def settings_class(self) -> type[Any]:
        """Loads the class of the settings, which needs no torch."""
        return places.load(self.settings, "class")

    @property
    def built_in_file(self) -> Path | None:
        """The file of settings for the built-in data; None if the defaults suit them."""
        return None if self.built_in is None else Path(__file__).parent / self.built_in

    def built_in_settings(self, **changes: Any) -> Any:
        """The settings for the built-in data, with `changes` by name, such as `run`."""
        with needed():
            import yaml

        file = self.built_in_file
        given = {} if file is None else yaml.safe_load(file.read_text(encoding="utf-8"))
        return self.settings_class().from_dict({**given, **changes})

    def make(self) -> Task[Any, Any, Any, Any]:
        """Loads the task.

        Raises:
            ConfigError: the class is not there, or the task cannot be made.
        """
        kind = places.load(self.task, "class")
        try:
            return kind()
        except TypeError as error:  # methods are missing, or it wants arguments
            raise ConfigError(f"{self.task}: expected a task that can be made without arguments; {error}") from error


TASKS: dict[str, Entry] = {
    "lm": Entry(
        "predict how a text goes on: characters, bytes, words or byte pairs; built in: Python's standard library",
        "ostinato.recipes.lm.settings:LanguageModelSettings",
        "ostinato.recipes.lm.task:LanguageModelling",
        report="ostinato.recipes.lm.report",
        inspection="ostinato.recipes.lm.sections",
        example_config="zaremba-small",
        example_data="notes.txt",
    ),
    "classify": Entry(
        "give a sequence a class, a number or labels: texts, images, recordings of sensors; built in: handwritten digits",
        "ostinato.recipes.classify.settings:ClassifySettings",
        "ostinato.recipes.classify.task:Classify",
        example_data="reviews.csv",
    ),
    "tag": Entry(
        "give every step a tag: words, source code, recordings of sensors; built in: a highlighter of Python",
        "ostinato.recipes.tag.settings:TagSettings",
        "ostinato.recipes.tag.task:Tag",
        "tag/python.yaml",
        example_data="words.conllu",
    ),
    "transcribe": Entry(
        "write down what a longer sequence says: pictures of lines, speech, strokes; built in: drawn lines",
        "ostinato.recipes.transcribe.settings:TranscribeSettings",
        "ostinato.recipes.transcribe.task:Transcribe",
        example_data="lines/",
    ),
    "caption": Entry(
        "describe an image in words; built in: handwritten digits",
        "ostinato.recipes.caption.settings:CaptionSettings",
        "ostinato.recipes.caption.task:Caption",
        example_data="pictures.jsonl",
    ),
    "translate": Entry(
        "turn a text into another text; built in: dates in many languages to ISO 8601",
        "ostinato.recipes.translate.settings:TranslateSettings",
        "ostinato.recipes.translate.task:Translate",
        "translate/dates.yaml",
        example_data="pairs.tsv",
    ),
    "forecast": Entry(
        "forecast series, with intervals; built in: carbon dioxide in the air",
        "ostinato.recipes.forecast.settings:ForecastSettings",
        "ostinato.recipes.forecast.task:Forecast",
        example_data="sales.csv",
    ),
}
_BUILT_IN = frozenset(TASKS)


def register(task: type[Task[Any, Any, Any, Any]]) -> type[Task[Any, Any, Any, Any]]:
    """Makes a task known by its name in this process; can be used as a decorator of its class.

    Args:
        task: the class; the first line of its docstring is the summary.

    Raises:
        ConfigError: another task has this name already.
    """
    entry, name = entry_of(task), task.name
    before = tasks().get(name)
    if before is not None and before.task != entry.task:
        raise ConfigError(f"a task {name} is registered already, {before.task}; give {entry.task} another name")
    TASKS[name] = entry
    return task


def entry_of(task: type[Task[Any, Any, Any, Any]]) -> Entry:
    """Makes the registry's entry for a class of one's own.

    Raises:
        ConfigError: the class is no task, or has no name or no settings.
    """
    from ostinato.recipes.settings import TaskSettings
    from ostinato.recipes.task import Task

    if not (isinstance(task, type) and issubclass(task, Task)):
        raise ConfigError(f"expected a class made from ostinato.recipes.task.Task, got {task!r}")
    name, settings = getattr(task, "name", None), getattr(task, "settings", None)
    if not isinstance(name, str) or not name:
        raise ConfigError(f'{_place_of(task)}: expected a name, such as name = "mine", got {name!r}')
    if not (isinstance(settings, type) and issubclass(settings, TaskSettings)):
        raise ConfigError(
            f"{_place_of(task)}: expected settings, a data class made from ostinato.recipes.settings.TaskSettings, got {settings!r}"
        )
    summary = (task.__doc__ or name).strip().partition("\n")[0].removesuffix(".")
    return Entry(summary[:1].lower() + summary[1:], _place_of(task.settings), _place_of(task))


def tasks() -> Mapping[str, Entry]:
    """All tasks that have a name: those of this package, those of others that are installed, and those that were registered."""
    return {**_installed(), **TASKS}


def find(name: str) -> Entry:
    """The task with a name, or with a place, "module:class".

    Raises:
        ConfigError: there is none; the message lists those that have a name.
    """
    known = tasks()
    if name in known:
        return known[name]
    if ":" in name:
        return _entry_at(name)
    hint = did_you_mean(name, known)
    raise ConfigError(f"unknown task {name}{hint} Expected one of {', '.join(known)}: ostinato train lm")


def name_of(task: Task[Any, Any, Any, Any]) -> str:
    """The name by which the command line finds a task; if it finds none or another one, the place "module:class"."""
    known, place = tasks().get(task.name), _place_of(type(task))
    return task.name if known is not None and known.task == place else place


def task_of(run: str | os.PathLike[str]) -> str:
    """The name of the task of a run, from the run's folder; its place "module:class" if no name finds the task.

    Raises:
        RunError: there is no run, or its task is unknown.
    """
    from ostinato.training.run.run_folder import RunFolder

    folder = RunFolder(run)
    name = folder.read_config().get("task", DEFAULT)
    known = tasks()
    place = _place_in(folder.path)
    if place is not None:
        return next((name for name, entry in known.items() if entry.task == place), place)
    if not isinstance(name, str) or name not in known:
        raise RunError(f"{folder.config_file}: expected a task of {', '.join(known)}, got {name}; a newer ostinato?")
    return name


def task_for(run: str | os.PathLike[str]) -> Task[Any, Any, Any, Any]:
    """The task of a run.

    Raises:
        RunError: there is no run, or its task is unknown or cannot be loaded.
    """
    name = task_of(run)
    try:
        return find(name).make()
    except ConfigError as error:
        raise RunError(f"{run} is a run of the task {name}, which cannot be loaded: {error}") from error


def record(task: Task[Any, Any, Any, Any], folder: Path) -> None:
    """Writes the place of a task's class into a run's folder, unless the task is Ostinato's own."""
    from ostinato.training.run.files import write_json

    place = _place_of(type(task))
    if task.name not in _BUILT_IN or TASKS[task.name].task != place:
        write_json(folder / PLACE, {"class": place})


def _place_in(folder: Path) -> str | None:
    file = folder / PLACE
    if not file.exists():
        return None
    try:
        place = json.loads(read_plain(file))["class"]
        if not isinstance(place, str) or ":" not in place:
            raise ValueError(f"expected module:class, got {place!r}")
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise RunError(f"{file} is damaged: {' '.join(str(error).split())}") from error
    return place


def _entry_at(place: str) -> Entry:
    """Makes the entry of the task whose class is at a place.

    Raises:
        ConfigError: there is no such class, or it is no task.
    """
    return entry_of(places.load_from_here(place, "class"))


@functools.cache
def _installed() -> Mapping[str, Entry]:
    """The tasks of other installed packages.

    An entry point names an `Entry`, which loads nothing else, or the class of a task. A task with the name of a
    built-in task does not replace it.
    """
    found: dict[str, Entry] = {}
    for point in metadata.entry_points(group=GROUP):
        if point.name not in _BUILT_IN:
            found[point.name] = _of_point(point)
    return found


def _of_point(point: metadata.EntryPoint) -> Entry:
    try:
        given = places.load(point.value, "class")
        return given if isinstance(given, Entry) else entry_of(given)
    except ConfigError as error:  # a fault in another package must not hide the other tasks
        return Entry(f"cannot be loaded: {error}", point.value, point.value)


def _place_of(kind: type[Any]) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"
