"""The leases of this replica: sessions of a shared store that only it may use."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time

from ostinato.serving.errors import BusyError, ServingError
from ostinato.serving.stores.keeper import Keeper
from ostinato.serving.stores.store import Asked, Lease


class Leases:
    """The leases of the sessions of a model in which this replica has the turn.

    Args:
        name: the name of the model.
        keeper: the thread of the store.
        seconds: how long a lease lasts if it is not renewed.

    Attributes:
        token: the token of this replica, different from those of others.
    """

    def __init__(self, name: str, keeper: Keeper, seconds: float) -> None:
        self._name, self._keeper, self._seconds = name, keeper, seconds
        self.token = secrets.token_hex(12)
        self._held: set[str] = set()

    async def acquire(self, id: str, version: int) -> Lease:
        """Wait until no other replica has a session, and lease it; the answer is not held if there is no such session.

        Args:
            id: the id of the session.
            version: the version in memory; -1 for none.

        Raises:
            BusyError: another replica has it for longer than 1.5 times a lease.
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
        """End the lease of a session in which nothing has changed."""
        self._held.discard(id)
        self._keeper.release(self._name, id, self.token)

    def ended(self, id: str) -> None:
        """Forget a lease that ended with a change, or was lost."""
        self._held.discard(id)

    async def renew(self) -> None:
        """Renew all leases."""
        if self._held:
            asked = [Asked(self._name, id, self.token, self._seconds, 0) for id in self._held]
            with contextlib.suppress(ServingError):  # a lost lease shows when its change is refused
                await self._keeper.renew(asked)
