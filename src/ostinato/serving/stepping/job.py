"""The job of a row: to read inputs and answer, or to write."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ostinato.serving.stepping.writing import Writing


class Copy(NamedTuple):
    """The state of a row in the middle of a job, between two steps.

    Attributes:
        at: after how many steps of the job the copy was made; 0 if the job may still be undone, so that it is the state
            before it.
        state: the packed state.
    """

    at: int
    state: bytes


class Job:
    """Steps of one row. The event loop makes a job; until `done` is called only the stepping thread uses it then.

    Args:
        row: the row of the bank.
        inputs: the inputs to read, one for each step.
        every: answer after every step, and not only after the last.
        asked: the requested answer, in the form of the kind of task; None for no answer.
        done: called on the event loop at the end.
        writing: the text to write after the inputs; None for no text.
        packs: whether to pack the state at the end.
        copied: called on the event loop with copies of the state during the job; see `Copy`.
        copies: whether the stepping thread makes copies by itself, after some written tokens or some time; else only on
            request, see `Stepper.copy`.

    Attributes:
        at: how many steps are done.
        said: the answers so far.
        writing: the text that is written after the inputs.
        error: why the job failed; the row is then in the state before the job, or, if it was writing, after the last
            token.
        cancelled: set on the event loop if the text is not wanted any more; a writing job then ends at its next step.
        packed: the state at the end.
        undo: the state before the job, while it may still be undone.
        copying: whether a copy is being stored: until the event loop resets this, no other copy is made.
        copied_at: how many steps were done at the last copy.
        copied_time: when the last copy was made.
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
        """Whether the job must wait because its text is read more slowly than it is written."""
        return self.writing is not None and self.writing.full and not self.cancelled
