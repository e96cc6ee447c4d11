"""The parts that all requests of a session share: a job in a turn, and the same answer if a request is repeated."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from ostinato.errors import OstinatoError
from ostinato.serving.errors import BadRequestError, FailedError, KeyReusedError, RepeatedError, ServingError
from ostinato.serving.kinds.kind import Kind
from ostinato.serving.sessions.keeping import Keeping
from ostinato.serving.sessions.session import Session
from ostinato.serving.stepping.job import Job

_LONGEST_KEY = 256
LONGEST_ANSWER = 65_536  # bytes of an answer that is stored for a repeated request, in every record of the session


class Turns:
    """Jobs in the turns of sessions.

    Args:
        keeping: the sessions of a model.
    """

    def __init__(self, keeping: Keeping) -> None:
        self.keeping = keeping

    @property
    def kind(self) -> Kind:
        """The kind of the model that is being stepped now."""
        return self.keeping.stepper.kind

    def _submit(self, session: Session, job: Job) -> None:
        session.used = self.keeping.now()
        if job.writing is not None or len(job.inputs) > 1:
            self.keeping.underway[session.id] = session, job
        if session.is_ending and job.writing is not None:
            job.cancelled = True
        self.keeping.stepper.submit(job)

    def _finish(
        self, session: Session, job: Job, told: Callable[[BaseException | None], None], *, new: bool, changed: bool
    ) -> None:
        keeping = self.keeping
        keeping.underway.pop(session.id, None)
        keeping.counts["steps"] += job.at
        if new and job.error is not None:
            told(None)
            self._drop_new(session)
        elif changed or new:
            if not new:
                session.version += 1
            keeping.keep(session, job.packed, told, new=new)
        else:
            told(None)
            keeping.release(session)

    def _drop_new(self, session: Session) -> None:
        self.keeping.forget(session)
        self.keeping.total -= 1
        self.keeping.queued -= 1
        session.pass_on()


def digest_of(what: str, body: Mapping[str, Any], key: str | None) -> bytes:
    """Return a digest of a request with an idempotency key, which shows whether a later one is the same.

    Raises:
        BadRequestError: the key is empty or too long.
    """
    if key is None:
        return b""
    if not 0 < len(key) <= _LONGEST_KEY:
        raise BadRequestError(f"Idempotency-Key: expected at most {_LONGEST_KEY} characters", param="Idempotency-Key")
    told = json.dumps([what, body], sort_keys=True, default=repr)
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def answered(session: Session, key: str | None, digest: bytes) -> bytes | None:
    """Return the answer to a request that came before; None if it did not."""
    if key is None or session.key is None or session.key[0] != key:
        return None
    if session.key[1] != digest:
        raise KeyReusedError("the idempotency key came before with another request; give every request its own")
    if not session.key[2]:
        raise RepeatedError(
            f"the request was done, and its answer was longer than the {LONGEST_ANSWER} bytes that are kept; the session is at "
            f"step {session.step}",
            step=session.step,
            saved=max(session.saved, 0),
        )
    return session.key[2]


def key_of(key: str, digest: bytes, answer: bytes) -> tuple[str, bytes, bytes]:
    """Return what a session stores about a request and its answer; a long answer is left out."""
    return key, digest, answer if len(answer) <= LONGEST_ANSWER else b""


def for_clients(error: BaseException) -> BaseException:
    """Return an error in the form that a client may see."""
    if isinstance(error, ServingError | asyncio.CancelledError):
        return error
    return FailedError(
        str(error)
        if isinstance(error, OstinatoError)
        else "the service failed; the session is at the step before, try again"
    )
