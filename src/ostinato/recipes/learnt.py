"""What a run has learnt: a plain record that the methods of tasks are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import nn

from ostinato.recipes.settings import TaskSettings

S = TypeVar("S", bound=TaskSettings)
Known = TypeVar("Known")
Model = TypeVar("Model", bound=nn.Module)


class Learnt(Generic[S, Known, Model]):
    """A model and what belongs to it.

    Args:
        settings: the settings of the run.
        known: what is known about the data.
        model: the network.
        answering: how it answers, of the type `Task.answering`; None if there is nothing to set.
        folder: the run's folder; None if it is not known.
    """

    def __init__(self, settings: S, known: Known, model: Model, answering: Any = None, folder: Path | None = None):
        self.settings, self.known, self.model = settings, known, model
        self.answering, self.folder = answering, folder
