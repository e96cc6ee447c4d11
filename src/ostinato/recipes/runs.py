"""Naming new runs, and finding the latest."""

from __future__ import annotations

import time
from pathlib import Path

from ostinato.errors import RunError
from ostinato.recipes.registry import DEFAULT, task_of

RUNS = Path("runs")


def new_run(task: str = DEFAULT) -> Path:
    """A folder in runs/ that does not exist yet, named after the task and the time."""
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
        RunError: there is no run.
    """
    configs = sorted(RUNS.glob("*/config.yaml"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in configs:
        if task is None or task_of(file.parent) == task:
            return file.parent
    wanted = task or DEFAULT
    raise RunError(f"no run in {RUNS}/ here; name its folder, or make one with `ostinato train {wanted}`")
