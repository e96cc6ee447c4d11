"""What a session has its row do: read inputs, and say something of them, or write."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ostinato.serving.stepping.writing import Writing


class Copy(NamedTuple):
    """The state of a row in the middle of a job, between two steps.

    Attributes:
        at: steps of the job that it is behind; 0 where the job may still be taken back, so that this is where it began.
        state: packed.
    """

    at: int
    state: bytes


class Job:
    """Steps of one row. Made on the event loop, done by the stepping thread, which alone touches it until `done` is called.

    Args:
        row: of the bank.
        inputs: what is read, one a step.
        every: say something after every step, rather than after the last.
        asked: what is said, as the kind of task understands it; None for nothing.
        done: called on the event loop at the end.
        packs: whether the state is packed at the end.
        copied: called on the event loop with copies of the state on the way; see `Copy`.
        copies: whether the stepping thread makes copies by itself, every so many tokens or seconds that are written; else when it
            is asked to, see `Stepper.copy`.

    Attributes:
        at: steps done.
        said: the answers so far.
        writing: where tokens are drawn after the inputs.
        error: why it failed; the row is then where the job found it, or, where it was writing, behind the last token.
        cancelled: set on the event loop where nobody waits any more; a writing job then ends at its next step.
        packed: the state at the end.
        copying: whether a copy is on its way to the store: until the event loop takes this back there is no other.
        copied_at: steps done when the last copy was made.
        copied_time: when that was.
    """

    __slots__ = (
        "asked",
        "at",
        "cancelled",
        "copied",
        "copied_at",
        "copied_time",
        "copies",
        "copying",
        "done",
        "error",
        "every",
        "inputs",
        "packed",
        "packs",
        "row",
        "said",
        "undo",
        "writing",
    )

    def __init__(
        self,
        row: int,
        inputs: list[Any],
        *,
        done: Callable[[Job], None],
        every: bool = False,
        asked: Any = None,
        writing: Writing | None = None,
        packs: bool = False,
        copied: Callable[[Copy], None] | None = None,
        copies: bool = False,
    ) -> None:
        self.row, self.inputs, self.every, self.asked, self.done = row, inputs, every, asked, done
        self.writing, self.packs = writing, packs
        self.at = 0
        self.said: list[Any] = []
        self.error: BaseException | None = None
        self.cancelled = False
        self.packed: bytes | None = None
        self.undo: bytes | None = None
        self.copied, self.copies, self.copying = copied, copies, False
        self.copied_at, self.copied_time = 0, -math.inf

    @property
    def waits(self) -> bool:
        """Whether it writes faster than somebody reads."""
        return self.writing is not None and self.writing.full and not self.cancelled
