"""A summary of a run: its task, folder, size, when and how long it was trained, and how good it is."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ostinato import notebook
from ostinato.data.sources.plain_file import read_plain
from ostinato.training.loop.progress import ExampleProgress

_LONGEST = 2**26  # bytes of a report that are read at most


@dataclass(frozen=True)
class About:
    """A summary of a run for people.

    Attributes:
        task: the name of the task.
        parameters: how many numbers the model has.
        lines: names and texts, in order.
        figures: figures as text, by part of the data.
    """

    task: str
    parameters: int
    lines: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Lines for a terminal; `name` is the class of the printed object."""
        told = {
            **self.lines,
            **{part: ", ".join(f"{k} {v}" for k, v in cells.items()) for part, cells in self.figures.items()},
        }
        width = max(map(len, told), default=0)
        rows = [f"  {label:{width}}  {value}" for label, value in told.items()]
        return "\n".join([f"{name}: {self.task}, {self.parameters:,} parameters", *rows])

    def html(self, name: str) -> str:
        """The summary as HTML for a notebook."""
        parts = [notebook.heading(f"{name}: {self.task}", f"{self.parameters:,} parameters")]
        parts.append(notebook.table(["", ""], list(self.lines.items()), words=2))
        if self.figures:
            names = list(dict.fromkeys(each for cells in self.figures.values() for each in cells))
            rows = [[each, *(cells.get(each, "") for cells in self.figures.values())] for each in names]
            parts.append(notebook.table(["", *self.figures], rows))
        return notebook.piece(*parts)


def about(task: Any, settings: Any, model: Any, folder: Path | None) -> About:
    """Summarises a run from its folder; what is missing there is left out.

    Args:
        task: the task of the run.
        settings: the settings of the run.
        model: the model, a module.
        folder: the run's folder; None if it is not known.
    """
    parameters = sum(each.numel() for each in model.parameters())
    lines = {} if folder is None else {"run": str(folder)}
    lines["data"] = settings.data or "built in"
    report = _report(folder)
    outcome = report.get("outcome")
    counters = outcome.get("counters", {}) if isinstance(outcome, Mapping) else {}
    if folder is not None and (when := _when(folder)) is not None:
        took = (
            f" in {_duration(counters['elapsed_s'])}, {counters['step']:,} steps"
            if {"elapsed_s", "step"} <= set(counters)
            else ""
        )
        lines["trained"] = when + took
    return About(task.name, parameters, lines, _figures(task, report))


def cells(task: Any, figures: Mapping[str, float], loss: float | None, examples: int | None) -> dict[str, str]:
    """Figures as text, by name."""
    numbers = ExampleProgress(task.item, task.percentages, quiet=True)
    found = {name.replace("_", " "): numbers.number(name, value) for name, value in figures.items() if name != "loss"}
    if loss is not None:
        found[f"nats/{task.item}"] = f"{loss:.4f}"
    if examples is not None:
        found["examples"] = f"{examples:,}"
    return found


def _report(folder: Path | None) -> Mapping[str, Any]:
    """The report of a run; empty for a run that is not finished, and for a damaged file."""
    if folder is None:
        return {}
    try:
        found = json.loads(read_plain(folder / "report.json", _LONGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _figures(task: Any, report: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    scores = report.get("scores")
    if isinstance(scores, Mapping):
        return {
            part: cells(task, _numbers(each.get("figures")), _number(each.get("loss")), each.get("examples"))
            for part, each in scores.items()
            if isinstance(each, Mapping)
        }
    # In a language model's report, a part has its figures directly.
    parts = {"validation": report.get("network"), "test": report.get("test")}
    return {part: cells(task, _numbers(each), None, None) for part, each in parts.items() if isinstance(each, Mapping)}


def _numbers(given: Any) -> dict[str, float]:
    return (
        {name: value for name, value in given.items() if _number(value) is not None}
        if isinstance(given, Mapping)
        else {}
    )


def _number(given: Any) -> float | None:
    return given if isinstance(given, int | float) and not isinstance(given, bool) else None


def _when(folder: Path) -> str | None:
    for name in ("model.safetensors", "config.yaml"):
        try:
            return time.strftime("%Y-%m-%d %H:%M", time.localtime((folder / name).stat().st_mtime))
        except OSError:
            continue
    return None


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
