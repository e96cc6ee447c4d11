"""From a session in memory to what is kept of it, and back."""

from __future__ import annotations

import logging
from typing import NamedTuple

from ostinato.errors import StateError
from ostinato.serving.errors import GoneError
from ostinato.serving.sessions.session import Session
from ostinato.serving.stores.record import HEAD, SIGNATURE, Body, Record

_LOG = logging.getLogger("ostinato.serving")


class Meta(NamedTuple):
    """What is known of a session at one moment; see `Session` and `Record`."""

    step: int
    version: int
    used: float
    marks: dict[str, tuple[int, bytes]] | None
    key: tuple[str, bytes, bytes] | None
    expires: float | None


def record_of(session: Session, signature: bytes, state: bytes, meta: Meta) -> Record:
    """What is kept of a session, with its state of the same moment."""
    body = Body(signature, state, meta.marks or {}, meta.key).to_bytes()
    return Record(session.id, session.owner, meta.step, session.created, meta.used, meta.expires, meta.version, body)


def body_of(record: Record, signature: bytes) -> Body:
    """What a session holds whose states fit a bank of this signature.

    Raises:
        GoneError: it cannot be read, or is of another model.
    """
    try:
        body = Body.from_bytes(record.body)
    except (StateError, ValueError, KeyError, TypeError, AttributeError, LookupError) as error:
        _LOG.error("a session cannot be read: %s", error)
        raise GoneError("the session was damaged on its way; begin another") from None
    if body.signature != signature:
        raise GoneError("the model is another one now, which the session's state does not fit; begin another")
    return body


def fits(head: Record, signature: bytes) -> bool:
    """Whether a session goes on with a bank of this signature, as far as its head tells."""
    return head.body[HEAD - SIGNATURE : HEAD] == signature


def take_over(session: Session, record: Record, body: Body) -> None:
    """Makes a session what was kept of it."""
    session.step = session.saved = record.step
    session.version = session.saved_version = record.version
    session.created, session.used = record.created, record.used
    session.marks = dict(body.marks) or None
    session.key = body.key
