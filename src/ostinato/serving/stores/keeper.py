"""The thread that calls a store, with all waiting requests together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ostinato.serving.errors import UnavailableError
from ostinato.serving.stores.record import Record
from ostinato.serving.stores.store import Asked, Lease, Store

_LOG = logging.getLogger("ostinato.serving")
_MANY = (
    "hold",
    "commit",
    "put",
    "drop",
    "renew",
    "release",
    "acquire",
    "get",
)  # the order in which calls that wait together are made


class Keeper:
    """A store on a thread of its own. Calls that wait together become one call of the store, in one transaction.

    A second call about the same session must wait for the answer to the first; only `put`s, and `hold`s before a
    `commit`, may follow each other at once.

    Args:
        store: the store; from now on only the thread may use it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._inbox: queue.SimpleQueue[tuple[str, Any, Callable[[Any], None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ostinato-store", daemon=True)
        self._thread.start()

    # one session each

    async def put(self, model: str, make: Callable[[], Sequence[Record]]) -> None:
        """Store the records that `make` returns; it is called in the thread."""
        await self._ask("put", (model, make))

    def put_then(self, model: str, make: Callable[[], Sequence[Record]], done: Callable[[Any], None]) -> None:
        """Store records as `put` does; `done` is called on the event loop with None, or the error."""
        self._inbox.put(("put", (model, make), done))

    async def get(self, model: str, id: str) -> Record | None:
        """Return the record of a session; None if there is none."""
        return await self._ask("get", (model, id))

    async def drop(self, model: str, id: str) -> None:
        """Remove a session."""
        await self._ask("drop", (model, id))

    async def acquire(self, asked: Asked) -> Lease:
        """See `Store`."""
        return await self._ask("acquire", asked)

    def commit_then(self, model: str, token: str, make: Callable[[], Record], done: Callable[[Any], None]) -> None:
        """See `Store`; `done` is called on the event loop with whether the record was stored, or the error."""
        self._inbox.put(("commit", (model, token, make), done))

    def hold_then(self, model: str, token: str, make: Callable[[], Record], done: Callable[[Any], None]) -> None:
        """See `Store.hold`; `done` is called as for `commit_then`."""
        self._inbox.put(("hold", (model, token, make), done))

    async def renew(self, held: Sequence[Asked]) -> list[bool]:
        """See `Store`."""
        return [await each for each in [self._later("renew", one) for one in held]]

    def release(self, model: str, id: str, token: str) -> None:
        """See `Store`; it returns at once."""
        self._inbox.put(("release", (model, id, token), lambda _: None))

    async def call(self, name: str, *arguments: Any) -> Any:
        """Call any other method of the store."""
        return await self._ask("call", (name, arguments))

    async def close(self) -> None:
        """End the thread after it has done everything that it was given."""
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    def _later(self, kind: str, what: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(found: Any) -> None:
            if future.done():
                return
            if isinstance(found, BaseException):
                future.set_exception(found)
            else:
                future.set_result(found)

        self._inbox.put((kind, what, done))
        return future

    async def _ask(self, kind: str, what: Any) -> Any:
        return await self._later(kind, what)

    # in the thread

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            waiting = [self._inbox.get()]
            while not self._inbox.empty():
                waiting.append(self._inbox.get())
            goes_on = None not in waiting
            groups: dict[str, list[Any]] = {}
            for each in waiting:
                if each is not None:
                    groups.setdefault(each[0], []).append(each)
            events: list[tuple[Callable[[Any], None], Any]] = []
            for kind in (*_MANY, "call"):
                if some := groups.get(kind):
                    events.extend(self._together(kind, some))
            with contextlib.suppress(RuntimeError):  # the loop is closed, so no request waits
                self._loop.call_soon_threadsafe(_deliver, events)
        self._store.close()

    def _together(self, kind: str, some: list[Any]) -> list[tuple[Callable[[Any], None], Any]]:
        given = [what for _, what, _ in some]
        try:
            if kind == "put":
                self._store.put([(model, r) for model, make in given for r in make()])
                found: Sequence[Any] = [None] * len(some)
            elif kind in ("hold", "commit"):
                found = getattr(self._store, kind)([(model, token, make()) for model, token, make in given])
            elif kind == "call":
                found = [getattr(self._store, name)(*arguments) for name, arguments in given]
            else:
                answers = getattr(self._store, kind)(given)
                found = [None] * len(some) if answers is None else answers
        except Exception as error:
            _LOG.error("the store of sessions failed: %s", error)
            found = [UnavailableError("the store of sessions cannot be reached; try again", retry_after=1.0)] * len(
                some
            )
        return [(done, each) for (_, _, done), each in zip(some, found, strict=True)]


def _deliver(events: list[tuple[Callable[[Any], None], Any]]) -> None:
    for done, what in events:
        try:
            done(what)
        except Exception:
            _LOG.exception("what waits for the store failed")
