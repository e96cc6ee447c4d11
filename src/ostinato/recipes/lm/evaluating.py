"""Scoring a run on a text, in one call."""

from __future__ import annotations

import os

from ostinato.recipes.lm.adaptation import CacheSettings, DynamicSettings
from ostinato.recipes.lm.figures import Figures
from ostinato.recipes.lm.task import LanguageModelling
from ostinato.recipes.trained import load


def evaluate_run(
    path: str | os.PathLike[str],
    data: str | None = None,
    *,
    max_tokens: int | None = None,
    device: str = "auto",
    adaptation: CacheSettings | DynamicSettings | None = None,
) -> tuple[str, Figures]:
    """Scores the model of a run on a text.

    Args:
        path: the folder of the run.
        data: a file, a folder, a glob or a URL. Data with parts are scored on the test part, or on the validation part
            if there is no test; other data are scored as a whole. None for the run's own test text, or for its
            validation text if there is no test text.
        max_tokens: see `Scoring`.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        adaptation: see `Scoring`.

    Returns:
        The name of the text, and the figures.

    Raises:
        OstinatoError: the run or the text cannot be read.
    """
    trained = load(LanguageModelling(), path).to(device)
    scores, judge = trained.answer_with({"max_tokens": max_tokens, "adaptation": adaptation}).evaluate(data)
    return scores.data, judge.found  # pyright: ignore[reportAttributeAccessIssue]
