"""`ostinato evaluate --engine`: workers see batches, and a judge joins what they remember: the figures are those of one process."""

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

_JOBS = 64  # at most; what one of them remembers is held until those before it are there


@dataclass(frozen=True)
class SomeBatches:
    """Asks a worker to see some batches of all that one process would see."""

    first: int
    stop: int

    def __str__(self) -> str:
        return f"batches {self.first + 1} to {self.stop}"


class JudgeWorker(Worker):
    """A worker that sees batches."""

    def asked(self, trained: Any, job: Any) -> Done:
        """What a judge remembers of its batches, their losses and counts."""
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
    """How good a model is, as `Trained.evaluate` says it, by many workers.

    Args:
        work: for them; each reads the data.
        team: who does it.
        trained: of the run, here.
        on_batch: called with how many batches have been seen, and of how many.

    Raises:
        ConfigError: the task's judge cannot join what several have seen.
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
