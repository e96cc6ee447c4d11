"""A run under inspection whose task learns from examples."""

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

_TILES = 3  # figures shown at the top; of many, the first ones
_ROWS = 16  # size of the batch that everything is measured on


@dataclass(frozen=True)
class InspectedTask(Inspected):
    """A run under inspection whose task learns from examples.

    Attributes:
        trained: the model with what belongs to it.
        examples: the examples that it is inspected on.
        part: the data that the examples are made of.
    """

    trained: Trained[Any, Any, Any, Any]
    examples: Examples
    part: Any

    @property
    def about(self) -> str:
        """A sentence with the task and the data."""
        summary, size = find(task_of(self.run.path)).summary, len(self.examples.lengths)
        return f"{summary[:1].upper()}{summary[1:]}. Looked at here on {self.data_name}: {size:,} examples."

    @property
    def item(self) -> str:
        """The noun of the task."""
        return self.trained.task.item

    @property
    def loss_curves(self) -> tuple[str, str, str]:
        """The names of the losses that are minimised."""
        return "loss", "validation_loss", f"nats/{self.item}"

    @property
    def figure_curve(self) -> str | None:
        """The validation figure that the task is judged by; if that is the loss, the first of its other figures."""
        figures = ((self.report.get("scores") or {}).get("validation") or {}).get("figures") or {}
        name = self.deciding_figure or next(iter(figures), None)
        return None if name is None else f"validation_{name}"

    @property
    def deciding_figure(self) -> str | None:
        """The figure that the task is judged by."""
        return self.trained.task.judged_by(self.settings)

    def tiles(self) -> list[tuple[str, str, str]]:
        """Figures on test or validation data; the best validation loss so far if the run is not finished."""
        scores = self.report.get("scores") or {}
        if not scores:
            steps, losses = self.of_lines("validation_loss")
            return [("best validation loss so far", f"{min(losses):.4f}", f"nats/{self.item}")] if steps else []
        part = "test" if "test" in scores else "validation"
        figures = {name: value for name, value in scores[part]["figures"].items() if value is not None}
        first = sorted(figures, key=lambda name: name != self.deciding_figure)[:_TILES]  # the others stay in order
        return [(f"{part}: {name.replace('_', ' ')}", *self.shown(name, figures[name])) for name in first]

    def shown(self, name: str, value: float) -> tuple[str, str]:
        """A figure as text, and its unit."""
        text = ExampleProgress(self.item, self.trained.task.percentages, quiet=True).number(name, value)
        return (text[:-1], "%") if text.endswith("%") else (text, "")

    @property
    def batch(self) -> Batch:
        """A batch of a few examples."""
        return self._drawn

    @cached_property
    def _drawn(self) -> Batch:
        return few(self.examples, _ROWS)

    def questions(self, most: int) -> Iterator[Question]:
        """Questions about randomly drawn examples, short ones if there are any."""
        rows = few_rows(self.examples, most).tolist()
        return self.trained.task.questions(self.trained, self.part, rows, None)

    @property
    def steps(self) -> int:
        """The steps of the batch."""
        return max(1, *(tensor.shape[0] for tensor in tensors_of(self.batch.input)))


def inspected_task(path: str | os.PathLike[str], data: str | None, folder: Path | None = None) -> InspectedTask:
    """Loads a run, and reads the data to inspect it on.

    Args:
        path: the folder of the run.
        data: labelled data as the task reads them; None for the run's own validation data.
        folder: unused here: the data of these tasks need none.

    Raises:
        OstinatoError: the run or the data cannot be read, or there are no data.
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
    if others and not mostly_short(examples):  # such as whole documents, of which training has pieces
        name = others[0]
        examples = task.examples(trained.settings, trained.known, parts[name])
    torch.manual_seed(0)  # because a loss may draw random numbers
    return InspectedTask(
        run, trained.settings, trained.model, name, read_lines(run), read_report(run), trained, examples, parts[name]
    )
