"""Recipes, one file a task: data, model, loss and metric put together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ostinato.models.language_model import LanguageModel

__all__ = ["load"]


def load(run: str | os.PathLike[str]) -> LanguageModel:
    """The model of a run, on the CPU, in evaluation mode, with the weights that were best on the validation text.

    Args:
        run: the folder of the run.

    Raises:
        RunError: there is no run, or a file of it is missing or damaged.
    """
    from ostinato.recipes.runs import load_model

    return load_model(run)
