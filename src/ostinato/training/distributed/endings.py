"""How the workers of a machine ended: which of them caused a failure, and what to tell the user."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ostinato.errors import RunError
from ostinato.training.distributed.launch import OF_A_PEER, OF_MEMORY

INTERRUPTED = 130
WRONG = 2  # an error that the user can correct, and a restart cannot


@dataclass(frozen=True)
class End:
    """The end of a worker that failed.

    Args:
        rank: the number of the worker.
        code: its exit status; negative for a signal.
        is_first: whether no worker failed before it.
    """

    rank: int
    code: int
    is_first: bool = False


def cause_of(ends: Sequence[End]) -> End:
    """The failure that caused the others.

    A worker that stopped because another was gone is the cause only if there is no other candidate: then that other one is on
    another machine. A worker that was asked to stop after another had failed comes last of all.
    """
    asked = (-signal.SIGTERM, INTERRUPTED)
    return min(
        ends,
        key=lambda end: (not end.is_first and end.code in asked, end.code == OF_A_PEER, not end.is_first, end.rank),
    )


def told(ends: Sequence[End], world: int) -> str | None:
    """What only the agent can say about the cause; None if the process has reported its error itself."""
    cause = cause_of(ends)
    if cause.code < 0:
        name = signal.Signals(-cause.code).name
        hint = " (as the system does when memory runs out)" if name == "SIGKILL" else ""
        return f"process {cause.rank} of {world} was killed by {name}{hint}"
    return "a process on another machine is gone" if cause.code == OF_A_PEER else None


def repeat(ends: Sequence[End], said: Callable[[int], str]) -> None:
    """Print the standard error of the failure's cause, unless the first process has explained the failure already."""
    cause = cause_of(ends)
    the_first_said_why = any(end.rank == 0 and end.code > 0 and end.code != OF_A_PEER for end in ends)
    if cause.rank != 0 and not the_first_said_why:
        sys.stderr.write(said(cause.rank))
        sys.stderr.flush()


def verdict(ends: Sequence[End], world: int, said: Callable[[int], str]) -> int:
    """The exit status of a run that is over.

    Args:
        ends: the workers of this machine that failed.
        world: the number of workers on all machines.
        said: returns what a worker has written to its standard error.

    Raises:
        RunError: a process was killed, or a process on another machine is gone.
    """
    if (what := told(ends, world)) is not None:
        raise RunError(
            f"{what}; training has stopped in all. Its last checkpoint is whole: start the same command again with --resume"
        )
    repeat(ends, said)
    code = cause_of(ends).code
    return WRONG if code == OF_MEMORY else code


def say(line: str) -> None:
    """Print a line for the user, on standard error."""
    print(f"ostinato: {line}", file=sys.stderr, flush=True)
