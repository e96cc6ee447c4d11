"""What a session has its row do: read inputs, and say something of them, or write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ostinato.serving.stepping.writing import Writing


class Job:
    """Steps of one row. Made on the event loop, done by the stepping thread, which alone touches it until `done` is called.

    Args:
        row: of the bank.
        inputs: what is read, one a step.
        every: say something after every step, rather than after the last.
        asked: what is said, as the kind of task understands it; None for nothing.
        done: called on the event loop at the end.
        packs: whether the state is packed at the end.

    Attributes:
        at: steps done.
        said: the answers so far.
        writing: where tokens are drawn after the inputs.
        error: why it failed; the row is then where the job found it, or, where it was writing, behind the last token.
        cancelled: set on the event loop where nobody waits any more; a writing job then ends at its next step.
        packed: the state at the end.
    """

    __slots__ = (
        "asked",
        "at",
        "cancelled",
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
    ) -> None:
        self.row, self.inputs, self.every, self.asked, self.done = row, inputs, every, asked, done
        self.writing, self.packs = writing, packs
        self.at = 0
        self.said: list[Any] = []
        self.error: BaseException | None = None
        self.cancelled = False
        self.packed: bytes | None = None
        self.undo: bytes | None = None

    @property
    def waits(self) -> bool:
        """Whether it writes faster than somebody reads."""
        return self.writing is not None and self.writing.full and not self.cancelled
