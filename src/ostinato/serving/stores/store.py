"""The interface of stores, which hold sessions outside memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from ostinato.serving.stores.record import Record


class Asked(NamedTuple):
    """A request of a replica for the lease of a session.

    Attributes:
        model: the name of the model.
        id: the id of the session.
        token: the token of the replica, different from those of others.
        seconds: how long the lease lasts if the replica does not renew it.
        version: the version that the replica has in memory, whose body is not sent again; -1 for none.
    """

    model: str
    id: str
    token: str
    seconds: float
    version: int


class Lease(NamedTuple):
    """The answer to a request for a lease.

    Attributes:
        held: whether the replica has the lease now.
        there: whether there is such a session.
        record: the record of the session, without a body if the replica has that version; None unless `held`.
    """

    held: bool
    there: bool
    record: Record | None


class Store(Protocol):
    """A store of sessions by model and id. One thread calls it; after a call its changes are on disk or in the server.

    Its methods raise the errors of their database.
    """

    def put(self, records: Sequence[tuple[str, Record]]) -> None:
        """Store (model, record) pairs, all or none, over earlier records. In a shared store only for new sessions."""
        ...

    def get(self, names: Sequence[tuple[str, str]]) -> list[Record | None]:
        """Return the records with these (model, id); None for each that does not exist."""
        ...

    def drop(self, names: Sequence[tuple[str, str]]) -> None:
        """Remove the sessions with these (model, id)."""
        ...

    def heads(self, model: str, owner: str, limit: int, after: str, now: float | None = None) -> list[Record]:
        """Return an owner's sessions after the id `after`, by id, not expired at `now`; their bodies are heads only."""
        ...

    def count(self, model: str) -> int:
        """Return the number of sessions of a model."""
        ...

    def sweep(self, now: float, spared: Collection[tuple[str, str]] = ()) -> int:
        """Remove expired sessions, except the (model, id) in `spared`; return how many were removed."""
        ...

    def retire(self, model: str, signature: bytes, at: float) -> None:
        """Let the sessions of a model whose states have another signature expire at the time `at`."""
        ...

    # of a store that several replicas use

    def acquire(self, asked: Sequence[Asked]) -> list[Lease]:
        """Lease sessions to a replica."""
        ...

    def commit(self, given: Sequence[tuple[str, str, Record]]) -> list[bool]:
        """Store the record of each (model, token, record), and end the lease.

        Returns:
            For each whether it was stored; False if another replica has the session, or had it since.
        """
        ...

    def hold(self, given: Sequence[tuple[str, str, Record]]) -> list[bool]:
        """Store records as `commit` does, but let the leases continue."""
        ...

    def renew(self, held: Sequence[Asked]) -> list[bool]:
        """Renew leases; return for each whether the replica still has it."""
        ...

    def release(self, held: Sequence[tuple[str, str, str]]) -> None:
        """End the lease of each (model, id, token), if the token still has it."""
        ...

    def ping(self) -> None:
        """Raise an error if the store cannot be reached."""
        ...

    def close(self) -> None:
        """Close the store."""
        ...
