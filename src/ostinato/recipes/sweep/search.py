"""Many runs that search for good settings, with Optuna.

Its tree-structured Parzen estimator (Bergstra et al. 2011) draws the settings; a pruner ends runs that are worse than
others were at the same evaluation.

A sweep is a folder:

| file | what it holds |
| --- | --- |
| `sweep.yaml` | the space, as it was read |
| `journal.log` | Optuna's record, a line of JSON for each event, unless it is in a database |
| `trial-NNN/` | the runs |
| `results.csv`, `sweep.png`, `sweep.svg` | the results |

The settings of a trial depend on the seed, its place among the trials and the trials before it, so that a sweep that
was killed and is resumed draws the same. A trial that was killed is run again, from its last checkpoint if it has one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, cast

from ostinato.data.sources.plain_file import read_plain
from ostinato.errors import OstinatoError, RunError
from ostinato.extras import needed
from ostinato.recipes.sweep.space import Space, parse
from ostinato.recipes.sweep.storage import JOURNAL, Shared, check_space, open_study, reached
from ostinato.recipes.sweep.trials import INTERRUPTED, Trials
from ostinato.training.loop.interrupt import Interrupt
from ostinato.training.run.files import write_text
from ostinato.training.run.run_folder import CONFIG_BYTES

with needed():
    import yaml

Ending: TypeAlias = Literal["done", "interrupted"]
Say = Callable[[str], None]
Elsewhere = Callable[[Trials, Say], Ending]
_POLL_S = 0.1
_LOOK_S = 1.0  # between two looks at the work of others


def sweep(
    space: Space,
    folder: Path,
    *,
    jobs: int = 1,
    resume: bool = False,
    say: Say = print,
    shared: Shared | None = None,
    elsewhere: Elsewhere | None = None,
) -> Ending:
    """Runs trials until `space.trials` have ended.

    Args:
        space: what to try; with `resume`, it must be that of the folder, except for the number of trials.
        folder: the folder to write.
        jobs: how many runs at once, each in its own process. With more than one, the settings depend on which run ends
            first.
        resume: go on with the sweep in the folder.
        say: prints a line when a trial ends.
        shared: a record that other machines work on too; all with the same name join in, with folders of their own or
            the same one.
        elsewhere: a function that lets others run the trials, in place of this process and its jobs.

    Returns:
        "interrupted" after Ctrl-C or SIGTERM; `resume` goes on from there.

    Raises:
        RunError: the folder holds a sweep, or with `resume` none or another one; or a job died; or the record cannot be
            reached.
        OstinatoError: no run can be made, for a reason that all runs share.
    """
    is_shared = shared is not None
    _prepare(space, folder, resume or (is_shared and (folder / "sweep.yaml").exists()), shared=is_shared)
    with reached(shared):
        trials = Trials(space, open_study(space, folder, shared), folder, shared)
        if shared is not None:
            check_space(trials.study, space, shared)
        else:
            trials.lose_all()  # their processes are gone, as only this one works in the folder
        if elsewhere is not None:
            return elsewhere(trials, say)
        if jobs == 1:
            return run_trials(trials, say)
        return _run_jobs(trials, jobs)


def run_trials(trials: Trials, say: Say) -> Ending:
    """Runs trial after trial until none is left; in a shared sweep, until all have ended."""
    while (what := trials.next()) != "none":
        if what == "wait":
            if trials.shared is None:
                return "done"  # the process that began the jobs waits for all of them
            time.sleep(min(_LOOK_S, trials.shared.lease_s / 4))
            continue
        line = trials.run_one()
        if line == INTERRUPTED:
            return "interrupted"
        if line is not None:
            say(line)
    return "done"


def _run_jobs(trials: Trials, jobs: int) -> Ending:
    told = None if trials.shared is None else dataclasses.asdict(trials.shared)
    command = [sys.executable, "-m", "ostinato.recipes.sweep.search", str(trials.folder), json.dumps(told)]
    with Interrupt() as interrupt:
        # In sessions of their own: Ctrl-C then reaches this process only, which stops each of them once.
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
                cast("IO[bytes]", process.stdin).close()  # a job ends itself when it reads the end of its input
                process.wait()
    if interrupt.requested:
        return "interrupted"
    if any(statuses) and trials.next() != "none":  # another job may have taken over what a dead one left
        raise RunError(
            f"a job of the sweep in {trials.folder} ended with status {max(statuses, key=abs)}; add --resume to go on"
        )
    return "done"


def read_sweep(folder: Path) -> Space:
    """Reads the space of the sweep in a folder.

    Raises:
        RunError: there is no sweep, or its file is damaged.
    """
    try:
        return parse(yaml.safe_load(read_plain(folder / "sweep.yaml", CONFIG_BYTES)))
    except FileNotFoundError:
        raise RunError(f"{folder} holds no sweep to resume (it has no sweep.yaml); leave out --resume") from None
    except (OSError, yaml.YAMLError, OstinatoError) as error:
        raise RunError(f"{folder / 'sweep.yaml'} is damaged: {' '.join(str(error).split())}") from error


def _prepare(space: Space, folder: Path, resume: bool, *, shared: bool) -> None:
    held = (folder / "sweep.yaml").exists()
    if held and not resume:
        raise RunError(f"{folder} already holds a sweep; add --resume to go on with it, or choose another --folder")
    if held and not shared and not (folder / JOURNAL).exists() and any(folder.glob("trial-*")):
        raise RunError(f"{folder} holds trials of a sweep whose record is in a database; give its --storage as before")
    if resume and dataclasses.replace(read_sweep(folder), trials=space.trials) != space:
        raise RunError(
            f"{folder} holds a sweep over another space; choose another --folder, or leave the space as it was"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "sweep.yaml", yaml.safe_dump(space.to_dict(), sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror or error}") from error


def _stop_with_the_parent() -> None:
    def watch() -> None:
        os.read(0, 1)  # not from sys.stdin, whose lock this thread would hold when Python ends
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _main(folder: Path, told: dict[str, Any] | None) -> int:
    space, shared = read_sweep(folder), None if told is None else Shared(**told)
    with reached(shared):
        ending = run_trials(Trials(space, open_study(space, folder, shared), folder, shared), print)
    return 130 if ending == INTERRUPTED else 0


if __name__ == "__main__":
    _stop_with_the_parent()
    sys.exit(_main(Path(sys.argv[1]), json.loads(sys.argv[2])))
