"""Running the trials of a sweep by workers of an engine, one trial at a time each."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ostinato.errors import OstinatoError, RunError
from ostinato.recipes.engines.crew import Team
from ostinato.recipes.engines.work import Done
from ostinato.recipes.sweep.slots import is_over, slots_of
from ostinato.recipes.sweep.space import Space
from ostinato.recipes.sweep.storage import Shared, open_study
from ostinato.recipes.sweep.trials import INTERRUPTED, Trials

_LOOK_S = 1.0  # between two looks at the work of others


@dataclass(frozen=True)
class Search:
    """What workers are given.

    Attributes:
        space: what is searched.
        folder: the folder of the sweep, which all of them see.
        shared: the record of the sweep, if it is in a database; else None.
        threads: the threads of one worker.
        place: the folder that relative names of files begin in.
    """

    space: Space
    folder: str
    shared: Shared | None
    threads: int
    place: str = field(default_factory=os.getcwd)


@dataclass(frozen=True)
class OneTrial:
    """Asks a worker to run a trial.

    Attributes:
        mark: the mark that the job puts on its trial: it tells whoever takes the job over which trial has lost its
            worker.
    """

    mark: str

    def __str__(self) -> str:
        return "its trial"


class Searcher:
    """A worker of a sweep.

    Args:
        search: what workers are given.
    """

    def __init__(self, search: Search):
        self._search = search

    def do(self, job: OneTrial) -> Done:
        """Runs a trial; `found` is a line about it, or None if there was none to run."""
        search = self._search
        try:
            _settle(search)
            folder = Path(search.folder)
            trials = Trials(search.space, open_study(search.space, folder, search.shared), folder, search.shared)
            trials.lose_all(job.mark)
            while trials.next() == "trial":
                if (line := trials.run_one(job.mark)) is not None:
                    return Done(found=line)
            return Done()
        except OstinatoError as error:
            return Done(error=" ".join(str(error).split()))


def _settle(search: Search) -> None:
    import torch

    if search.place not in sys.path:
        sys.path.insert(0, search.place)  # the user's own cells are imported from there
    if os.path.isdir(search.place):
        os.chdir(search.place)
    torch.set_num_threads(search.threads)


def run_on(team: Team, trials: Trials, say: Callable[[str], None]) -> Literal["done", "interrupted"]:
    """Lets workers run trials until all have ended.

    Args:
        team: the team of `Searcher`s.
        trials: the trials of the sweep.
        say: prints a line when a trial ends.

    Raises:
        RunError: a trial cannot be run.
    """
    mark = uuid.uuid4().hex
    round_ = 0
    while (what := trials.next()) != "none":
        if what == "wait" and trials.shared is not None:
            time.sleep(min(_LOOK_S, trials.shared.lease_s / 4))
            continue
        round_ += 1
        ended = sum(map(is_over, slots_of(trials.study.get_trials(deepcopy=False)).values()))
        jobs = [OneTrial(f"{mark}-{round_}-{at}") for at in range(max(1, trials.space.trials - ended))]
        for _, done in team.each(jobs):
            if done.error is not None:
                raise RunError(done.error)
            if done.found == INTERRUPTED:
                return "interrupted"
            if done.found is not None:
                say(str(done.found))
        if trials.shared is None:
            trials.lose_all()  # trials of workers that died before they put their mark on them
    return "done"
