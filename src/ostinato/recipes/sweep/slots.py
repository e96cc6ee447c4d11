"""Which trial is which run of a sweep, if several processes make trials and some of them die.

Optuna numbers trials in one order that all processes see, so no process has to ask before it starts: it makes a trial,
then looks whether an earlier one has the right to the same run, and withdraws its own if so. A run is a slot. It has
the number of its first trial; if the process of that trial dies, another trial goes on with the run.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

# The attributes of trials.
AGAIN = "again"  # the number of the slot that the trial goes on with: that of its first trial
AFTER = "after"  # the number of the lost trial of the slot before it
WITHDRAWN = "withdrawn"  # another trial had the right to the run
REASON = "reason"  # why the trial diverged
BEAT = "beat"  # a number that grows as long as the trial's process lives
JOB = "job"  # the mark of the worker's job, if an engine notices that a worker dies

Slots: TypeAlias = "dict[int, list[FrozenTrial]]"


def trial_number(trial: FrozenTrial) -> int:
    """The number of the trial's slot: its own, or that of the killed trial that it goes on with."""
    return trial.user_attrs.get(AGAIN, trial.number)


def slots_of(trials: Iterable[FrozenTrial]) -> Slots:
    """The trials of each slot by its number, both in order; withdrawn trials are left out."""
    found: Slots = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        if WITHDRAWN not in trial.user_attrs:
            found.setdefault(trial_number(trial), []).append(trial)
    return dict(sorted(found.items()))


def is_over(trials: Iterable[FrozenTrial]) -> bool:
    """Whether a slot has ended."""
    return any(trial.state.name in ("COMPLETE", "PRUNED") or REASON in trial.user_attrs for trial in trials)


def lost(slots: Slots) -> list[int]:
    """The slots that have not ended, and that no trial is running or waiting for."""
    return [
        number
        for number, trials in slots.items()
        if not is_over(trials) and not any(trial.state.name in ("RUNNING", "WAITING") for trial in trials)
    ]


def params_of(trials: Iterable[FrozenTrial]) -> dict[str, Any]:
    """The settings that were drawn for a slot."""
    found: dict[str, Any] = {}
    for trial in trials:
        found |= {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    return found


def is_superfluous(trials: Iterable[FrozenTrial], mine: int, most: int) -> bool:
    """Whether a new trial has no right to run.

    Args:
        trials: all trials.
        mine: the number of the new trial.
        most: how many runs the sweep has.
    """
    slots = slots_of(trials)
    (number,) = (number for number, found in slots.items() if any(trial.number == mine for trial in found))
    others = [trial for trial in slots[number] if trial.number != mine]
    me = next(trial for trial in slots[number] if trial.number == mine)
    if is_over(others) or any(
        trial.user_attrs.get(AFTER) == me.user_attrs.get(AFTER, mine) and trial.number < mine for trial in others
    ):
        return True
    return list(slots).index(number) >= most


class Watch:
    """Finds trials whose process is gone, by this process' clock, as clocks of other machines may differ.

    Args:
        lease_s: seconds without a beat after which a process counts as dead; None if trials do not beat.
    """

    def __init__(self, lease_s: float | None):
        self._lease_s = lease_s
        self._seen: dict[int, tuple[Any, float]] = {}

    def dead(self, trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
        """The running trials that have not beaten for so long."""
        if self._lease_s is None:
            return []
        now, found = time.monotonic(), list[Any]()
        for trial in trials:
            if trial.state.name != "RUNNING":
                continue
            beat = trial.user_attrs.get(BEAT)
            if trial.number not in self._seen or self._seen[trial.number][0] != beat:
                self._seen[trial.number] = beat, now
            elif now - self._seen[trial.number][1] > self._lease_s:
                found.append(trial)
        return found
