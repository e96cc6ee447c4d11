"""Recipes, one folder a task: data, model, loss and metric put together."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from ostinato.recipes.settings import RunSettings
    from ostinato.recipes.trained import Trained

__all__ = ["load", "open_run", "train"]


def train(
    settings: RunSettings,
    console: Console | None = None,
    on_evaluation: Callable[[int, float], bool | None] | None = None,
) -> Any:
    """Trains the model of any task, or goes on training it.

    Args:
        settings: of the task, such as `LanguageModelSettings` or `ClassifySettings`.
        console: where progress goes; standard output by default.
        on_evaluation: called after each evaluation with the step and what is minimised; True ends the run there.

    Returns:
        Of a language model a `lm.result.Result`; of any other task a `task_training.TaskResult`.

    Raises:
        OstinatoError: settings, data or run folder are not right, or the loss diverged; the message says what to do.
    """
    from ostinato.recipes.registry import find
    from ostinato.recipes.task_training import train as train_task

    return train_task(find(settings.task).make(), settings, console, on_evaluation)


def load(run: str | os.PathLike[str]) -> Any:
    """What a run has learnt, on the CPU, in evaluation mode, with the weights that were best on the validation data.

    Args:
        run: the folder of the run.

    Returns:
        Of a language model the `LanguageModel`; of any other task a `Trained`, which predicts, is evaluated and holds the model.

    Raises:
        RunError: there is no run, or a file of it is missing or damaged.
    """
    found = open_run(run)
    return found.task.loaded(found)


def open_run(run: str | os.PathLike[str]) -> Trained[Any, Any, Any, Any]:
    """The same as a `Trained`, of a language model too.

    Args:
        run: the folder of the run.

    Raises:
        RunError: there is no run, or a file of it is missing or damaged.
    """
    from ostinato.recipes.registry import task_for
    from ostinato.recipes.trained import load as load_task

    return load_task(task_for(run), run)
