"""What the sections of a report use: a run, its model, a batch, and the measurements of training."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from ostinato.data.sources.plain_file import read_plain
from ostinato.errors import RunError
from ostinato.insight.layers import trajectories
from ostinato.insight.reasons.question import Question
from ostinato.insight.trajectory import Trajectory
from ostinato.recipes.watching import COST, PREFIX
from ostinato.training.run.run_folder import RunFolder


@dataclass(frozen=True)
class Inspected(ABC):
    """A run under inspection.

    Attributes:
        run: the run's folder.
        settings: the settings of the run.
        model: the model with its best weights, in evaluation mode.
        data_name: the name of the data that it is inspected on, for people.
        lines: the lines of `metrics.jsonl`, oldest first.
        report: the content of `report.json`; empty if the run is not finished.
    """

    run: RunFolder
    settings: Any
    model: nn.Module
    data_name: str
    lines: Sequence[Mapping[str, Any]]
    report: Mapping[str, Any]

    # --- what it is of ---

    @property
    @abstractmethod
    def about(self) -> str:
        """A sentence or two: what the model is, and which data it is inspected on."""

    @property
    @abstractmethod
    def item(self) -> str:
        """The noun for what the loss is the mean of, such as "token"."""

    @property
    @abstractmethod
    def loss_curves(self) -> tuple[str, str, str]:
        """The names of the training and the validation loss in `lines`, and their unit."""

    @property
    def figure_curve(self) -> str | None:
        """The name in `lines` of the figure that chooses the weights; None if that is the loss."""
        return None

    @abstractmethod
    def tiles(self) -> list[tuple[str, str, str]]:
        """The numbers at the top of the page: name, number and unit of each."""

    @property
    def deciding_figure(self) -> str | None:
        """The figure by which a model is compared with simpler ones; None if any figure will do."""
        return None

    @property
    def compared(self) -> tuple[dict[str, float], Mapping[str, Mapping[str, float]]]:
        """Figures of the model, and of simpler models by name, on test or else validation data; both may be empty."""
        for part in ("test", "validation"):
            figures, simpler = recorded(self.report, part)
            if figures and simpler:
                first = sorted(figures, key=lambda name: name != self.deciding_figure)  # the others stay in order
                return {name: figures[name] for name in first}, simpler
        return {}, {}

    # --- what is measured on ---

    @property
    @abstractmethod
    def batch(self) -> Any:
        """The batch on which everything is measured."""

    @property
    def following(self) -> Any:
        """The batch that continues `batch` with its states; None if batches are independent."""
        return None

    @abstractmethod
    def questions(self, most: int) -> Iterator[Question]:
        """Questions about a few examples, see `Task.questions`."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """T, the steps of a training batch."""

    def loss(self, model: Any, batch: Any) -> torch.Tensor:
        """The loss as in training."""
        return model.loss(batch, None)[0]

    @cached_property
    def trajectories(self) -> list[Trajectory]:
        """The states of the layers over the batch."""
        return trajectories(self.model, self.batch, self.loss)

    # --- what was measured in training ---

    def of_lines(self, name: str) -> tuple[list[int], list[float]]:
        """The steps at which something was measured, and its values."""
        found = [(line["step"], line[name]) for line in self.lines if name in line]
        return [step for step, _ in found], [value for _, value in found]

    @property
    def watched(self) -> list[tuple[int, dict[str, float]]]:
        """The measurements of `training.watch_every`, in the form of `Watch.history`."""
        found = []
        for line in self.lines:
            if COST in line:
                numbers = {name.removeprefix(PREFIX): v for name, v in line.items() if name.startswith(PREFIX)}
                found.append((line["step"], numbers))
        return found


def read_lines(run: RunFolder) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        return [json.loads(line) for line in read_plain(run.metrics_file).decode().splitlines()]
    except FileNotFoundError:
        raise RunError(f"{run.metrics_file} is missing; train until the first evaluation, or resume the run") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{run.metrics_file} is damaged: {error}; resume the run from its last checkpoint") from error


def read_report(run: RunFolder) -> dict[str, Any]:
    """Reads `report.json`; empty if the run is not finished.

    Raises:
        RunError: the file is damaged.
    """
    file = run.path / "report.json"
    try:
        return json.loads(read_plain(file))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{file} is damaged: {error}; resume the run, or remove the file") from error


def recorded(report: Mapping[str, Any], part: str) -> tuple[dict[str, float], Mapping[str, Mapping[str, float]]]:
    """The figures of a run's model on a part of the data, and those of simpler models by name; empty if there are none.

    Args:
        report: the content of `report.json`. Tasks store both under `scores`, the figures of simpler models also in its
            details; a language model stores them at the top.
        part: "validation" or "test".
    """
    if "network" in report:
        own, simpler = {"validation": ("network", "baselines"), "test": ("test", "test_baselines")}[part]
        # In bits a character, as a token depends on the vocabulary, which may differ between models.
        return _numbers(report.get(own), first="bits_per_character"), report.get(simpler) or {}
    scores = (report.get("scores") or {}).get(part) or {}
    simpler = scores.get("baselines") or (scores.get("details") or {}).get("baselines") or {}
    return _numbers({**(scores.get("figures") or {}), "loss": scores.get("loss")}), simpler


def _numbers(figures: Mapping[str, Any] | None, first: str | None = None) -> dict[str, float]:
    found = {name: value for name, value in (figures or {}).items() if isinstance(value, int | float)}
    return {name: found[name] for name in sorted(found, key=lambda name: name != first)}
