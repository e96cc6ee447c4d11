"""Recipes, one file a task: data, model, loss and metric put together."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["load"]


def load(run: str | os.PathLike[str]) -> Any:
    """What a run has learnt, on the CPU, in evaluation mode, with the weights that were best on the validation data.

    Args:
        run: the folder of the run.

    Returns:
        Of a language model the `LanguageModel`; of any other task a `Trained`, which predicts, is evaluated and holds the model.

    Raises:
        RunError: there is no run, or a file of it is missing or damaged.
    """
    from ostinato.recipes.registry import LANGUAGE_MODEL, TASKS, task_of

    name = task_of(run)
    if name == LANGUAGE_MODEL:
        from ostinato.recipes.runs import load_model

        return load_model(run)
    from ostinato.recipes.task import load as load_task

    return load_task(TASKS[name].make(), run)
