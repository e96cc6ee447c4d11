"""Finding runs, and reading the models in them."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

from ostinato.data.vocabulary import load_vocabulary
from ostinato.errors import ConfigError, RunError
from ostinato.models.language_model import LanguageModel
from ostinato.recipes.registry import LANGUAGE_MODEL, task_of
from ostinato.recipes.settings import LanguageModelSettings
from ostinato.training.run_folder import RunFolder

RUNS = Path("runs")


def new_run(task: str = "lm") -> Path:
    """A folder in runs/ that is not there yet, named after the task and the time."""
    stem = RUNS / time.strftime(f"{task}-%Y%m%d-%H%M%S")
    path, number = stem, 2
    while path.exists():
        path, number = Path(f"{stem}-{number}"), number + 1
    return path


def latest_run(task: str | None = None) -> Path:
    """The run in runs/ that began or was resumed last.

    Args:
        task: look at runs of this task only; None for any.

    Raises:
        RunError: there is none.
    """
    configs = sorted(RUNS.glob("*/config.yaml"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in configs:
        if task is None or task_of(file.parent) == task:
            return file.parent
    wanted = task or "lm"
    raise RunError(f"no run in {RUNS}/ here; name its folder, or make one with `ostinato train {wanted}`")


def read_settings(run: RunFolder) -> LanguageModelSettings:
    """The settings that a run was made with.

    Raises:
        RunError: there is no run, or its settings cannot be read.
    """
    config = run.read_config()
    if (task := config.get("task", LANGUAGE_MODEL)) != LANGUAGE_MODEL:
        raise RunError(
            f"{run} is a run of the task {task}, not a language model; see `ostinato predict` and `evaluate`"
        )
    try:
        return LanguageModelSettings.from_dict(config)
    except (ConfigError, TypeError) as error:
        raise RunError(f"{run.config_file} is damaged, or of another version of ostinato: {error}") from error


def build_model(settings: LanguageModelSettings, vocabulary) -> LanguageModel:
    """The untrained model of `settings`."""
    # The fields of ModelSettings are the model's arguments, by name.
    given = {each.name: getattr(settings.model, each.name) for each in dataclasses.fields(settings.model)}
    return LanguageModel(vocabulary, **given)


def load_model(path: str | os.PathLike[str]) -> LanguageModel:
    """See `ostinato.recipes.load`."""
    run = RunFolder(path)
    settings = read_settings(run)
    vocabulary = load_vocabulary(run.path)
    return run.load_model(lambda: build_model(settings, vocabulary))
