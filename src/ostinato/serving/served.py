"""A run that is served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ostinato.recipes import open_run


class Served:
    """One opened run.

    Attributes:
        name: of the model.
        run: its folder.
        trained: the model with all that is known about its data.
        task: "lm", "classify", ...
        created: when the run's weights were written, unix seconds.
    """

    def __init__(self, name: str, run: str) -> None:
        self.name, self.run = name, Path(run)
        self.trained: Any = open_run(run)
        self.task: str = self.trained.task.name
