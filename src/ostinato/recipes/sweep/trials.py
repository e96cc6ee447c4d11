"""Single trials of a sweep: making one, running it, and showing that its process lives."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ostinato.extras import needed
from ostinato.recipes.sweep.slots import (
    AFTER,
    AGAIN,
    BEAT,
    JOB,
    REASON,
    WITHDRAWN,
    Watch,
    is_over,
    is_superfluous,
    lost,
    params_of,
    slots_of,
)
from ostinato.recipes.sweep.space import Space
from ostinato.recipes.sweep.storage import STARTUP, Shared

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

LOSS = "loss"  # attribute of a trial: the loss of its best weights, which decides between equal figures
INTERRUPTED = "interrupted"
_TAKEN = "was silent for too long, and another process has taken it up"
_BEATS = 6  # in the time after which a silent process counts as dead

What: TypeAlias = Literal["trial", "wait", "none"]


class Trials:
    """The work of one process for a sweep, trial after trial.

    Args:
        space: what is searched.
        study: the record of the sweep.
        folder: the folder of the sweep.
        shared: the shared record, if others work on the sweep too.
    """

    def __init__(self, space: Space, study: Study, folder: Path, shared: Shared | None = None):
        self.space, self.study, self.folder, self.shared = space, study, folder, shared
        self._watch = Watch(None if shared is None else shared.lease_s)

    def next(self) -> What:
        """Says whether there is a trial to run, or to wait for, or none; queues the runs that others have lost."""
        trials = self.study.get_trials(deepcopy=False)
        for trial in self._watch.dead(trials):
            self.lose(trial)
        trials = self.study.get_trials(deepcopy=False)
        slots = slots_of(trials)
        missing = lost(slots)
        for number in missing:
            attrs = {AGAIN: number, AFTER: slots[number][-1].number}
            self.study.enqueue_trial(params_of(slots[number]), user_attrs=attrs)
        waits = any(trial.state.name == "WAITING" for found in slots.values() for trial in found)
        if missing or waits or len(slots) < self.space.trials:
            return "trial"
        return "none" if all(map(is_over, slots.values())) else "wait"

    def lose(self, trial: FrozenTrial | Trial) -> None:
        """Records that no process works on a trial any more."""
        from optuna.exceptions import UpdateFinishedTrialError

        with suppress(UpdateFinishedTrialError):  # the trial ended meanwhile
            self.study.tell(trial.number, state=_state("FAIL"), skip_if_finished=True)

    def lose_all(self, job: str | None = None) -> None:
        """Records it for all running trials, or for those with a mark, whose process is known to be gone."""
        for trial in self.study.get_trials(deepcopy=False, states=(_state("RUNNING"),)):
            if job is None or trial.user_attrs.get(JOB) == job:
                self.lose(trial)

    def run_one(self, job: str | None = None) -> str | None:
        """Makes a trial and runs it.

        Args:
            job: a mark to put on it.

        Returns:
            A line about the result; `INTERRUPTED`; or None if others had the right to the run.
        """
        trial = self.study.ask()
        if job is not None:
            trial.set_user_attr(JOB, job)
        trials = self.study.get_trials(deepcopy=False)
        if is_superfluous(trials, trial.number, self.space.trials):
            trial.set_user_attr(WITHDRAWN, True)
            self.lose(trial)
            return None
        slots = slots_of(trials)
        (number,) = (number for number, found in slots.items() if any(each.number == trial.number for each in found))
        self.study.sampler = _sampler(self.space, list(slots).index(number))
        values: dict[str, Any] = {}
        with self._beating(trial):
            try:
                for searched in self.space.space:
                    values[searched.name] = searched.suggest(trial)
                ending = self._run(trial, number, slots[number], values)
            except Exception:
                if not self._is_taken(trial):
                    raise
                ending = _TAKEN  # another process works in the folder now, so the error here says nothing about the run
        if ending == INTERRUPTED:
            self.lose(trial)
            return ending
        shown = ", ".join(f"{name.rsplit('.', 1)[-1]} {_short(value)}" for name, value in values.items())
        return f"trial {number} of {self.space.trials}: {ending}; {shown}"

    def _is_taken(self, trial: Trial) -> bool:
        """Whether others have recorded that no process works on the trial."""
        trials = self.study.get_trials(deepcopy=False, states=(_state("FAIL"),))
        return any(each.number == trial.number and REASON not in each.user_attrs for each in trials)

    def _run(self, trial: Trial, number: int, before: list[FrozenTrial], values: dict[str, Any]) -> str:
        """Makes the run of a trial; returns its result in words, or `INTERRUPTED` if the trial is to be run again.

        Whoever has the right to a trial takes over the lock of its folder, as a process that was suspended in the
        middle still holds it.
        """
        from ostinato.recipes.registry import find
        from ostinato.recipes.sweep.measure import measure_of
        from ostinato.recipes.task_training import train
        from ostinato.training.loop.divergence import DivergedError

        path = self.folder / f"trial-{number:03d}"
        settings = dataclasses.replace(
            self.space.settings(values), run=str(path), quiet=True, resume=(path / "config.yaml").exists()
        )
        reported: list[float] = []
        if settings.resume:  # what was reported before the run was killed
            told = max((each.intermediate_values for each in before), key=len)
            for step in sorted(told):
                trial.report(told[step], step)
                reported.append(told[step])

        def evaluated(step: int, loss: float) -> bool:
            # By the number of the evaluation, as runs of other batch sizes have other numbers of steps in the same
            # budget.
            trial.report(loss, len(reported))
            reported.append(loss)
            return trial.should_prune()

        try:
            lock_name = None if self.shared is None else f"sweep {self.shared.name}"
            task = find(self.space.task).make()
            outcome = train(task, settings, on_evaluation=evaluated, lock_name=lock_name).outcome
            if outcome.ending == INTERRUPTED:
                return INTERRUPTED
            best = outcome.counters.best
            assert best is not None
            trial.set_user_attr(LOSS, outcome.counters.best_loss)
            found = measure_of(self.space).text(best)
            if outcome.ending == "pruned":
                self.study.tell(trial, state=_state("PRUNED"))
                return f"pruned at {found}"
            self.study.tell(trial, best)
            return found
        except DivergedError as error:
            trial.set_user_attr(REASON, str(error))
            self.study.tell(trial, state=_state("FAIL"))
            return "diverged"

    @contextmanager
    def _beating(self, trial: Trial) -> Generator[None]:
        """Within this context, a thread shows others that this process lives."""
        if self.shared is None:
            yield
            return
        over, every = threading.Event(), self.shared.lease_s / _BEATS

        def beat() -> None:
            number = 0
            while not over.wait(every):
                number += 1
                with suppress(Exception):  # a database may be away for a while; whoever needs it reports that
                    trial.set_user_attr(BEAT, number)

        thread = threading.Thread(target=beat, name="ostinato-beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _sampler(space: Space, number: int) -> Any:
    with needed():
        import optuna

    return optuna.samplers.TPESampler(seed=(space.seed + 1) * 1_000_003 + number, n_startup_trials=STARTUP)


def _state(name: str) -> Any:
    with needed():
        from optuna.trial import TrialState

    return TrialState[name]


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
