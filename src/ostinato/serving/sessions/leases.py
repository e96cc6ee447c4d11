"""Which sessions of a shared store this replica has for itself."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time

from ostinato.serving.errors import BusyError, ServingError
from ostinato.serving.stores.keeper import Keeper
from ostinato.serving.stores.store import Asked, Lease


class Leases:
    """Of the sessions of a model, those that somebody here has the turn in.

    Args:
        name: of the model.
        keeper: of the store.
        seconds: after which a lease ends that is not renewed.

    Attributes:
        token: of this replica, unlike those of others.
    """

    def __init__(self, name: str, keeper: Keeper, seconds: float) -> None:
        self._name, self._keeper, self._seconds = name, keeper, seconds
        self.token = secrets.token_hex(12)
        self._held: set[str] = set()

    async def acquire(self, id: str, version: int) -> Lease:
        """Waits until nobody else has a session; the answer is held, unless there is none.

        Args:
            id: of the session.
            version: that is in memory; -1 for none.

        Raises:
            BusyError: another replica has it for longer than a lease.
        """
        until, pause = time.monotonic() + 1.5 * self._seconds, 0.002
        while True:
            lease = await self._keeper.acquire(Asked(self._name, id, self.token, self._seconds, version))
            if lease.held:
                self._held.add(id)
            if lease.held or not lease.there:
                return lease
            if time.monotonic() > until:
                raise BusyError("another replica has the session; try again", retry_after=1.0)
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.1)

    def release(self, id: str) -> None:
        """Lets others have a session in which nothing has changed."""
        self._held.discard(id)
        self._keeper.release(self._name, id, self.token)

    def ended(self, id: str) -> None:
        """The lease ended with a change, or was lost."""
        self._held.discard(id)

    async def renew(self) -> None:
        """Holds on to all of them."""
        if self._held:
            asked = [Asked(self._name, id, self.token, self._seconds, 0) for id in self._held]
            with contextlib.suppress(ServingError):  # a lease that is lost is told when its change is refused
                await self._keeper.renew(asked)
