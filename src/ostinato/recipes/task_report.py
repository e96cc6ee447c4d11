"""What a person sees when a run of a task is done, or evaluated."""

from __future__ import annotations

import dataclasses
import json
import shlex
from typing import Any

from rich.console import Console
from rich.table import Table

from ostinato.errors import OstinatoError
from ostinato.recipes.task import Task
from ostinato.recipes.task_training import TaskResult, without_nan
from ostinato.recipes.trained import Scores
from ostinato.training.console import standard_output
from ostinato.training.progress import ExampleProgress


def resume_command(result: TaskResult) -> str:
    """The command that goes on with a run."""
    return shlex.join(["ostinato", "train", result.task.name, "--run", str(result.run), "--resume"])


def show(result: TaskResult, console: Console | None = None) -> None:
    """Prints the figures and what can be done next."""
    console = console or standard_output()
    if not result.scores:
        return
    table = Table()
    table.add_column("")
    for part in result.scores:
        table.add_column(part, justify="right")
    columns = [_cells(result.task, scores) for scores in result.scores.values()]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    console.print(table)
    for scores in result.scores.values():
        _say_warnings(scores, console)
    run = shlex.quote(str(result.run))
    console.print(f"run folder    {run}", soft_wrap=True)
    for picture in result.pictures:
        console.print(f"picture       {picture}", soft_wrap=True)
    console.print(f"use it        ostinato predict {run} INPUT", soft_wrap=True)
    console.print(f"score data    ostinato evaluate {run} DATA", soft_wrap=True)


def show_scores(task: Task[Any, Any, Any, Any], run: str, scores: Scores, console: Console | None = None) -> None:
    """Prints how good a run is on some data, a figure a line."""
    console = console or standard_output()
    console.print(f"{run} on {scores.data}", soft_wrap=True, markup=False)
    for name, cell in _cells(task, scores).items():
        console.print(f"{cell} {name}")
    _say_warnings(scores, console)


def write_scores(path: str, scores: Scores) -> None:
    """Writes all of it as JSON.

    Raises:
        OstinatoError: it cannot be written.
    """
    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(without_nan(dataclasses.asdict(scores)), file, ensure_ascii=False, indent=1)
    except OSError as error:
        raise OstinatoError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error


def _cells(task: Task[Any, Any, Any, Any], scores: Scores) -> dict[str, str]:
    numbers = ExampleProgress(task.item, task.percentages, quiet=True)
    return {
        **{name.replace("_", " "): numbers.number(name, value) for name, value in scores.figures.items()},
        f"nats/{task.item}": f"{scores.loss:.4f}",
        "examples": f"{scores.examples:,}",
    }


def _say_warnings(scores: Scores, console: Console) -> None:
    for line in scores.warnings:
        console.print(f"{scores.data}: {line}", soft_wrap=True, markup=False)
