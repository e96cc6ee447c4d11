"""A run of a task that learns from examples under inspection."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ostinato.data.batches.batches import Batch, Examples
from ostinato.errors import DataError
from ostinato.insight.reasons.question import Question
from ostinato.recipes.few import few, few_rows, mostly_short
from ostinato.recipes.inspection.inspected import Inspected, read_lines, read_report
from ostinato.recipes.registry import find, task_for, task_of
from ostinato.recipes.trained import Trained, load, read_splits
from ostinato.training.loop.progress import ExampleProgress
from ostinato.training.run.run_folder import RunFolder
from ostinato.training.update.tree import tensors_of

_TILES = 3  # of a task with many figures, those that it names first
_ROWS = 16  # of the batch that everything is measured on


@dataclass(frozen=True)
class InspectedTask(Inspected):
    """A run of a task.

    Attributes:
        trained: the model with what belongs to it.
        examples: that it is looked at on.
        part: the data that they are made of.
    """

    trained: Trained[Any, Any, Any, Any]
    examples: Examples
    part: Any

    @property
    def about(self) -> str:
        """Task, data."""
        summary, size = find(task_of(self.run.path)).summary, len(self.examples.lengths)
        return f"{summary[:1].upper()}{summary[1:]}. Looked at here on {self.data_name}: {size:,} examples."

    @property
    def item(self) -> str:
        """As the task says."""
        return self.trained.task.item

    @property
    def loss_curves(self) -> tuple[str, str, str]:
        """The loss as it is minimised."""
        return "loss", "validation_loss", f"nats/{self.item}"

    @property
    def figure_curve(self) -> str | None:
        """Of the validation data: what the task is judged by, or beside the loss the first of its figures."""
        figures = ((self.report.get("scores") or {}).get("validation") or {}).get("figures") or {}
        name = self.deciding_figure or next(iter(figures), None)
        return None if name is None else f"validation_{name}"

    @property
    def deciding_figure(self) -> str | None:
        """What the task is judged by."""
        return self.trained.task.judged_by(self.settings)

    def tiles(self) -> list[tuple[str, str, str]]:
        """The figures of the data that had no part in training, as far as the run has come."""
        scores = self.report.get("scores") or {}
        if not scores:
            steps, losses = self.of_lines("validation_loss")
            return [("best validation loss so far", f"{min(losses):.4f}", f"nats/{self.item}")] if steps else []
        part = "test" if "test" in scores else "validation"
        figures = {name: value for name, value in scores[part]["figures"].items() if value is not None}
        first = sorted(figures, key=lambda name: name != self.deciding_figure)[:_TILES]  # the others stay in order
        return [(f"{part}: {name.replace('_', ' ')}", *self.shown(name, figures[name])) for name in first]

    def shown(self, name: str, value: float) -> tuple[str, str]:
        """A figure as it is shown, and its unit."""
        text = ExampleProgress(self.item, self.trained.task.percentages, quiet=True).number(name, value)
        return (text[:-1], "%") if text.endswith("%") else (text, "")

    @property
    def batch(self) -> Batch:
        """A few examples."""
        return self._drawn

    @cached_property
    def _drawn(self) -> Batch:
        return few(self.examples, _ROWS)

    def questions(self, most: int) -> Iterator[Question]:
        """About examples that are drawn, short ones where there are such."""
        rows = few_rows(self.examples, most).tolist()
        return self.trained.task.questions(self.trained, self.part, rows, None)

    @property
    def steps(self) -> int:
        """Of the batch."""
        return max(1, *(tensor.shape[0] for tensor in tensors_of(self.batch.input)))


def inspected_task(path: str | os.PathLike[str], data: str | None, folder: Path | None = None) -> InspectedTask:
    """A run, and data to look at it on.

    Args:
        path: the folder of the run.
        data: labelled data as the task reads them; None for the run's own validation data.
        folder: for what reading needs on disk; these need nothing.

    Raises:
        OstinatoError: the run or the data cannot be read, or there are none.
    """
    run = RunFolder(path)
    trained = load(task_for(path), path)
    task = trained.task
    if data is None:
        splits = read_splits(task, trained.settings)
        parts = {f"{splits.name}, validation": splits.validation, f"{splits.name}, training": splits.train}
    else:
        parts = {data: trained.read_part(data, labelled=True)}
    name, *others = parts
    if not task.size(parts[name]):
        raise DataError(f"{name}: expected at least one example to look at, got none")
    examples = task.examples(trained.settings, trained.known, parts[name])
    if others and not mostly_short(examples):  # whole documents, say, of which training has pieces
        name = others[0]
        examples = task.examples(trained.settings, trained.known, parts[name])
    torch.manual_seed(0)  # a loss may draw
    return InspectedTask(
        run, trained.settings, trained.model, name, read_lines(run), read_report(run), trained, examples, parts[name]
    )
