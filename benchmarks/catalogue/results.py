"""The file of results, which is complete at any time: a call that is interrupted goes on where it was."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ostinato
from benchmarks.catalogue.cost import SIZE
from benchmarks.catalogue.described import described
from benchmarks.catalogue.tasks import TASKS, task
from benchmarks.catalogue.training import LIKE, LIKE_HIDDEN, LIMIT_S, NORM, RATE, WIDTH
from benchmarks.machine import processor
from ostinato import catalogue
from ostinato.errors import ConfigError


@dataclass
class Results:
    """All that is known, as the JSON has it.

    Attributes:
        settings: of the trainings; results of others are not put together with these.
        machines: that the figures are from.
        days: the first and the last.
        cells: name to what `described` says.
        costs: name to what `cost` found.
        scores: name to task to seed to what `train` found.
    """

    settings: dict[str, Any]
    machines: list[dict[str, Any]] = field(default_factory=list)
    days: list[str] = field(default_factory=list)
    cells: dict[str, dict[str, Any]] = field(default_factory=dict)
    costs: dict[str, dict[str, Any]] = field(default_factory=dict)
    scores: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def describe(self) -> None:
        """Describe every named cell as it is now; what is known of one that is gone goes too."""
        self.cells = {name: described(name) for name in catalogue.names()}
        for known in (self.costs, self.scores):
            for name in known.keys() - self.cells.keys():
                del known[name]

    def note_place(self) -> None:
        """Before something is measured: where, and on which day."""
        here = place()
        if here not in self.machines:
            self.machines.append(here)
        days = sorted([*self.days, time.strftime("%Y-%m-%d")])
        self.days = [days[0], days[-1]]

    def is_done(self, cell: str, name: str, seed: int) -> bool:
        """Whether there is a score. What failed is tried again: the cell may be another one by now."""
        found = self.scores.get(cell, {}).get(name, {}).get(str(seed))
        return found is not None and "failed" not in found

    def has_cost(self, cell: str) -> bool:
        """Whether there is a cost of each kind; what failed is tried again."""
        found = self.costs.get(cell)
        return found is not None and not any("failed" in kind for kind in found.values())

    def add(self, cell: str, name: str, seed: int, found: dict[str, Any]) -> None:
        """Keep a score."""
        self.scores.setdefault(cell, {}).setdefault(name, {})[str(seed)] = found

    def write(self, path: Path) -> None:
        """A new file takes the place of the old. Its order does not depend on which training ended first."""
        self.costs = {cell: self.costs[cell] for cell in self.cells if cell in self.costs}
        self.scores = {
            cell: {
                name: dict(sorted(self.scores[cell][name].items(), key=lambda each: int(each[0])))
                for name in TASKS
                if name in self.scores[cell]
            }
            for cell in self.cells
            if cell in self.scores
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".unfinished")
        unfinished.write_text(json.dumps(vars(self), indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)


def place() -> dict[str, Any]:
    """The processor, its cores, and the versions that a figure depends on."""
    versions = {"python": platform.python_version(), "ostinato": ostinato.__version__}
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "versions": versions | {name: version(name) for name in ("torch", "llvmlite", "numpy")},
    }


def settings(quick: bool) -> dict[str, Any]:
    """What the scores depend on, besides the cell and the seed."""
    tasks = {name: task(name, quick) for name in TASKS}
    return {
        "quick": quick,
        "like": LIKE,
        "like_hidden": LIKE_HIDDEN,
        "width": WIDTH,
        "rate": RATE,
        "norm": NORM,
        "limit_s": LIMIT_S,
        "cost": str(SIZE),
        "tasks": {
            name: {
                "what": each.what,
                "score": each.score,
                "guessing": each.lab.guessing,
                "length": each.length,
                "rows": each.rows,
                "updates": each.updates,
            }
            for name, each in tasks.items()
        },
    }


def read(path: Path) -> Results:
    """The file as it is.

    Raises:
        ConfigError: it is none of this command.
    """
    try:
        return Results(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: expected results of this command, got {error}") from error


def read_or_new(path: Path, quick: bool) -> Results:
    """What the file has, or nothing yet.

    Raises:
        ConfigError: the file has results of other settings.
    """
    wanted = settings(quick)
    if not path.exists():
        return Results(wanted)
    found = read(path)
    if other := [key for key in wanted if _measured(found.settings).get(key) != _measured(wanted)[key]]:
        raise ConfigError(
            f"{path} has results of other settings ({', '.join(other)}), which cannot be compared with these; "
            "choose another --output, or remove the file"
        )
    found.settings = wanted
    return found


def _measured(settings: dict[str, Any]) -> dict[str, Any]:
    """Without what is only words, and to the digits that do not hang on the order of a sum, another with each number of threads."""
    told = settings.get("tasks", {})
    tasks = {name: {**of, "what": "", "guessing": round(of["guessing"], 4)} for name, of in told.items()}
    return {**settings, "tasks": tasks}
