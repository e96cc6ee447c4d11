"""`ostinato predict --engine`: many workers write answers in partitions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ostinato.errors import ConfigError, OstinatoError
from ostinato.recipes.engines.crew import Team
from ostinato.recipes.engines.cutting import Piece, cut
from ostinato.recipes.engines.folder import PartFolder, identity_of_data, identity_of_run
from ostinato.recipes.engines.work import Measure, Work
from ostinato.recipes.trained import POOL_BATCHES
from ostinato.version import __version__

OnPart = Callable[[int, int], None]


@dataclass
class Answered:
    """The result for all pieces.

    Attributes:
        parts: how many pieces there are.
        before: how many of them were answered before this call.
        rows: how many rows were answered in this call.
        notes: what a user should know about the data.
        unread: what has no answer; a line each.
    """

    parts: int = 0
    before: int = 0
    rows: int = 0
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def predict_in_parts(
    work: Work, team: Callable[[Work], Team], trained: Any, *, rows: int | None, on_part: OnPart
) -> Answered:
    """Writes the partitions that do not exist yet.

    Args:
        work: which run, data and options, and where to write.
        team: makes the team of workers for a work.
        trained: the `Trained` of the run; its task says how the data may be cut.
        rows: the rows of a partition; None for as many as one process sorts by length together, which gives the same
            batches.
        on_part: called with how many partitions there are, and how many there will be.

    Raises:
        OstinatoError: nothing can be done. If only some partitions fail, the others are written, and `unread` names the
            failed ones.
    """
    assert work.data is not None
    assert work.output is not None
    task = trained.task
    if task.no_answers:
        raise ConfigError(f"{work.run} {task.no_answers}")
    most = rows or task.part_rows or POOL_BATCHES * task.rows
    about = about_work(work, rows=most)
    folder, found = PartFolder(work.output, work.suffix), Answered()
    with folder.begun(about):
        workers = team(work)
        pieces = cut(task, trained, work.data, most) or _examples(workers, most, found)
        found.parts = len(pieces)
        todo = [piece for piece in pieces if not folder.part(piece.number).exists()]
        found.before = done = len(pieces) - len(todo)
        on_part(done, len(pieces))
        for piece, came in workers.each(todo):
            if came.error is not None:
                if came.is_for_all:
                    raise OstinatoError(came.error)
                found.unread.append(came.error)
                continue
            done += 1
            found.rows += came.rows
            _add(found.notes, came.notes)
            _add(found.unread, (piece.named(each) for each in came.unread))
            on_part(done, len(pieces))
        if done == len(pieces):
            folder.agree()
            folder.end(about, len(pieces))
    return found


def about_work(work: Work, **more: Any) -> dict[str, Any]:
    """Everything that the contents of partitions depend on, as JSON can hold it."""
    assert work.data is not None
    return {
        "version": __version__,
        "run": identity_of_run(work.run),
        "data": identity_of_data(work.data),
        "options": dict(work.options),
        "form": work.suffix,
        **more,
    }


def _examples(workers: Team, most: int, found: Answered) -> list[Piece]:
    """Pieces of data that every worker reads whole; one worker counts the examples."""
    ((_, came),) = workers.each([Measure()])
    if came.error is not None:
        raise OstinatoError(came.error)
    _add(found.notes, came.notes)
    _add(found.unread, came.unread)
    starts = range(0, came.rows, most)
    return [Piece(at, start, min(most, came.rows - start)) for at, start in enumerate(starts)]


def _add(lines: list[str], more: Iterable[str]) -> None:
    lines += [line for line in dict.fromkeys(more) if line not in lines]


def check_output(output: str, *, ordered: bool) -> None:
    """Raises `ConfigError` if the path of an output is taken by something else."""
    path = Path(output).expanduser()
    if ordered and path.is_dir():
        raise ConfigError(f"--output {output}: is a folder; with --ordered, expected the name of a file")
    if not ordered and os.path.lexists(path) and not path.is_dir():
        raise ConfigError(
            f"--output {output}: is a file; with --engine, expected a folder for partitions, or --ordered"
        )
