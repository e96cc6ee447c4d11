"""What keeps sessions outside memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from ostinato.serving.stores.record import Record


class Asked(NamedTuple):
    """A session that a replica wants for itself.

    Attributes:
        model: its name.
        id: of the session.
        token: of the replica, unlike those of others.
        seconds: after which the session is anybody's, if the replica is not heard of.
        version: that the replica has in memory, which is not sent again; -1 for none.
    """

    model: str
    id: str
    token: str
    seconds: float
    version: int


class Lease(NamedTuple):
    """The answer.

    Attributes:
        held: whether the replica has the session now.
        there: whether there is such a session.
        record: of the session, without a body where the replica has that version; None unless `held`.
    """

    held: bool
    there: bool
    record: Record | None


class Store(Protocol):
    """Sessions by model and id. Called by one thread; each call is on the disk, or with the server, when it returns.

    Raises whatever its database raises.
    """

    def put(self, records: Sequence[tuple[str, Record]]) -> None:
        """Keeps (model, record) each, all or none, whatever was there. In a shared store for new sessions only."""
        ...

    def get(self, names: Sequence[tuple[str, str]]) -> list[Record | None]:
        """Those of (model, id) each."""
        ...

    def drop(self, names: Sequence[tuple[str, str]]) -> None:
        """Forgets those of (model, id) each."""
        ...

    def heads(self, model: str, owner: str, limit: int, after: str, now: float | None = None) -> list[Record]:
        """Of an owner's sessions that have not expired `now`, in the order of ids, those behind `after`; with heads of bodies."""
        ...

    def count(self, model: str) -> int:
        """How many there are."""
        ...

    def sweep(self, now: float, spared: Collection[tuple[str, str]] = ()) -> int:
        """Forgets those that have expired but for (model, id) each that are `spared`; how many."""
        ...

    def retire(self, model: str, signature: bytes, at: float) -> None:
        """Lets those of a model whose states are of another signature expire at a time."""
        ...

    # of a store that several replicas use

    def acquire(self, asked: Sequence[Asked]) -> list[Lease]:
        """Gives sessions to a replica."""
        ...

    def commit(self, given: Sequence[tuple[str, str, Record]]) -> list[bool]:
        """Keeps (model, token, record) each, and ends the lease.

        Returns:
            False, and nothing is kept, where another replica has the session, or had it since.
        """
        ...

    def hold(self, given: Sequence[tuple[str, str, Record]]) -> list[bool]:
        """As `commit`, but the lease goes on."""
        ...

    def renew(self, held: Sequence[Asked]) -> list[bool]:
        """Holds on to leases."""
        ...

    def release(self, held: Sequence[tuple[str, str, str]]) -> None:
        """Ends the leases of (model, id, token) each, if they are still theirs."""
        ...

    def ping(self) -> None:
        """Raises where it cannot be reached."""
        ...

    def close(self) -> None:
        """Lets go of it."""
        ...
