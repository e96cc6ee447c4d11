"""Which trial stands for which run of a sweep, where several processes make trials and some of them die.

Optuna gives every trial a number of its own, in one order for all who look. So nobody asks first: who wants to run something makes
a trial, then looks whether one that was made before has the same right, and withdraws its own if so. A run is a slot. It has the
number of its first trial; if the process of that dies, another trial goes on with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

# What trials are marked with.
AGAIN = "again"  # the number of the trial that it goes on with, the first of its slot
AFTER = "after"  # the number of the trial of the slot that was lost before it
WITHDRAWN = "withdrawn"  # another one had the right
REASON = "reason"  # why it diverged
BEAT = "beat"  # a number that grows as long as its process lives
JOB = "job"  # whose work it is, where somebody knows when a worker dies

Slots: TypeAlias = "dict[int, list[FrozenTrial]]"


def trial_number(trial: FrozenTrial) -> int:
    """Its number; for one that was killed and run again, the first."""
    return trial.user_attrs.get(AGAIN, trial.number)


def slots_of(trials: Iterable[FrozenTrial]) -> Slots:
    """The trials of each slot in order, without those that were withdrawn; by its number, in order."""
    found: Slots = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        if WITHDRAWN not in trial.user_attrs:
            found.setdefault(trial_number(trial), []).append(trial)
    return dict(sorted(found.items()))


def is_over(trials: Iterable[FrozenTrial]) -> bool:
    """Whether a slot has come to an end."""
    return any(trial.state.name in ("COMPLETE", "PRUNED") or REASON in trial.user_attrs for trial in trials)


def lost(slots: Slots) -> list[int]:
    """The slots that nobody works on, and that nobody waits to."""
    return [
        number
        for number, trials in slots.items()
        if not is_over(trials) and not any(trial.state.name in ("RUNNING", "WAITING") for trial in trials)
    ]


def params_of(trials: Iterable[FrozenTrial]) -> dict[str, Any]:
    """What was drawn for a slot."""
    found: dict[str, Any] = {}
    for trial in trials:
        found |= {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    return found


def is_superfluous(trials: Iterable[FrozenTrial], mine: int, most: int) -> bool:
    """Whether a trial that was made has no right to run.

    Args:
        trials: all that there are.
        mine: its number.
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
    """Tells which trials have no process any more, by what this process sees: clocks of other machines say nothing.

    Args:
        lease_s: seconds without a beat after which a process counts as dead; None where no trial beats.
    """

    def __init__(self, lease_s: float | None):
        self._lease_s = lease_s
        self._seen: dict[int, tuple[Any, float]] = {}

    def dead(self, trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
        """Those of the running ones that have not beaten for so long."""
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
