"""`ostinato evaluate --engine`: workers judge batches, and a judge joins the results to figures of one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ostinato.errors import ConfigError, OstinatoError
from ostinato.models.parts.reading import reading
from ostinato.recipes.engines.crew import Team
from ostinato.recipes.engines.work import Done, Work, Worker
from ostinato.recipes.judge import Judge, on_device_of
from ostinato.recipes.trained import OnBatch, Scores
from ostinato.training.distributed.sending import from_bytes

_JOBS = 64  # jobs at most; the result of a job is held until those before it have come


@dataclass(frozen=True)
class SomeBatches:
    """Asks a worker to judge some of the batches of the whole evaluation."""

    first: int
    stop: int

    def __str__(self) -> str:
        return f"batches {self.first + 1} to {self.stop}"


class JudgeWorker(Worker):
    """A worker that judges batches."""

    def asked(self, trained: Any, job: Any) -> Done:
        """What a judge remembers of its batches, and their losses and counts, as bytes (see `Judge.sent`)."""
        if self._whole is None:
            part, _ = trained.part_to_judge(self.work.data)
            self._whole = part, trained.task.examples(trained.settings, trained.known, part)
        part, examples = self._whole
        judge = trained.task.judge(trained, part, examples, final=True)
        losses: list[torch.Tensor] = []
        counts: list[int] = []
        with reading(trained.model):
            for batch in on_device_of(
                trained.model, trained.task.order(trained, examples).between(job.first, job.stop)
            ):
                losses.append(judge.see(batch))
                counts.append(batch.count)
        return Done(len(counts), found=judge.sent(torch.stack(losses).tolist(), counts))


def evaluate_by(work: Work, team: Callable[[Work], Team], trained: Any, on_batch: OnBatch) -> tuple[Scores, Judge]:
    """Scores a model by many workers; the result is that of `Trained.evaluate`.

    Args:
        work: the work for them; each worker reads the data.
        team: makes the team of workers for a work.
        trained: the `Trained` of the run in this process.
        on_batch: called with how many batches have been judged, and how many there are.

    Raises:
        ConfigError: the task's judge cannot be joined from several.
        OstinatoError: the data cannot be read, or a worker cannot do its work.
    """
    task = trained.task
    if not task.sees_batches:
        raise ConfigError(
            f"--engine: the task {task.name} reads its data from the beginning to the end, with one state; leave it out"
        )
    part, name = trained.part_to_judge(work.data)
    examples = task.examples(trained.settings, trained.known, part)
    judge, size = task.judge(trained, part, examples, final=True), len(task.order(trained, examples))
    if not judge.can_be_joined:
        raise ConfigError(
            f"--engine: {type(judge).__name__} of the task {task.name} does not say what it remembers, see `Judge.memory`; leave "
            "it out"
        )
    judge.check_memory()
    step = -(-size // _JOBS)
    jobs = [SomeBatches(first, min(size, first + step)) for first in range(0, size, step)]
    found: dict[int, bytes] = {}
    means: list[float] = []
    counts: list[int] = []
    seen = 0
    for job, done in team(work).each(jobs):
        if done.error is not None:
            raise OstinatoError(done.error)
        found[job.first] = done.found
        while (came := found.pop(len(counts), None)) is not None:
            remembered, theirs, terms = from_bytes(came)
            judge.join(remembered)
            means += theirs
            counts += terms
        seen += done.rows
        on_batch(seen, size)
    return trained.scored(part, name, task.summed(trained, judge, means, counts), judge), judge
