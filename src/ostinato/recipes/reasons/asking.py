"""`ostinato.why`: explains the answers of a run's model, whatever its task."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from ostinato.errors import ConfigError, DataError
from ostinato.insight.reasons.methods import DEFAULT, attribute, check_method
from ostinato.insight.reasons.question import Question, Reasons
from ostinato.models.parts.reading import reading
from ostinato.recipes.registry import task_for
from ostinato.recipes.task import Task
from ostinato.recipes.trained import Trained, load

LIMIT = 10


def why(
    run: str | os.PathLike[str] | Trained[Any, Any, Any, Any],
    data: Any,
    *,
    method: str = DEFAULT,
    target: str | int | None = None,
    rows: Sequence[int] | None = None,
    limit: int = LIMIT,
) -> list[Reasons]:
    """Why the model of a run gave its answers: which steps, channels and words made them.

    Args:
        run: the run's folder; or what `ostinato.load` returned for it, except a language model, which is given by its
            folder.
        data: a file; or data in memory, as `predict` takes them: a frame, a list of texts, arrays; or what the task has
            read from these.
        method: "gradients" (integrated gradients), "occlusion", or "gates" (from step to step through the gates).
        target: what to ask about; None for the answer. For classify: a class. For tag: a step from 0, "7", or "7:NOUN"
            for another tag than the model's. For a language model: the number of a token, from 1. For a translation or
            a caption: the number of one of its tokens, from 0. For a forecast: which step to come, from 1.
        rows: numbers of examples, from 0; None for the first `limit`.
        limit: the number of examples at most, at least 1.

    Returns:
        For each example its `Reasons`.

    Raises:
        DataError: the data cannot be read, or lack an example.
        ConfigError: there is no such method or target.
    """
    return [found for _, found in answered(opened(run), data, method, target=target, rows=rows, limit=limit)]


def answered(
    trained: Trained[Any, Any, Any, Any],
    data: Any,
    method: str,
    *,
    target: str | int | None = None,
    rows: Sequence[int] | None = None,
    limit: int = LIMIT,
) -> Iterator[tuple[Question, Reasons]]:
    """Gives questions and their answers one after the other; for the arguments see `why`."""
    check_method(method)
    for question in asked(trained, data, target=target, rows=rows, limit=limit):
        with reading(trained.model):
            found = attribute(question, method)
        yield question, found


def asked(
    trained: Trained[Any, Any, Any, Any],
    data: Any,
    *,
    target: str | int | None = None,
    rows: Sequence[int] | None = None,
    limit: int = LIMIT,
) -> Iterator[Question]:
    """Gives the questions; for the arguments see `why`."""
    task: Task[Any, Any, Any, Any] = trained.task
    if limit < 1:
        raise ConfigError(f"--limit: expected at least 1 example, got {limit}")
    # Questions about the loss need labels.
    part = trained.part_of(data, labelled=type(task).question is Task.question and not task.no_answers)
    size = task.size(part)
    if not size:
        raise DataError(f"{data if isinstance(data, str) else 'the data'}: expected at least one example, got none")
    if rows is not None and (wrong := [row for row in rows if not 0 <= row < size]):
        raise ConfigError(f"--row {wrong[0]}: expected the number of an example, from 0 to {size - 1}")
    chosen = range(min(limit, size)) if rows is None else rows
    yield from task.questions(trained, part, chosen, None if target is None else str(target))


def opened(run: str | os.PathLike[str] | Trained[Any, Any, Any, Any]) -> Trained[Any, Any, Any, Any]:
    """The trained model in a run's folder; a `Trained` is returned unchanged."""
    return run if isinstance(run, Trained) else load(task_for(run), run)
