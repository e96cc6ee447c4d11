"""The tasks by name. Loading this loads none of them: `ostinato train` lists them at once."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
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
        built_in: a file of settings, in this folder or below, for the built-in data; None where the defaults suit them.
    """

    summary: str
    settings: str
    task: str | None = None
    built_in: str | None = None

    def settings_class(self) -> type[Any]:
        """Loads the settings, which need no torch."""
        return _load(self.settings)

    @property
    def built_in_file(self) -> Path | None:
        """The settings for the built-in data, where they are not the defaults."""
        return None if self.built_in is None else Path(__file__).parent / self.built_in

    def built_in_settings(self, **changes: Any) -> Any:
        """The settings for the built-in data, with others changed by name, such as `run`."""
        import yaml

        file = self.built_in_file
        given = {} if file is None else yaml.safe_load(file.read_text(encoding="utf-8"))
        return self.settings_class().from_dict({**given, **changes})

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
        "ostinato.recipes.classify.settings:ClassifySettings",
        "ostinato.recipes.classify.task:Classify",
    ),
    "tag": Entry(
        "a tag for every step: words of sentences, or characters of source code; built in: a highlighter of Python",
        "ostinato.recipes.tag.settings:TagSettings",
        "ostinato.recipes.tag.task:Tag",
        "tag/python.yaml",
    ),
    "caption": Entry(
        "a text for an image, with attention over it; built in: handwritten digits, in words",
        "ostinato.recipes.caption.settings:CaptionSettings",
        "ostinato.recipes.caption.task:Caption",
    ),
    "translate": Entry(
        "a text for a text: encoder, attention, decoder, beam search; built in: dates in many languages to ISO 8601",
        "ostinato.recipes.translate.settings:TranslateSettings",
        "ostinato.recipes.translate.task:Translate",
        "translate/dates.yaml",
    ),
    "forecast": Entry(
        "the future of series, with intervals: one or many, with covariates and gaps; built in: carbon dioxide in the air",
        "ostinato.recipes.forecast.settings:ForecastSettings",
        "ostinato.recipes.forecast.task:Forecast",
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
    if not isinstance(name, str) or name not in TASKS:
        raise RunError(f"{folder.config_file}: expected a task of {', '.join(TASKS)}, got {name}; a newer ostinato?")
    return name


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
