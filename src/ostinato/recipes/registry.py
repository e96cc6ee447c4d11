"""The tasks by name. Loading this loads none of them: `ostinato train` lists them at once.

A task of one's own is registered by `register`, or, so that the command line knows it too, by the package that it is in, under
`[project.entry-points."ostinato.tasks"]`. One that is not registered is named by its place, `my_package.my_module:MyTask`.
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

GROUP = "ostinato.tasks"  # of entry points
PLACE = "task.json"  # in the folder of a run, of a task of one's own: where its class is
DEFAULT = "lm"  # what runs and sweeps are of that say nothing: those of versions that knew only one


@dataclass(frozen=True)
class Entry:
    """A task.

    Attributes:
        summary: what it is, in a line.
        settings: "module:class" of its settings.
        task: "module:class" of the task.
        built_in: a file of settings, in this folder or below, for the built-in data; None where the defaults suit them.
        report: the module that shows a result: `show(result)`, `resume_command(result)`, `show_scores(task, run, scores)`.
        inspection: the module that `ostinato inspect` looks at a run with: `inspected(path, data, folder)` and `SECTIONS`.
        example_config: a configuration that ships, for the help of the command line.
        example_data: a name that data of one's own may have, for its help too.
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
        """Loads the settings, which need no torch."""
        return places.load(self.settings, "class")

    @property
    def built_in_file(self) -> Path | None:
        """The settings for the built-in data, where they are not the defaults."""
        return None if self.built_in is None else Path(__file__).parent / self.built_in

    def built_in_settings(self, **changes: Any) -> Any:
        """The settings for the built-in data, with others changed by name, such as `run`."""
        with needed():
            import yaml

        file = self.built_in_file
        given = {} if file is None else yaml.safe_load(file.read_text(encoding="utf-8"))
        return self.settings_class().from_dict({**given, **changes})

    def make(self) -> Task[Any, Any, Any, Any]:
        """Loads the task.

        Raises:
            ConfigError: it cannot be made.
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
    """Makes a task known by its name, in this process; a decorator of its class.

    Args:
        task: its docstring's first line is its summary.

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
    """What the registry holds of a class of one's own.

    Raises:
        ConfigError: it is no task, or has no name or no settings.
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
    """What the command line finds a task by: its name, or where that finds none or another, its place."""
    known, place = tasks().get(task.name), _place_of(type(task))
    return task.name if known is not None and known.task == place else place


def task_of(run: str | os.PathLike[str]) -> str:
    """The name of the task of a run, or where no name finds it its place, as its config.yaml says.

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
    """Writes into the folder of a run where the class of its task is, unless it is one of this package, which its name finds."""
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
    """The task that a class is.

    Raises:
        ConfigError: there is no such class, or it is no task.
    """
    return entry_of(places.load_from_here(place, "class"))


@functools.cache
def _installed() -> Mapping[str, Entry]:
    """The tasks of other packages. Each entry point gives an `Entry`, which loads nothing else, or the class of a task.

    One with the name of a built-in task does not take its place.
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
    except ConfigError as error:  # whatever another package does must not take the other tasks away
        return Entry(f"cannot be loaded: {error}", point.value, point.value)


def _place_of(kind: type[Any]) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"
