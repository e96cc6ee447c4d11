"""The operations on the sessions of a model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ostinato.errors import OstinatoError
from ostinato.serving.errors import (
    BadRequestError,
    BusyError,
    GoneError,
    NotFoundError,
    ServingError,
    StepMismatchError,
)
from ostinato.serving.kinds.kind import refuse_others, whole
from ostinato.serving.sessions.kept import body_of, fits
from ostinato.serving.sessions.session import Session
from ostinato.serving.sessions.texts import Texts
from ostinato.serving.sessions.turns import answered, digest_of, for_clients, key_of
from ostinato.serving.stepping.bank import Bank
from ostinato.serving.stepping.job import Job
from ostinato.serving.stores.record import Record

_LONGEST_MARK = 64


class Sessions(Texts):
    """The sessions of a model, for their owners."""

    # views

    def _view(self, session: Session, *, now: bool = False, new: bool = False) -> dict[str, Any]:
        """Return the view of a session as it is `now`, or as it will be when the current change is answered."""
        marks = {name: step for name, (step, _) in (session.marks or {}).items()}
        expires = self.keeping.expires(session)
        saved = max(session.saved, 0) if now else self.keeping.saved(session, new=new)
        step = self.keeping.step_of(session) if now else session.step
        return self._told(session.id, step, saved, marks, session.created, expires)

    def _told(
        self, id: str, step: int, saved: int, marks: Mapping[str, int], created: float, expires: float | None
    ) -> dict[str, Any]:
        return {
            "id": id,
            "model": self.keeping.name,
            "task": self.kind.task,
            "step": step,
            "saved": saved,
            "marks": dict(marks),
            "created": round(created, 3),
            "expires": None if expires is None else round(expires, 3),
        }

    async def view(self, owner: str, id: str) -> dict[str, Any]:
        """Return the view of a session, without waiting for a turn."""
        keeping = self.keeping
        session = keeping.memory.get(id)
        if session is not None and session.row >= 0 and (keeping.keeper is None or not keeping.is_shared):
            if session.owner != owner or keeping.is_over(session):
                raise NotFoundError("there is no such session", param="id")
            return self._view(session, now=True)
        record = None if keeping.keeper is None else await keeping.keeper.get(keeping.name, id)
        if record is None or record.owner != owner or keeping.is_over(record):
            raise NotFoundError("there is no such session", param="id")
        marks = {name: step for name, (step, _) in body_of(record, keeping.signature).marks.items()}
        return self._of_record(record, marks)

    def _of_record(self, record: Record, marks: Mapping[str, int] | None) -> dict[str, Any]:
        expires = self.keeping.expires(record)
        made = self._told(record.id, record.step, record.step, marks or {}, record.created, expires)
        if marks is None:
            del made["marks"]
        return made

    async def list(self, owner: str, limit: int, after: str | None) -> list[dict[str, Any]]:
        """Return the views of an owner's sessions, in the order of ids; without marks if they are not in memory."""
        keeping, after = self.keeping, after or ""
        found: dict[str, dict[str, Any]] = {}
        at = after
        while keeping.keeper is not None and len(found) < limit:
            heads = await keeping.keeper.call("heads", keeping.name, owner, limit, at, keeping.store_now())
            there = [head for head in heads if fits(head, keeping.signature) and not keeping.is_over(head)]
            found.update((head.id, self._of_record(head, None)) for head in there)
            if len(heads) < limit:
                break
            at = heads[-1].id
        if not keeping.is_shared:
            for session in keeping.memory.values():
                if session.owner == owner and session.id > after and session.row >= 0 and not keeping.is_over(session):
                    found[session.id] = self._view(session, now=True)
        return [found[id] for id in sorted(found)[:limit]]

    # beginning

    async def open(self, owner: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Begin a session; return its view."""
        refuse_others(body, self.kind.task, self.kind.begins or self.kind.reads)
        keeping, kind, most = self.keeping, self.kind, self.keeping.limits.max_tokens
        data = body.get("state")
        if data is not None and not isinstance(data, bytes):
            raise BadRequestError("state: expected bytes", param="state")
        step = whole(body, "step", 0, 0, 2**62) if data is not None else 0
        opening = None if data is not None else kind.opening(body, most)
        inputs = kind.read(body, most)
        says = bool(inputs) or (opening is not None and kind.peeks_first)
        asked = kind.asked(body) if says else None
        every = _flag(body, "all", kind.every)
        if says:
            kind.check_told(len(inputs) if every else 1, asked)
        await self._check_room()
        session = keeping.add(owner)
        row = session.row

        def begin(bank: Bank) -> None:
            if data is not None:
                bank.put_state_bytes(row, data)
            elif opening is not None:
                kind.begin(bank, row, opening)

        try:
            if data is not None or opening is not None:
                await self._call(begin)
                session.step = step if data is not None else kind.steps_of(opening)
        except BaseException:
            self._drop_new(session)
            raise
        # A session that begins without inputs need not wait for the stepping thread, unless its state must be stored.
        if not says and keeping.keeper is None:
            answer = self._view(session)
            keeping.keep(session, None, lambda _: None, new=True)
            return answer
        return await self._read(session, inputs, asked, every=every, new=True)

    async def _check_room(self) -> None:
        keeping = self.keeping
        keeping.check()
        most = keeping.limits.max_sessions
        if keeping.total >= most:
            raise BusyError(f"expected at most {most} sessions; delete one, or try again later", retry_after=60.0)
        await keeping.room()

    # steps

    async def steps(self, owner: str, id: str, body: Mapping[str, Any], key: str | None) -> dict[str, Any]:
        """Let a session read inputs; return the answer of the model after them."""
        refuse_others(body, self.kind.task, self.kind.reads)
        kind = self.kind
        digest = digest_of("steps", body, key)
        inputs = kind.read(body, self.keeping.limits.max_tokens)
        asked, every = kind.asked(body), _flag(body, "all", kind.every)
        kind.check_told(len(inputs) if every else 1, asked)
        expected = whole(body, "from", None, 0, 2**62)
        if not inputs and not kind.peeks:
            raise BadRequestError(f"expected one of {', '.join(kind.reads)}, with something in it", param=kind.reads[0])
        session = await self.keeping.hold(owner, id)
        try:
            if (before := answered(session, key, digest)) is not None:
                self.keeping.release(session)
                return json.loads(before)
            _check_step(session, expected)
            if not inputs and not session.step and not kind.peeks_first:
                raise BadRequestError("the session has read nothing; expected something to read", param=kind.reads[0])
        except BaseException:
            self.keeping.release(session)
            raise
        return await self._read(session, inputs, asked, every=every, key=key, digest=digest)

    def _read(
        self,
        session: Session,
        inputs: list[Any],
        asked: Any,
        *,
        every: bool,
        key: str | None = None,
        digest: bytes = b"",
        new: bool = False,
    ) -> asyncio.Future[dict[str, Any]]:
        """Give a job to the stepping thread; its end is handled even if the request that waits for it is cancelled."""
        keeping = self.keeping
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        def done(job: Job) -> None:
            session.step += job.at
            answer: dict[str, Any] = {}
            error = job.error
            if error is None:
                if new:
                    answer = self._view(session, new=True)
                else:
                    answer = {"id": session.id, "step": session.step, "saved": keeping.saved(session)}
                if asked is not None:
                    answer.update(self.kind.answer(job))
                if key is not None:
                    session.key = key_of(key, digest, json.dumps(answer, ensure_ascii=False).encode())

            def told(lost: BaseException | None) -> None:
                if future.done():  # the request was cancelled
                    return
                if (reason := error or lost) is not None:
                    future.set_exception(for_clients(reason))
                else:
                    future.set_result(answer)

            self._finish(session, job, told, new=new, changed=job.at > 0 or key is not None)

        self._submit(
            session,
            Job(
                session.row,
                inputs,
                done=done,
                every=every,
                asked=asked,
                packs=keeping.packs(new=new),
                copied=lambda copy: keeping.keep_copy(session, copy),
            ),
        )
        return future

    # marks, forks, states

    async def mark(self, owner: str, id: str, name: str) -> dict[str, Any]:
        """Mark the current place of a session with a name."""
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_MARK:
            raise BadRequestError(f"mark: expected a name of at most {_LONGEST_MARK} characters", param="mark")
        session = await self.keeping.hold(owner, id)
        most, marks = self.keeping.limits.max_marks, session.marks or {}
        if name not in marks and len(marks) >= most:
            self.keeping.release(session)
            raise BusyError(f"expected at most {most} marks of a session; give one of them anew", param="mark")
        state = await self._within(session, _packing(session.row))
        session.marks = {**marks, name: (session.step, state)}
        return await self._kept(session, state)

    async def rewind(self, owner: str, id: str, name: str) -> dict[str, Any]:
        """Set a session back to a mark."""
        session = await self.keeping.hold(owner, id)
        step, state = await self._marked(session, name)
        self.keeping.stepper.fresh(session.row, state)
        session.step = step
        return await self._kept(session, state)

    async def fork(self, owner: str, id: str, mark: str | None) -> dict[str, Any]:
        """Begin a session that continues from the place of this one, or from a mark of it."""
        await self._check_room()
        session = await self.keeping.hold(owner, id)
        if mark is None:
            step, state = session.step, await self._within(session, _packing(session.row))
        else:
            step, state = await self._marked(session, mark)
        made = self.keeping.add(owner, state)
        made.step = step
        made.marks = {name: each for name, each in (session.marks or {}).items() if each[0] <= step} or None
        self.keeping.release(session)
        return await self._kept(made, state, new=True)

    async def state(self, owner: str, id: str) -> bytes:
        """Return the state of a session as bytes."""
        session = await self.keeping.hold(owner, id)
        row = session.row
        found = await self._within(session, lambda bank: bank.state_bytes(row))
        self.keeping.release(session)
        return found

    async def put_state(self, owner: str, id: str, data: bytes, step: int | None) -> dict[str, Any]:
        """Set the state of a session."""
        session = await self.keeping.hold(owner, id)
        row = session.row

        def put(bank: Bank) -> bytes:
            bank.put_state_bytes(row, data)
            return bank.pack(np.array([row], dtype=np.int64))[0]

        state = await self._within(session, put)
        session.step = session.step if step is None else step
        return await self._kept(session, state)

    async def delete(self, owner: str, id: str) -> None:
        """End a session. Steps that were requested before are taken; texts that were requested before are cancelled."""
        keeping = self.keeping
        ending = keeping.memory.get(id)
        if ending is not None and ending.owner == owner:
            ending.is_ending = True
            _, job = keeping.underway.get(id, (None, None))
            if job is not None and job.writing is not None:
                self._leave(job)
        try:
            session = await keeping.hold(owner, id)
        except GoneError:  # raised only for the right owner
            assert keeping.keeper is not None
            await keeping.keeper.drop(keeping.name, id)
            keeping.total -= 1
            return
        except BaseException:
            if ending is not None:
                ending.is_ending = False
            raise
        keeping.forget(session)
        keeping.total -= 1
        try:
            if keeping.keeper is not None:
                await keeping.keeper.drop(keeping.name, id)
        finally:
            keeping.release(session)

    async def _marked(self, session: Session, name: str) -> tuple[int, bytes]:
        found = (session.marks or {}).get(name)
        if found is None:
            self.keeping.release(session)
            raise NotFoundError("the session has no mark of this name", param="mark")
        return found

    async def _within(self, session: Session, work: Callable[[Bank], Any]) -> Any:
        """Run work in the stepping thread within a turn; if it fails, or is cancelled, end the turn."""
        try:
            return await self._call(work)
        except BaseException:
            self.keeping.release(session)
            raise

    async def _call(self, work: Callable[[Bank], Any]) -> Any:
        try:
            return await self.keeping.stepper.call(work)
        except OstinatoError as error:
            raise error if isinstance(error, ServingError) else BadRequestError(str(error)) from error

    def _kept(self, session: Session, state: bytes, *, new: bool = False) -> asyncio.Future[dict[str, Any]]:
        """End a turn that has changed a session; the result is its view."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        session.used = self.keeping.now()
        if not new:
            session.version += 1
        answer = self._view(session, new=new)

        def told(lost: BaseException | None) -> None:
            if future.done():
                return
            if lost is None:
                future.set_result(answer)
            else:
                future.set_exception(lost)

        self.keeping.keep(session, state, told, new=new)
        return future


def _packing(row: int) -> Callable[[Bank], bytes]:
    return lambda bank: bank.pack(np.array([row], dtype=np.int64))[0]


def _flag(body: Mapping[str, Any], name: str, default: bool) -> bool:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise BadRequestError(f"{name}: expected true or false", param=name)
    return value


def _check_step(session: Session, expected: int | None) -> None:
    if expected is not None and expected != session.step:
        raise StepMismatchError(
            f"from: expected {session.step}, the step that the session is at, got {expected}; send what comes after "
            "that step",
            param="from",
            step=session.step,
        )
