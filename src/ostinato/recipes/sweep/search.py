"""Many runs in search of good settings, with Optuna.

Its tree-structured Parzen estimator (Bergstra et al. 2011) draws the settings; a pruner ends runs that are worse than others were
at the same evaluation.

A sweep is a folder:

| file | what it holds |
| --- | --- |
| `sweep.yaml` | the space, as it was read |
| `journal.log` | Optuna's own record, a line of JSON for each event |
| `trial-NNN/` | the runs |
| `results.csv`, `sweep.png`, `sweep.svg` | what came out |

The draw of a trial depends on the seed, its number and the trials before it, so that a sweep that was killed and goes on makes the
same draws. A trial that was killed is run again, from its last checkpoint if it had come so far.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, TypeAlias, cast

from ostinato.data.sources.plain_file import read_plain
from ostinato.errors import OstinatoError, RunError
from ostinato.extras import needed
from ostinato.recipes.sweep.space import Space, parse
from ostinato.training.loop.interrupt import Interrupt
from ostinato.training.run.files import write_text
from ostinato.training.run.run_folder import CONFIG_BYTES

with needed():
    import yaml

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

Ending: TypeAlias = Literal["done", "interrupted"]
Say = Callable[[str], None]
LOSS = "loss"  # on a trial: of its best weights, which decides between two with the same figure
_AGAIN = "again"  # on a trial: the number of the trial that it goes on with
_POLL_S = 0.1
_STARTUP = 5  # trials that no pruner ends


def sweep(space: Space, folder: Path, *, jobs: int = 1, resume: bool = False, say: Say = print) -> Ending:
    """Runs trials until there are `space.trials` that have ended.

    Args:
        space: what to try; with `resume`, as in the folder but for the number of trials.
        folder: where to.
        jobs: how many runs at once, each a process of its own. With more than one, what is drawn depends on which ends first.
        resume: go on with the sweep in the folder.
        say: prints a line when a trial ends.

    Returns:
        "interrupted" after Ctrl-C or SIGTERM; `resume` goes on from there.

    Raises:
        RunError: the folder holds a sweep, or with `resume`, none or another one; or a job died.
        OstinatoError: a run cannot be made, for reasons that all runs share.
    """
    _prepare(space, folder, resume)
    study = open_study(space, folder)
    for trial in study.get_trials(deepcopy=False, states=_states("RUNNING")):
        study.tell(trial.number, state=_states("FAIL")[0])
        study.enqueue_trial(trial.params, user_attrs={_AGAIN: trial.user_attrs.get(_AGAIN, trial.number)})
    if jobs == 1:
        return run_trials(space, folder, say)
    return _run_jobs(folder, jobs)


def _run_jobs(folder: Path, jobs: int) -> Ending:
    command = [sys.executable, "-m", "ostinato.recipes.sweep.search", str(folder)]
    with Interrupt() as interrupt:
        # In sessions of their own: Ctrl-C comes to this process alone, which tells each of them once.
        processes = [subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) for _ in range(jobs)]
        try:
            while any(process.poll() is None for process in processes) and not interrupt.requested:
                time.sleep(_POLL_S)
            if interrupt.requested:
                for process in processes:
                    process.terminate()
            statuses = [process.wait() for process in processes]
        finally:
            for process in processes:
                cast("IO[bytes]", process.stdin).close()  # a job ends when it reads the end
                process.wait()
    if interrupt.requested:
        return "interrupted"
    if any(statuses):
        raise RunError(
            f"a job of the sweep in {folder} ended with status {max(statuses, key=abs)}; add --resume to go on"
        )
    return "done"


def run_trials(space: Space, folder: Path, say: Say) -> Ending:
    """One job: trial after trial."""
    study = open_study(space, folder)
    while True:
        begun = study.get_trials(deepcopy=False, states=_states("COMPLETE", "PRUNED", "RUNNING"))
        failed = study.get_trials(deepcopy=False, states=_states("FAIL"))
        if len(begun) + sum("reason" in trial.user_attrs for trial in failed) >= space.trials:
            return "done"
        study.sampler = _sampler(space, len(begun))
        trial = study.ask()
        values = {searched.name: searched.suggest(trial) for searched in space.space}
        ending = _run(space, study, trial, values, folder)
        if ending == "interrupted":
            return ending
        shown = ", ".join(f"{name.rsplit('.', 1)[-1]} {_short(value)}" for name, value in values.items())
        say(f"trial {trial_number(study.trials[trial.number])} of {space.trials}: {ending}; {shown}")


def _run(space: Space, study: Study, trial: Trial, values: dict, folder: Path) -> str:
    """Makes the run of a trial; returns what came of it in words, or "interrupted", which leaves the trial to be run again."""
    with needed():
        from optuna.trial import TrialState

    from ostinato.recipes.registry import find
    from ostinato.recipes.sweep.measure import measure_of
    from ostinato.recipes.task_training import train
    from ostinato.training.loop.divergence import DivergedError

    path = folder / f"trial-{trial_number(study.trials[trial.number]):03d}"
    settings = dataclasses.replace(
        space.settings(values), run=str(path), quiet=True, resume=(path / "config.yaml").exists()
    )
    reported: list[float] = []
    if settings.resume and _AGAIN in trial.user_attrs:  # what it reported before it was killed
        before = study.trials[trial.user_attrs[_AGAIN]].intermediate_values
        for step in sorted(before):
            trial.report(before[step], step)
            reported.append(before[step])

    def evaluated(step: int, loss: float) -> bool:
        # By the number of the evaluation: runs of other batch sizes have other numbers of steps in the same budget.
        trial.report(loss, len(reported))
        reported.append(loss)
        return trial.should_prune()

    try:
        outcome = train(find(space.task).make(), settings, on_evaluation=evaluated).outcome
    except DivergedError as error:
        trial.set_user_attr("reason", str(error))
        study.tell(trial, state=TrialState.FAIL)
        return "diverged"
    if outcome.ending == "interrupted":
        return "interrupted"
    best = outcome.counters.best
    assert best is not None
    trial.set_user_attr(LOSS, outcome.counters.best_loss)
    found = measure_of(space).text(best)
    if outcome.ending == "pruned":
        study.tell(trial, state=TrialState.PRUNED)
        return f"pruned at {found}"
    study.tell(trial, best)
    return found


def open_study(space: Space, folder: Path) -> Study:
    """The record of the sweep in a folder."""
    with needed():
        import optuna  # late: only a sweep needs it
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruners = {
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=1),
        "hyperband": lambda: optuna.pruners.HyperbandPruner(),
        "none": lambda: optuna.pruners.NopPruner(),
    }
    return optuna.create_study(
        study_name="sweep",
        storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))),
        direction="minimize",
        load_if_exists=True,
        pruner=pruners[space.pruner](),
    )


def read_sweep(folder: Path) -> Space:
    """The space of the sweep in a folder.

    Raises:
        RunError: there is none.
    """
    try:
        return parse(yaml.safe_load(read_plain(folder / "sweep.yaml", CONFIG_BYTES)))
    except FileNotFoundError:
        raise RunError(f"{folder} holds no sweep to resume (it has no sweep.yaml); leave out --resume") from None
    except (OSError, yaml.YAMLError, OstinatoError) as error:
        raise RunError(f"{folder / 'sweep.yaml'} is damaged: {' '.join(str(error).split())}") from error


def _prepare(space: Space, folder: Path, resume: bool) -> None:
    held = (folder / "sweep.yaml").exists()
    if held and not resume:
        raise RunError(f"{folder} already holds a sweep; add --resume to go on with it, or choose another --folder")
    if resume and dataclasses.replace(read_sweep(folder), trials=space.trials) != space:
        raise RunError(
            f"{folder} holds a sweep over another space; choose another --folder, or leave the space as it was"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "sweep.yaml", yaml.safe_dump(space.to_dict(), sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror or error}") from error


def _sampler(space: Space, number: int):
    with needed():
        import optuna

    return optuna.samplers.TPESampler(seed=(space.seed + 1) * 1_000_003 + number, n_startup_trials=_STARTUP)


def _states(*names: str):
    with needed():
        from optuna.trial import TrialState

    return tuple(TrialState[name] for name in names)


def trial_number(trial: FrozenTrial) -> int:
    """Its number; for one that was killed and run again, the first."""
    return trial.user_attrs.get(_AGAIN, trial.number)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _stop_with_the_parent() -> None:
    def watch() -> None:
        os.read(0, 1)  # not of sys.stdin, whose lock this thread would hold when Python ends
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    _stop_with_the_parent()
    _folder = Path(sys.argv[1])
    sys.exit(130 if run_trials(read_sweep(_folder), _folder, print) == "interrupted" else 0)
