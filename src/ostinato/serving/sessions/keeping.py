"""Sessions in memory, and the transfer of their states to the store and back.

If a service is alone on its store, it writes the sessions that have changed every few seconds, or before each answer.
If replicas share the store, each session is leased during a turn, and every change is in the store before its answer is
sent.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ostinato.serving.errors import BusyError, NotFoundError, UnavailableError
from ostinato.serving.limits import Limits
from ostinato.serving.sessions.kept import Meta, body_of, record_of, take_over
from ostinato.serving.sessions.leases import Leases
from ostinato.serving.sessions.rows import Rows
from ostinato.serving.sessions.session import Session
from ostinato.serving.stepping.job import Copy, Job
from ostinato.serving.stepping.stepper import Stepper
from ostinato.serving.stores.keeper import Keeper
from ostinato.serving.stores.record import Record

_LOG = logging.getLogger("ostinato.serving")
_ROOM_SECONDS = 5.0  # how long a request waits for room in memory
# How long requests for a session that does not fit its new model get the error "gone" rather than "not found".
_GONE_SECONDS = 86_400.0
_CHUNK = 64  # states that are packed between two steps

Then = Callable[[BaseException | None], None]


class Keeping:
    """The sessions of a model.

    Args:
        name: the name of the model.
        stepper: the stepping thread of the model.
        limits: the limits of the service.
        keeper: the thread of the store; None for memory only.
        shared: whether other processes use the store too.
        clock: returns Unix seconds.

    Attributes:
        memory: sessions that have a row, by id.
        total: how many sessions there are, in memory or in the store; for a shared store, when it was last counted.
        queued: how many requests have a turn or wait for one.
        counts: how many "evictions", "loads", "snapshots" and "steps" there were so far.
        closing: whether new requests are refused.
        signature: the signature of the bank, which states must fit.
        leases: the leases of sessions; None if no other process steps them.
        underway: sessions with jobs that take more than a step, and these jobs, by id.
    """

    def __init__(
        self,
        name: str,
        stepper: Stepper,
        limits: Limits,
        keeper: Keeper | None = None,
        *,
        shared: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name, self.stepper, self.limits, self.keeper = name, stepper, limits, keeper
        self._shared, self._clock = shared and keeper is not None, clock
        self._steps_durable = keeper is not None and (self._shared or limits.durability == "step")
        self.rows = Rows(stepper)
        self.memory: dict[str, Session] = {}
        self.total = self.queued = 0
        self.counts = {"evictions": 0, "loads": 0, "snapshots": 0, "steps": 0}
        self.closing = False
        self.leases = Leases(name, keeper, limits.lease_seconds) if shared and keeper is not None else None
        self.underway: dict[str, tuple[Session, Job]] = {}
        self._begun = -math.inf if shared else clock()
        self._dirty: dict[str, Session] = {}
        self._loading: dict[str, asyncio.Future[None]] = {}
        self._evicting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self.signature = stepper.bank.signature

    # turns: one request at a time uses a session

    async def hold(self, owner: str, id: str) -> Session:
        """Wait for the turn in a session, and return the session, now in memory; `keep` or `release` ends the turn.

        Raises:
            ServingError: the owner has no such session, or there is no room.
        """
        self.check()
        self.queued += 1
        try:
            while True:
                session = self.memory.get(id)
                if session is None:
                    if not self._shared:
                        await self._load(owner, id)
                        continue
                    await self.room()
                    session = self.memory.setdefault(id, Session(id, owner, -1, self._clock()))
                if session.owner != owner and session.row >= 0:
                    raise _none()
                await session.turn()
                if self.memory.get(id) is session:
                    break
                session.pass_on()  # the session has left memory meanwhile
            try:
                if self._shared:
                    await self._lease(session, owner)
                if self.is_over(session):
                    self.forget(session)
                    self.total -= 1
                    if self.keeper is not None:
                        await self.keeper.drop(self.name, id)
                    raise _none()
            except BaseException:
                if self.leases is not None:
                    self.leases.release(id)
                    if session.row < 0:
                        self.forget(session)
                session.pass_on()
                raise
        except BaseException:
            self.queued -= 1
            raise
        return session

    def check(self) -> None:
        """Check that another request can be accepted.

        Raises:
            BusyError, UnavailableError: it cannot.
        """
        if self.closing:
            raise UnavailableError("the service is about to end; try again", retry_after=1.0)
        if self.queued >= self.limits.max_queue:
            raise BusyError(f"expected at most {self.limits.max_queue} requests that wait; try again", retry_after=1.0)

    def release(self, session: Session) -> None:
        """End a turn in which nothing has changed."""
        if self.leases is not None:
            self.leases.release(session.id)
        self._end_turn(session)

    def _end_turn(self, session: Session) -> None:
        self.queued -= 1
        if session.is_late:
            session.is_late = False
            if self.memory.get(session.id) is session:
                self._run(self._put(self._packed([session])))  # before the next turn changes the state
        session.pass_on()

    def keep(self, session: Session, state: bytes | None, then: Then, *, new: bool = False) -> None:
        """End a turn in which something has changed.

        Args:
            session: the session as it is now.
            state: the packed state; required if changes must be stored before the answer is sent, see `packs`.
            then: called with None when the answer may be sent, or with the reason why the change is lost.
            new: whether the session is new. A new session is always stored before its answer, so that no client loses
                one.
        """
        if self.keeper is None or not (self._steps_durable or new):
            self._dirty[session.id] = session
            then(None)
            self._end_turn(session)
            return
        assert state is not None
        meta = self._meta(session)
        make = partial(record_of, session, self.signature, state, meta)

        def done(found: Any) -> None:
            if found is None or found is True:
                session.saved, session.saved_version = meta.step, meta.version
                then(None)
            else:  # the session in memory differs from that in the store
                self.forget(session)
                then(found if isinstance(found, BaseException) else _taken())
            if self.leases is not None:
                self.leases.ended(session.id)
            self._end_turn(session)

        if self.leases is not None and not new:
            self.keeper.commit_then(self.name, self.leases.token, make, done)
        else:
            self.keeper.put_then(self.name, lambda: [make()], done)

    def keep_copy(self, session: Session, copy: Copy, then: Then = lambda lost: None) -> None:
        """Store a state from the middle of a turn, which continues.

        Args:
            session: the session.
            copy: a copy of its state.
            then: called with None when the state is stored, or with the reason why it is not.
        """
        keeper = self.keeper
        if keeper is None or self.memory.get(session.id) is not session or session.saved_version < 0:
            return
        if not copy.at and session.version == session.saved_version:
            return  # the store has this state already
        session.used = self._clock()
        if self.leases is not None:
            session.version += 1
        meta = self._meta(session)._replace(step=session.step + copy.at)
        make = partial(record_of, session, self.signature, copy.state, meta)

        def done(found: Any) -> None:
            if found is None or found is True:
                session.saved = meta.step
                if self.leases is not None or not copy.at:  # else the turn's end still has to store this version
                    session.saved_version = meta.version
                self.counts["snapshots"] += 1
                then(None)
            else:
                then(found if isinstance(found, BaseException) else _taken())

        if self.leases is not None:
            keeper.hold_then(self.name, self.leases.token, make, done)
        else:
            keeper.put_then(self.name, lambda: [make()], done)

    def step_of(self, session: Session) -> int:
        """Return the step of a session, which may be writing a text now."""
        _, job = self.underway.get(session.id, (None, None))
        return session.step + (job.at if job is not None and job.writing is not None and job.undo is None else 0)

    @property
    def is_shared(self) -> bool:
        """Whether other processes use the store, so that it is newer than memory."""
        return self._shared

    def now(self) -> float:
        """Return Unix seconds."""
        return self._clock()

    def packs(self, *, new: bool = False) -> bool:
        """Tell whether `keep` needs the packed state."""
        return self._steps_durable or (new and self.keeper is not None)

    def saved(self, session: Session, *, new: bool = False) -> int:
        """Return the step up to which the state is stored when the current change is answered; 0 for none."""
        return session.step if self.packs(new=new) else max(session.saved, 0)

    # into memory

    def add(self, owner: str, state: bytes | None = None) -> Session:
        """Make a session and take its turn; end the turn by `keep` as `new`, or by `forget` and `release`."""
        session = Session(f"s_{secrets.token_urlsafe(15)}", owner, self.rows.take(state), self._clock())
        session.is_busy = True
        self.queued += 1
        self.total += 1
        self.memory[session.id] = session
        return session

    def forget(self, session: Session) -> None:
        """Remove a session from memory; the caller must have its turn."""
        if self.memory.get(session.id) is session:
            del self.memory[session.id]
        self._dirty.pop(session.id, None)
        if session.row >= 0:
            self.rows.give(session.row)
            session.row = -1

    async def _load(self, owner: str, id: str) -> None:
        """Load a session from the store into memory, once for all requests that wait for it."""
        if self.keeper is None:
            raise _none()
        if (loading := self._loading.get(id)) is not None:
            await asyncio.shield(loading)
            return
        self._loading[id] = asyncio.get_running_loop().create_future()
        try:
            record = await self.keeper.get(self.name, id)
            if record is None or record.owner != owner:
                raise _none()
            body = body_of(record, self.signature)
            await self.room()
            session = Session(id, owner, self.rows.take(body.state), record.created)
            take_over(session, record, body)
            self.memory[id] = session
            self.counts["loads"] += 1
        finally:
            self._loading.pop(id).set_result(None)

    async def _lease(self, session: Session, owner: str) -> None:
        """Lease a session that other processes may use too, and bring it to its current state."""
        assert self.leases is not None
        lease = await self.leases.acquire(session.id, session.version if session.row >= 0 else -1)
        record = lease.record
        if record is None:
            self.forget(session)
        if record is None or record.owner != owner:
            raise _none()
        session.owner = owner
        if record.version != session.version or session.row < 0:
            body = body_of(record, self.signature)
            if session.row < 0:
                session.row = self.rows.take(body.state)
            else:
                self.stepper.fresh(session.row, body.state)
            take_over(session, record, body)
            self.counts["loads"] += 1

    # out of memory

    async def room(self) -> None:
        """Make room in memory for another session.

        Raises:
            BusyError: there is no room.
        """
        most = self.limits.sessions_in_memory
        few = max(1, most // 16)
        until = time.monotonic() + _ROOM_SECONDS
        while len(self.memory) >= most:
            if self.keeper is None:
                raise BusyError(
                    f"expected at most {most} sessions at a time; delete one, or try again", retry_after=60.0
                )
            if self._evicting is None or self._evicting.done():
                self._evicting = self._run(self._evict(few))
            if len(self.memory) < most + few:  # other sessions are being evicted
                return
            await asyncio.shield(self._evicting)
            if len(self.memory) < most + few:
                return
            if time.monotonic() > until:
                raise BusyError(f"expected at most {most} sessions that are used at a time; try again", retry_after=1.0)
            await asyncio.sleep(0.002)  # all sessions have a turn

    async def _evict(self, count: int) -> None:
        """Remove the sessions that were used longest ago from memory, after they are stored."""
        idle = (session for session in self.memory.values() if not session.is_busy)
        leaving = heapq.nsmallest(count, idle, key=lambda session: session.used)
        for session in leaving:
            session.is_busy = True  # takes the turn, which is free
        try:
            if not self._shared:
                idles = self.limits.idle_seconds is not None  # then the store needs the time of the last use
                changed = [session for session in leaving if idles or session.version != session.saved_version]
                for at in range(0, len(changed), _CHUNK):
                    await self._put(self._packed(changed[at : at + _CHUNK]))
            for session in leaving:
                if self._shared or session.version == session.saved_version:
                    self.forget(session)
                    self.counts["evictions"] += 1
        finally:
            for session in leaving:
                session.pass_on()

    # the store

    async def snapshot(self, *, all_of_them: bool = False) -> None:
        """Put the sessions that have changed into the store.

        A session in the middle of a turn is stored when the turn ends, unless `all_of_them`; if the turn takes long, a
        state between two of its steps is stored now as well.
        """
        if self.keeper is None or self._steps_durable:
            return
        self.stepper.copy([job for _, job in self.underway.values()])
        changed, self._dirty = list(self._dirty.values()), {}
        for at in range(0, len(changed), _CHUNK):
            idle: list[Session] = []
            for session in changed[at : at + _CHUNK]:
                if self.memory.get(session.id) is not session:
                    continue
                if session.is_busy and not all_of_them:
                    session.is_late = True
                else:
                    idle.append(session)
            if idle:
                await self._put(self._packed(idle))

    def _packed(
        self, sessions: Sequence[Session]
    ) -> tuple[list[tuple[Session, int, Any]], asyncio.Future[list[bytes]]]:
        """Return the records of idle sessions and their states, of one moment: their next jobs come after it."""
        rows = np.array([session.row for session in sessions], dtype=np.int64)
        metas = [(session, session.version, self._meta(session)) for session in sessions]
        return metas, self.stepper.call(lambda bank: bank.pack(rows))

    async def _put(self, packed: tuple[list[tuple[Session, int, Any]], asyncio.Future[list[bytes]]]) -> None:
        """Put the result of `_packed` into the store."""
        keeper, (metas, states_to_come) = self.keeper, packed
        assert keeper is not None
        try:
            states = await states_to_come
            there = [
                (session, version, meta, state)
                for (session, version, meta), state in zip(metas, states, strict=True)
                if self.memory.get(session.id) is session
            ]
            make = [partial(record_of, session, self.signature, state, meta) for session, _, meta, state in there]
            await keeper.put(self.name, lambda: [each() for each in make])
        except Exception as error:
            _LOG.error("sessions could not be put into the store: %s", error)
            for session, *_ in metas:
                if self.memory.get(session.id) is session:
                    self._dirty[session.id] = session
            return
        self.counts["snapshots"] += len(there)
        for session, version, meta, _ in there:
            session.saved, session.saved_version = meta.step, version

    def _meta(self, session: Session) -> Meta:
        return Meta(session.step, session.version, session.used, session.marks, session.key, self.expires(session))

    # time

    def expires(self, session: Session | Record) -> float | None:
        """Return when a session ends if it is not used; None for never."""
        idle, total = self.limits.idle_seconds, self.limits.total_seconds
        # Idle time is counted from the start of this service at the earliest: before, uses may have been lost by a
        # kill, or there was no service.
        ends = [max(session.used, self._begun) + idle] if idle is not None else []
        ends += [session.created + total] if total is not None else []
        return min(ends) if ends else None

    def is_over(self, session: Session | Record) -> bool:
        """Tell whether a session has expired."""
        expires = self.expires(session)
        return expires is not None and expires <= self._clock()

    def store_now(self) -> float:
        """Return the time by which the store may find expired sessions: it knows uses only up to the last snapshot."""
        now, idle = self._clock(), self.limits.idle_seconds
        return now if idle is None or self._begun + idle <= now else 0.0

    async def retire(self) -> None:
        """Let sessions that do not fit the model expire after a day."""
        if self.keeper is not None:
            await self.keeper.call("retire", self.name, self.signature, self._clock() + _GONE_SECONDS)

    async def sweep(self) -> None:
        """End expired sessions, and count the others."""
        for session in [each for each in self.memory.values() if not each.is_busy and self.is_over(each)]:
            self.forget(session)
            self.total -= 1
            if self.keeper is not None:
                await self.keeper.drop(self.name, session.id)
        await self.count()

    async def count(self) -> None:
        """Update `total` from the store."""
        if self.keeper is not None:
            stored = await self.keeper.call("count", self.name)
            new = 0 if self._shared else sum(1 for each in self.memory.values() if each.saved_version < 0)
            self.total = stored + new

    def _run(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self) -> None:
        """Put all sessions into the store."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.snapshot(all_of_them=True)


def _taken() -> BusyError:
    return BusyError("another replica has taken the session over; try again", retry_after=0.1)


def _none() -> NotFoundError:
    return NotFoundError("there is no such session", param="id")
