"""The work of a worker: it loads a model once, and writes the answers to piece after piece into partitions."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ostinato.errors import OstinatoError
from ostinato.recipes.engines.answer_files import answers_into
from ostinato.recipes.engines.cutting import Piece
from ostinato.recipes.engines.folder import PartFolder


@dataclass(frozen=True)
class Work:
    """What all workers are given.

    Attributes:
        run: the folder of the run.
        data: what to answer for, or to judge on; None for the run's own.
        options: how the model answers.
        device: the device to compute on, as for `ostinato predict`.
        threads: the threads of one worker; None to leave them unchanged.
        output: the folder of partitions; None if nothing is written.
        suffix: the suffix of the partitions.
        place: the folder that relative names of files begin in.
    """

    run: str
    data: str | None
    options: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    threads: int | None = None
    output: str | None = None
    suffix: str = ".jsonl"
    place: str = field(default_factory=os.getcwd)


@dataclass(frozen=True)
class Measure:
    """Asks a worker to read the data whole and to count the examples."""


@dataclass(frozen=True)
class Done:
    """The result of a piece or another job.

    Attributes:
        rows: how many rows have answers; for `Measure`, how many there are.
        notes: what a user should know about the data.
        unread: files among the data that have no answer; a line each.
        error: why there is no partition; None if there is one.
        is_for_all: whether every piece would fail with this error.
        found: other results.
    """

    rows: int = 0
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    error: str | None = None
    is_for_all: bool = False
    found: Any = None


class Worker:
    """One worker. Errors that a user can mend are returned as text, as not every engine can carry an exception.

    Args:
        work: what all workers are given.
    """

    def __init__(self, work: Work):
        self.work = work
        self._trained: Any = None
        self._whole: tuple[Any, Any] | None = None

    def do(self, job: Any) -> Done:
        """Answers a piece, or does another job."""
        try:
            trained = self._ready()
            if isinstance(job, Measure) or (isinstance(job, Piece) and job.file is None):
                self._read_whole(trained)
        except OstinatoError as error:
            return Done(error=_line(error), is_for_all=True)
        try:
            if isinstance(job, Piece):
                return self._answer(trained, job)
            return self.asked(trained, job)
        except Exception as error:  # an error in one piece must not stop the others
            words = (
                _line(error) if isinstance(error, OstinatoError) else f"{job}: {type(error).__name__}: {_line(error)}"
            )
            return Done(error=job.named(words) if isinstance(job, Piece) else words)

    def asked(self, trained: Any, job: Any) -> Done:
        """Does a job that is not a piece."""
        assert isinstance(job, Measure)
        _, examples = self._read_whole(trained)
        size = 0 if examples is None else len(examples.lengths)
        return Done(size, tuple(trained.notes), tuple(trained.unread))

    def _ready(self) -> Any:
        if self._trained is None:
            import torch

            from ostinato.recipes import open_run

            if self.work.place not in sys.path:
                sys.path.insert(0, self.work.place)  # the user's own cells are imported from there
            if os.path.isdir(self.work.place):
                os.chdir(self.work.place)
            if self.work.threads is not None:
                torch.set_num_threads(self.work.threads)
            self._trained = open_run(self.work.run).to(self.work.device).answer_with(self.work.options)
        return self._trained

    def _read_whole(self, trained: Any) -> tuple[Any, Any]:
        if self._whole is None:
            assert self.work.data is not None
            part = trained.read_part(self.work.data, labelled=False)
            self._whole = part, _examples(trained, part)
        return self._whole

    def _answer(self, trained: Any, piece: Piece) -> Done:
        if piece.file is None:
            assert piece.rows is not None
            part, examples = self._read_whole(trained)
            return self._written(trained, piece, part, examples, range(piece.before, piece.before + piece.rows))
        with piece.held():
            part = trained.read_part(piece.file, labelled=False)
            examples = _examples(trained, part)
            rows = 0 if examples is None else len(examples.lengths)
            return self._written(trained, piece, part, examples, range(rows))

    def _written(self, trained: Any, piece: Piece, part: Any, examples: Any, rows: range) -> Done:
        notes, unread = tuple(trained.notes), tuple(trained.unread)
        assert self.work.output is not None
        folder = PartFolder(self.work.output, self.work.suffix)
        make = partial(trained.task.table_rows, trained)
        answers = () if examples is None else trained.answers_to(part, examples, rows)
        with (
            folder.new_part(piece.number) as path,
            answers_into(str(path), trained.task, make, before=piece.before) as write,
        ):
            for answer in answers:
                write(answer)
        return Done(len(rows), notes, unread)


def _examples(trained: Any, part: Any) -> Any:
    return trained.task.examples(trained.settings, trained.known, part) if trained.task.size(part) else None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def output_of(output: str) -> Path:
    """The absolute path of an output, the same on every machine."""
    return Path(output).expanduser().absolute()
