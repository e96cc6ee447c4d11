"""What became of the workers of a machine: which of them is the cause, and what to say of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ostinato.errors import RunError
from ostinato.training.distributed.launch import OF_A_PEER, OF_MEMORY

INTERRUPTED = 130
WRONG = 2  # something the user can put right, and no further try does


@dataclass(frozen=True)
class End:
    """How a worker has ended that did not end well.

    Args:
        rank: its number.
        code: its exit status; negative for a signal.
        is_first: whether none has failed before it.
    """

    rank: int
    code: int
    is_first: bool = False


def cause_of(ends: Sequence[End]) -> End:
    """The one that the others ended because of.

    One that stopped because of another is the cause only where no other is to be seen: then that one is on another machine. One
    that was asked to stop after another had failed is none.
    """
    asked = (-signal.SIGTERM, INTERRUPTED)
    return min(
        ends,
        key=lambda end: (not end.is_first and end.code in asked, end.code == OF_A_PEER, not end.is_first, end.rank),
    )


def told(ends: Sequence[End], world: int) -> str | None:
    """What nobody but the agent can tell of the cause; None where the process has told it itself."""
    cause = cause_of(ends)
    if cause.code < 0:
        name = signal.Signals(-cause.code).name
        hint = " (as the system does when memory runs out)" if name == "SIGKILL" else ""
        return f"process {cause.rank} of {world} was killed by {name}{hint}"
    return "a process on another machine is gone" if cause.code == OF_A_PEER else None


def repeat(ends: Sequence[End], said: Callable[[int], str]) -> None:
    """Says again what the cause has said, where the first process has not said it for all."""
    cause = cause_of(ends)
    the_first_said_why = any(end.rank == 0 and end.code > 0 and end.code != OF_A_PEER for end in ends)
    if cause.rank != 0 and not the_first_said_why:
        sys.stderr.write(said(cause.rank))
        sys.stderr.flush()


def verdict(ends: Sequence[End], world: int, said: Callable[[int], str]) -> int:
    """The exit status of a run that is over.

    Args:
        ends: of the workers of this machine that did not end well.
        world: how many there are on all machines.
        said: what a worker has written to its standard error.

    Raises:
        RunError: a process was killed, or lost one on another machine.
    """
    if (what := told(ends, world)) is not None:
        raise RunError(
            f"{what}; training has stopped in all. Its last checkpoint is whole: start the same command again with --resume"
        )
    repeat(ends, said)
    code = cause_of(ends).code
    return WRONG if code == OF_MEMORY else code


def say(line: str) -> None:
    """Tells the user a line."""
    print(f"ostinato: {line}", file=sys.stderr, flush=True)
