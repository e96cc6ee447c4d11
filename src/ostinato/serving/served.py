"""A run that is served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ostinato.errors import ConfigError
from ostinato.recipes import open_run
from ostinato.serving.answers.about import about
from ostinato.serving.kinds.classify import ClassifyKind
from ostinato.serving.kinds.forecast import ForecastKind
from ostinato.serving.kinds.kind import Kind
from ostinato.serving.kinds.language import LanguageKind
from ostinato.serving.kinds.tag import TagKind
from ostinato.serving.kinds.transcribe import TranscribeKind
from ostinato.serving.stepping.bank import Bank

_KINDS: dict[str, type[Kind]] = {
    kind.task: kind for kind in (LanguageKind, ClassifyKind, TagKind, TranscribeKind, ForecastKind)
}


class Served:
    """One opened run, on the CPU.

    Args:
        name: the name of the model.
        run: the folder of the run.

    Attributes:
        trained: the model with all that is known about its data.
        task: "lm", "classify", ...
        created: when the run's folder was last modified, in Unix seconds.
        kind: what its sessions read and answer; None if it has no sessions.
        bank: the states of its sessions in memory; None if it has no sessions.
        why_no_sessions: why it has no sessions; None if it has.

    Raises:
        OstinatoError: the run cannot be read.
    """

    def __init__(self, name: str, run: str | Path) -> None:
        self.name, self.run = name, Path(run)
        self.trained: Any = open_run(run)
        self.task: str = self.trained.task.name
        self.created = int(self.run.stat().st_mtime)
        self.kind: Kind | None = None
        self.bank: Bank | None = None
        self.why_no_sessions: str | None = None
        self._about = about(self.trained)
        kind = _KINDS.get(self.task)
        if kind is None:
            self.why_no_sessions = f"models of the task {self.task} read an input as a whole"
            return
        try:
            self.kind = kind(self.trained)
            self.bank = self.kind.bank()
        except ConfigError as error:
            self.kind, self.why_no_sessions = None, str(error)
            if getattr(getattr(self.trained.model, "recurrent", None), "bidirectional", False):
                self.why_no_sessions = (
                    "it reads in both directions, so every answer needs the whole input: ask /predict, or train a model with "
                    "--model.bidirectional false"
                )

    @property
    def info(self) -> dict[str, Any]:
        """What a client should know about the model, in JSON's types."""
        return {
            "task": self.task,
            "sessions": self.sessions,
            "why_no_sessions": self.why_no_sessions,
            **self._about,
        }

    @property
    def sessions(self) -> bool:
        """Whether the model has sessions."""
        return self.kind is not None
