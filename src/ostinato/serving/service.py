"""Models and sessions as a service, without HTTP. Its methods are called on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ostinato.errors import OstinatoError, StateError
from ostinato.serving.answers.predicting import answers
from ostinato.serving.answers.units import ranked_units, units
from ostinato.serving.answers.writing import WRITERS, write_for
from ostinato.serving.errors import BadRequestError, NotFoundError, ServingError, UnavailableError
from ostinato.serving.generating import Generating, Piece
from ostinato.serving.limits import Limits
from ostinato.serving.served import Served
from ostinato.serving.sessions.keeping import Keeping
from ostinato.serving.sessions.sessions import Sessions
from ostinato.serving.stepping.stepper import Stepper
from ostinato.serving.stores.file_lock import FileLock, is_remote, lock_of
from ostinato.serving.stores.keeper import Keeper
from ostinato.serving.stores.store import Store

_LOG = logging.getLogger("ostinato.serving")
_SWEEP_SECONDS = 60.0
_RANKING_SECONDS = 2.0  # how long an answer about units waits for the ranking of those that mean something
_LONGEST_ID = 64
_PING_SECONDS = 1.0  # how long the store may take to answer a ping, and how long its answer is reused
T = TypeVar("T")


class Service:
    """Models by name, and their sessions.

    `owner` is the name of the token that a request came with, "" without tokens; only its owner can use a session.

    Args:
        runs: folders of runs, by the name that each model gets.
        limits: the limits of the service.
        store: where sessions are stored: a file for SQLite, "redis://..." (or rediss://, unix://); None for memory
            only.
        shared: whether other processes use the store too; always true for Redis. A file that is not shared is locked by
            the service; the lock of a shared file is held by the process that starts the workers.
        on_batch: called on the event loop after each batch of a model, with its name, rows and seconds.

    Attributes:
        models: the models by name.
        ready: whether the service takes requests.
    """

    def __init__(
        self,
        runs: Mapping[str, str],
        limits: Limits | None = None,
        *,
        store: str | None = None,
        shared: bool = False,
        on_batch: Callable[[str, int, float], None] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.models: dict[str, Served] = {}
        self.ready = False
        self._runs, self._where, self._on_batch = dict(runs), store, on_batch
        self._shared = shared or is_remote(store)
        self._sessions: dict[str, Sessions] = {}
        self._ranked: dict[str, tuple[Served, asyncio.Future[list[dict[str, Any]]]]] = {}
        self._keeper: Keeper | None = None
        self._lock: FileLock | None = None
        self._worker = ThreadPoolExecutor(1, "ostinato-answer")
        self._tasks: list[asyncio.Task[None]] = []
        self._pinged: tuple[float, asyncio.Task[bool]] | None = None

    async def start(self) -> None:
        """Open the store, start the threads and load the models.

        Raises:
            OstinatoError: a run cannot be read, the store cannot be opened, or another server uses it.
        """
        try:
            await self._start()
        except BaseException:
            self._unlock()
            raise

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        if self._where is not None:
            store = await asyncio.to_thread(open_store, self._where)
            try:
                await asyncio.to_thread(store.ping)
                if not self._shared and (lock := lock_of(self._where)) is not None:
                    self._lock = lock.__enter__()
            except OstinatoError:
                store.close()
                raise
            except Exception as error:  # the errors of the databases have no common class
                raise StateError(f"the store of sessions cannot be reached: {error}") from error
            self._keeper = Keeper(store)
        for name, run in self._runs.items():
            served = await loop.run_in_executor(self._worker, Served, name, run)
            self.models[name] = served
            if served.kind is not None:
                self._sessions[name] = self._made(served)
                await self._sessions[name].keeping.count()
        limits = self.limits
        ends = [each for each in (limits.idle_seconds, limits.total_seconds) if each is not None]
        sweeps = max(0.05, min([_SWEEP_SECONDS, *(each / 4 for each in ends)]))
        self._every(limits.snapshot_seconds, lambda keeping: keeping.snapshot())
        self._every(sweeps, lambda keeping: keeping.sweep(), self._swept)
        if self._shared:
            self._every(limits.lease_seconds / 3, _renewed)
        self.ready = True

    async def drain(self, seconds: float = 30.0) -> None:
        """Refuse new requests, finish accepted ones within `seconds`, put all sessions into the store, and close."""
        self.ready = False
        every = [each.keeping for each in self._sessions.values()]
        for keeping in every:
            keeping.closing = True
        until = time.monotonic() + seconds
        while any(keeping.queued for keeping in every) and time.monotonic() < until:
            await asyncio.sleep(0.005)
        for keeping in every:
            keeping.stepper.give_up()
        while any(keeping.queued for keeping in every) and time.monotonic() < until + 5.0:
            await asyncio.sleep(0.005)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for keeping in every:
            await keeping.finish()
            await keeping.stepper.stop()
        if self._keeper is not None:
            await self._keeper.close()
            self._keeper = None
        self._unlock()
        await asyncio.to_thread(self._worker.shutdown)

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.__exit__(None, None, None)
            self._lock = None

    async def reaches_store(self) -> bool:
        """Tell whether the store answers; True if there is none."""
        keeper, now = self._keeper, time.monotonic()
        if keeper is None:
            return True
        if self._pinged is None or (self._pinged[1].done() and now - self._pinged[0] > _PING_SECONDS):
            self._pinged = now, asyncio.get_running_loop().create_task(_answers(keeper))
        return await asyncio.shield(self._pinged[1])

    async def reload(self, name: str) -> dict[str, Any]:
        """Read a run again.

        Returns:
            "sessions": how many sessions continue; "gone": how many do not fit and have ended.
        """
        before = self._served(name)
        loop = asyncio.get_running_loop()
        served = await loop.run_in_executor(self._worker, Served, name, self._runs[name])
        old = self._sessions.get(name)
        fits = (
            old is not None
            and served.bank is not None
            and before.bank is not None
            and served.bank.signature == before.bank.signature
        )
        if old is not None and served.kind is not None and served.bank is not None and fits:
            await old.keeping.stepper.take_over(served.kind, served.bank)
            self.models[name] = served
            return {"sessions": old.keeping.total, "gone": 0}
        gone = 0
        if old is not None:
            gone = old.keeping.total
            await self._end(old)
            del self._sessions[name]
        self.models[name] = served
        if served.kind is not None:
            self._sessions[name] = self._made(served)
            await self._sessions[name].keeping.retire()
            await self._sessions[name].keeping.count()
        return {"sessions": 0, "gone": gone}

    async def predict(
        self, model: str, inputs: list[Any], options: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Answer each input as `ostinato predict` does; inputs are as in `ostinato.serving.answers.predicting`.

        Args:
            model: the name of the model.
            inputs: any number of inputs.
            options: how to answer, as `--options` of the command.
        """
        served = self._served(model)
        self._check_ready()
        loop = asyncio.get_running_loop()
        work = functools.partial(answers, served.trained, inputs, options or {}, self.limits.max_tokens)
        return await self._told(loop.run_in_executor(self._worker, work))

    def generate(self, model: str, prompt: Any, how: Generating) -> AsyncIterator[Piece]:
        """Write a text without a session, token by token; close the iterator (`aclose`) to stop.

        Args:
            model: the name of the model.
            prompt: for a language model a text, or numbers of tokens; for a translator a text; for a captioner an image
                in base64.
            how: how to write.
        """
        served = self._served(model)
        self._check_ready()
        if served.task in WRITERS:
            return self._written(served, prompt, how)
        return self._of(model).generate(prompt, how)

    async def score(self, model: str, prompt: str | list[int], top: int = 0) -> list[Piece]:
        """Return the tokens of a text with their log probabilities under a language model.

        Args:
            model: the name of the model.
            prompt: a text, or numbers of tokens.
            top: how many of the most likely tokens to return beside each.
        """
        self._check_ready()
        return await self._of(model).score(prompt, top)

    async def open(self, model: str, owner: str, begin: Mapping[str, Any]) -> dict[str, Any]:
        """Begin a session; return its view, with "said" if something was read."""
        self._check_ready()
        return await self._of(model).open(owner, begin)

    async def view(self, model: str, owner: str, id: str) -> dict[str, Any]:
        """Return the view of a session: id, model, task, step, saved, marks, created, expires."""
        return await self._of(model).view(owner, _id(id))

    async def list(self, model: str, owner: str, limit: int = 100, after: str | None = None) -> list[dict[str, Any]]:
        """Return the views of the owner's sessions in the order of their ids."""
        return await self._of(model).list(owner, limit, after)

    async def steps(
        self, model: str, owner: str, id: str, body: Mapping[str, Any], key: str | None = None
    ) -> dict[str, Any]:
        """Let a session read inputs; return the answer of the model after them."""
        return await self._of(model).steps(owner, _id(id), body, key)

    def write(
        self, model: str, owner: str, id: str, how: Generating, key: str | None = None, prompt: str = ""
    ) -> AsyncIterator[Piece]:
        """Write text in a session, which continues after the text."""
        return self._of(model).write(owner, _id(id), how, key, prompt)

    async def mark(self, model: str, owner: str, id: str, name: str) -> dict[str, Any]:
        """Mark the current place of a session with a name."""
        return await _whole(self._of(model).mark(owner, _id(id), name))

    async def rewind(self, model: str, owner: str, id: str, name: str) -> dict[str, Any]:
        """Set a session back to a mark."""
        return await _whole(self._of(model).rewind(owner, _id(id), name))

    async def fork(self, model: str, owner: str, id: str, mark: str | None = None) -> dict[str, Any]:
        """Begin a session that continues from the place of this one, or from a mark of it."""
        self._check_ready()
        return await _whole(self._of(model).fork(owner, _id(id), mark))

    async def state(self, model: str, owner: str, id: str) -> bytes:
        """Return the state as bytes, which `Stream(model).from_bytes` accepts too."""
        return await _whole(self._of(model).state(owner, _id(id)))

    async def put_state(self, model: str, owner: str, id: str, data: bytes, step: int | None = None) -> dict[str, Any]:
        """Set the state of a session.

        Args:
            model: the name of the model.
            owner: the owner of the session.
            id: the id of the session.
            data: bytes from `state`.
            step: the step of that state; None leaves the session's count of steps.
        """
        return await _whole(self._of(model).put_state(owner, _id(id), data, step))

    async def delete(self, model: str, owner: str, id: str) -> None:
        """End a session."""
        await _whole(self._of(model).delete(owner, _id(id)))

    async def units(self, model: str, text: str) -> dict[str, Any]:
        """Return the values of a language model's units over a text, and which units mean something."""
        served = self._served(model)
        self._check_ready()
        loop = asyncio.get_running_loop()
        ranked = self._ranked.get(model)
        if ranked is None or ranked[0] is not served:
            # On a thread of its own, as it takes seconds, in which `_worker` answers others.
            best = loop.run_in_executor(None, ranked_units, served.trained)
            best.add_done_callback(lambda done: done.cancelled() or done.exception())
            ranked = self._ranked[model] = served, best
        await asyncio.wait([ranked[1]], timeout=_RANKING_SECONDS)
        done = ranked[1].done() and not ranked[1].cancelled() and ranked[1].exception() is None
        work = functools.partial(
            units, served.trained, text, self.limits.max_tokens, ranked[1].result() if done else None
        )
        return await self._told(loop.run_in_executor(self._worker, work))

    def stats(self) -> dict[str, Any]:
        """Return by model: "sessions" (in memory), "stored", "evictions", "loads", "queue", "steps", "snapshots"."""
        return {
            name: {
                "sessions": len(each.keeping.memory),
                "stored": each.keeping.total,
                "queue": each.keeping.queued,
                **each.keeping.counts,
            }
            for name, each in self._sessions.items()
        }

    # parts

    def _served(self, model: str) -> Served:
        found = self.models.get(model)
        if found is None:
            raise NotFoundError("there is no such model; GET /v1/models lists them", param="model")
        return found

    def _of(self, model: str) -> Sessions:
        served = self._served(model)
        found = self._sessions.get(model)
        if found is None:
            raise BadRequestError(f"the model has no sessions: {served.why_no_sessions}", param="model")
        return found

    def _check_ready(self) -> None:
        if not self.ready:
            raise UnavailableError("the service is not ready; try again", retry_after=1.0)

    def _made(self, served: Served) -> Sessions:
        """Make the stepping thread and the sessions of a model."""
        limits, name = self.limits, served.name
        assert served.kind is not None
        assert served.bank is not None
        told = None if self._on_batch is None else functools.partial(self._on_batch, name)
        stepper = Stepper(
            name,
            served.kind,
            served.bank,
            max_batch=limits.max_batch,
            max_wait=limits.max_wait_us * 1e-6,
            on_batch=told,
        )
        return Sessions(Keeping(name, stepper, limits, self._keeper, shared=self._shared))

    async def _end(self, sessions: Sessions) -> None:
        """End the sessions of a model that is replaced by one that they do not fit."""
        sessions.keeping.closing = True
        sessions.keeping.stepper.give_up()
        while sessions.keeping.queued:
            await asyncio.sleep(0.005)
        await sessions.keeping.finish()  # so that clients get the error "gone" rather than "not found"
        await sessions.keeping.stepper.stop()

    def _every(
        self,
        seconds: float,
        work: Callable[[Keeping], Awaitable[None]],
        also: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        async def goes_on() -> None:
            while True:
                await asyncio.sleep(seconds)
                for sessions in list(self._sessions.values()):
                    with contextlib.suppress(ServingError):  # it was logged, and the work is retried in the next round
                        await work(sessions.keeping)
                if also is not None:
                    with contextlib.suppress(ServingError):
                        await also()

        self._tasks.append(asyncio.get_running_loop().create_task(goes_on()))

    async def _swept(self) -> None:
        if self._keeper is not None:
            every = [each.keeping for each in self._sessions.values()]
            now = min([keeping.store_now() for keeping in every], default=time.time())
            spared = () if self._shared else {(keeping.name, id) for keeping in every for id in keeping.memory}
            await self._keeper.call("sweep", now, spared)

    async def _written(self, served: Served, given: Any, how: Generating) -> AsyncIterator[Piece]:
        """Write a translation or a caption; between two tokens, other requests can use the thread."""
        loop = asyncio.get_running_loop()
        pieces = write_for(served.trained, given, how, self.limits.max_tokens)
        while (piece := await self._told(loop.run_in_executor(self._worker, next, pieces, None))) is not None:
            yield piece

    async def _told(self, answer: Awaitable[T]) -> T:
        """Await an answer; turn other errors of Ostinato into a BadRequestError."""
        try:
            return await answer
        except OstinatoError as error:
            raise error if isinstance(error, ServingError) else BadRequestError(str(error)) from error


def open_store(where: str) -> Store:
    """Open a store by its address: redis://, rediss:// or unix:// for Redis, else a file for SQLite.

    Raises:
        OstinatoError: the store cannot be opened.
    """
    if is_remote(where):
        from ostinato.serving.stores.redis import RedisStore

        return RedisStore(where)
    from ostinato.serving.stores.sqlite import SqliteStore

    return SqliteStore(where.removeprefix("sqlite://"))


async def _answers(keeper: Keeper) -> bool:
    try:
        await asyncio.wait_for(keeper.call("ping"), _PING_SECONDS)
    except (ServingError, TimeoutError):
        return False
    return True


async def _renewed(keeping: Keeping) -> None:
    if keeping.leases is not None:
        await keeping.leases.renew()


async def _whole(work: Any) -> Any:
    """Run work to its end, even if the caller is cancelled."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise


def _id(id: str) -> str:
    if not isinstance(id, str) or len(id) > _LONGEST_ID:
        raise NotFoundError("there is no such session", param="id")
    return id
