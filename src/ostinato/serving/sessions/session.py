"""A session in memory, and whose turn in it is."""

from __future__ import annotations

import asyncio
from collections import deque


class Session:
    """What is known of a session whose state is in a row. Touched on the event loop alone.

    Attributes:
        id: of the session.
        owner: whose it is.
        row: of the bank; -1 where it is in memory no more.
        step: inputs that were read.
        saved: the step of the state that is on disk, or with the server; -1 for none.
        created: unix seconds.
        used: the same, when it was used last.
        version: goes up with each change.
        saved_version: of what is on disk; -1 for none.
        marks: step and state by name; None for none.
        key: the last idempotency key, the digest of its request and the answer; None without.
        is_busy: whether somebody has the turn.
        waiting: for the turn, in their order; None where nobody does.
        is_ending: whether somebody deletes it: texts that it writes are not gone on with.
        is_late: whether it shall be put on disk when its turn ends.
    """

    __slots__ = (
        "created",
        "id",
        "is_busy",
        "is_ending",
        "is_late",
        "key",
        "marks",
        "owner",
        "row",
        "saved",
        "saved_version",
        "step",
        "used",
        "version",
        "waiting",
    )

    def __init__(self, id: str, owner: str, row: int, now: float) -> None:
        self.id, self.owner, self.row = id, owner, row
        self.step, self.saved = 0, -1
        self.created = self.used = now
        self.version, self.saved_version = 0, -1
        self.marks: dict[str, tuple[int, bytes]] | None = None
        self.key: tuple[str, bytes, bytes] | None = None
        self.is_busy = self.is_late = self.is_ending = False
        self.waiting: deque[asyncio.Future[None]] | None = None

    async def turn(self) -> None:
        """Waits until everybody that came before is done."""
        if not self.is_busy:
            self.is_busy = True
            return
        if self.waiting is None:
            self.waiting = deque()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # the turn came, and nobody takes it
                self.pass_on()
            raise

    def pass_on(self) -> None:
        """Gives the turn to whoever waits longest."""
        while self.waiting:
            future = self.waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self.waiting = None
        self.is_busy = False
