"""What a person sees when a run of a task is done, or evaluated."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from ostinato.errors import OstinatoError
from ostinato.recipes.registry import name_of
from ostinato.recipes.task import Task
from ostinato.recipes.task_training import TaskResult, without_nan
from ostinato.recipes.trained import Scores
from ostinato.training.loop.console import say_labelled, standard_output
from ostinato.training.loop.progress import ExampleProgress


def resume_command(result: TaskResult) -> str:
    """The command that goes on with a run."""
    return shlex.join(["ostinato", "train", name_of(result.task), "--run", str(result.run), "--resume"])


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
    part, last = list(result.scores.items())[-1]
    for name, figures in last.baselines.items():
        table.add_column(f"{name}, {part}", justify="right")
        columns.append(_cells(result.task, last, figures))
    for name in columns[0]:
        table.add_row(name, *(column.get(name, "") for column in columns))
    console.print(table)
    for scores in result.scores.values():
        _say_warnings(scores, console)
    for line in lost(result.task, last):
        say_labelled(console, f"{part}: ", line)
    run = shlex.quote(str(result.run))
    say_labelled(console, "ended         ", result.outcome.told())
    console.print(f"run folder    {run}", soft_wrap=True, markup=False)
    for picture in result.pictures:
        console.print(f"picture       {picture}", soft_wrap=True, markup=False)
    console.print(f"use it        ostinato predict {run} INPUT", soft_wrap=True, markup=False)
    console.print(f"score data    ostinato evaluate {run} DATA", soft_wrap=True, markup=False)
    console.print(f"look inside   ostinato inspect {run}", soft_wrap=True, markup=False)
    console.print(f"train on      {resume_command(result)} --training.max_time_s 600", soft_wrap=True, markup=False)


def show_scores(task: Task[Any, Any, Any, Any], run: str, scores: Scores, console: Console | None = None) -> None:
    """Prints how good a run is on some data, a figure a line."""
    console = console or standard_output()
    console.print(f"{run} on {scores.data}", soft_wrap=True, markup=False)
    for name, cell in _cells(task, scores).items():
        console.print(f"{cell} {name}")
    _say_warnings(scores, console)


def write_scores(path: str, scores: Scores) -> None:
    """Writes the scores with all details as JSON.

    Raises:
        OstinatoError: the file cannot be written.
    """
    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(without_nan(dataclasses.asdict(scores)), file, ensure_ascii=False, indent=1)
    except OSError as error:
        raise OstinatoError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error


def lost(task: Task[Any, Any, Any, Any], scores: Scores) -> list[str]:
    """The figures in which a simple model is better, a line for each such model."""
    lines = []
    for name, figures in scores.baselines.items():
        ours, theirs = _cells(task, scores), _cells(task, scores, figures)
        worse = [
            f"nats/{task.item}" if figure == "loss" else figure.replace("_", " ")
            for figure, value in figures.items()
            if figure != "calibration_error"  # a model that knows nothing can have an error of 0
            and _is_better(task, figure, value, scores.loss if figure == "loss" else scores.figures[figure])
        ]
        worse = [figure for figure in worse if theirs[figure] != ours[figure]]  # unless both are shown alike
        if worse:
            said = ", ".join(f"{figure} {theirs[figure]} against {ours[figure]}" for figure in worse)
            lines.append(f"the model loses to {name}: {said}")
    return lines


def _is_better(task: Task[Any, Any, Any, Any], figure: str, one: float, other: float) -> bool:
    return one < other if figure == "loss" or figure in task.errors else one > other


def _cells(
    task: Task[Any, Any, Any, Any], scores: Scores, baseline: Mapping[str, float] | None = None
) -> dict[str, str]:
    """The table cells of a model, text by name; of the trained model, or of a simple one on the same data."""
    numbers = ExampleProgress(task.item, task.percentages, quiet=True)
    figures = scores.figures if baseline is None else baseline
    loss = scores.loss if baseline is None else baseline.get("loss")
    return {
        **{name.replace("_", " "): numbers.number(name, value) for name, value in figures.items() if name != "loss"},
        **({} if loss is None else {f"nats/{task.item}": f"{loss:.4f}"}),
        "examples": f"{scores.examples:,}",
    }


def _say_warnings(scores: Scores, console: Console) -> None:
    for line in scores.warnings:
        say_labelled(console, f"{scores.data}: ", line)
