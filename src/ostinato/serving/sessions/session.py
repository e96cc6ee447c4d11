"""A session in memory, and the turns in it."""

from __future__ import annotations

import asyncio
from collections import deque


class Session:
    """A session whose state is in a row of the bank. Used on the event loop only.

    Attributes:
        id: the id of the session.
        owner: the owner of the session.
        row: the row of the bank; -1 if the session is not in memory (any more).
        step: how many inputs were read.
        saved: the step of the state in the store; -1 for none.
        created: when it was made, in Unix seconds.
        used: when it was last used, in Unix seconds.
        version: a number that grows with each change.
        saved_version: the version in the store; -1 for none.
        marks: step and state of each mark, by name; None for no marks.
        key: the last idempotency key, the digest of its request, and the answer; None for none.
        is_busy: whether a request has the turn.
        waiting: futures of the requests that wait for the turn, in their order; None if none waits.
        is_ending: whether the session is being deleted, so that its texts are not continued.
        is_late: whether the session must be stored when its turn ends.
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
        """Wait until all earlier requests are done, and take the turn."""
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
            if future.done() and not future.cancelled():  # the turn came, but the caller was cancelled
                self.pass_on()
            raise

    def pass_on(self) -> None:
        """Give the turn to the request that has waited longest; end it if none waits."""
        while self.waiting:
            future = self.waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self.waiting = None
        self.is_busy = False
