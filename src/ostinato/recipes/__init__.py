"""Recipes, one folder a task: data, model, loss and metric put together."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from ostinato.insight.reasons.question import Reasons
    from ostinato.recipes.reasons.places import AlikePlace
    from ostinato.recipes.settings import RunSettings
    from ostinato.recipes.trained import Trained

__all__ = ["alike", "load", "open_run", "train", "why"]


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


def why(run: Any, data: Any, **how: Any) -> list[Reasons]:
    """Why the model of a run gave its answers, see `ostinato.recipes.reasons.asking.why`.

    Args:
        run: its folder; or what `load` gives of it, but for a language model.
        data: of the kind that `predict` takes.
        **how: `method`, "gradients", "occlusion" or "gates"; `target`, what to ask about; `rows` or `limit`, which examples.

    Returns:
        For each example its `Reasons`.
    """
    from ostinato.recipes.reasons.asking import why as asked

    return asked(run, data, **how)


def alike(run: Any, data: Any, start: int, end: int, **how: Any) -> list[AlikePlace]:
    """Where else the network of a run was in states like those of a range of steps, see `ostinato.recipes.reasons.places.alike`.

    Args:
        run: as for `why`.
        data: where the range is.
        start: its first step, from 0.
        end: the step behind its last.
        **how: `row`, which example; `among`, the corpus; `count`, how many places; `measure`, "cosine" or "threshold".
    """
    from ostinato.recipes.reasons.places import alike as places

    return places(run, data, start, end, **how)
