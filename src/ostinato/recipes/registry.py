"""The tasks by name. Loading this loads none of them: `ostinato train` lists them at once."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ostinato.errors import ConfigError, RunError, did_you_mean

if TYPE_CHECKING:
    from ostinato.recipes.task import Task

LANGUAGE_MODEL = "lm"


@dataclass(frozen=True)
class Entry:
    """A task.

    Attributes:
        summary: what it is, in a line.
        settings: "module:class" of its settings.
        task: "module:class" of the task; None for the language model, which learns from one long text and not from examples.
    """

    summary: str
    settings: str
    task: str | None = None

    def settings_class(self) -> type[Any]:
        """Loads the settings, which need no torch."""
        return _load(self.settings)

    def make(self) -> Task[Any, Any, Any, Any]:
        """Loads the task."""
        assert self.task is not None
        return _load(self.task)()


TASKS = {
    LANGUAGE_MODEL: Entry(
        "a recurrent language model: characters, bytes, words or byte pairs",
        "ostinato.recipes.settings:LanguageModelSettings",
    ),
    "classify": Entry(
        "a class for a sequence: texts, or images row by row; built in: handwritten digits",
        "ostinato.recipes.classify_settings:ClassifySettings",
        "ostinato.recipes.classify:Classify",
    ),
}


def find(name: str) -> Entry:
    """The task with a name.

    Raises:
        ConfigError: there is none; the message lists them.
    """
    if name not in TASKS:
        hint = did_you_mean(name, TASKS)
        raise ConfigError(f"{name} is no recipe{hint} Expected one of {', '.join(TASKS)}: ostinato train lm")
    return TASKS[name]


def task_of(run: str | os.PathLike[str]) -> str:
    """The name of the task of a run, as its config.yaml says; runs of versions that knew only one say nothing.

    Raises:
        RunError: there is no run, or its task is unknown.
    """
    from ostinato.training.run_folder import RunFolder

    folder = RunFolder(run)
    name = folder.read_config().get("task", LANGUAGE_MODEL)
    if name not in TASKS:
        raise RunError(f"{folder.config_file}: expected a task of {', '.join(TASKS)}, got {name}; a newer ostinato?")
    return name


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
