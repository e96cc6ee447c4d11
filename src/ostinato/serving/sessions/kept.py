"""Conversion between a session in memory and its record in the store."""

from __future__ import annotations

import logging
from typing import NamedTuple

from ostinato.errors import StateError
from ostinato.serving.errors import GoneError
from ostinato.serving.sessions.session import Session
from ostinato.serving.stores.record import HEAD, SIGNATURE, Body, Record

_LOG = logging.getLogger("ostinato.serving")


class Meta(NamedTuple):
    """The data of a session at one moment, without its state; see `Session` and `Record`."""

    step: int
    version: int
    used: float
    marks: dict[str, tuple[int, bytes]] | None
    key: tuple[str, bytes, bytes] | None
    expires: float | None


def record_of(session: Session, signature: bytes, state: bytes, meta: Meta) -> Record:
    """Make the record of a session from its data and its state of the same moment."""
    body = Body(signature, state, meta.marks or {}, meta.key).to_bytes()
    return Record(session.id, session.owner, meta.step, session.created, meta.used, meta.expires, meta.version, body)


def body_of(record: Record, signature: bytes) -> Body:
    """Read the body of a record, and check that its states fit a bank with this signature.

    Raises:
        GoneError: the body cannot be read, or belongs to another model.
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
    """Tell by its head whether a session fits a bank with this signature."""
    return head.body[HEAD - SIGNATURE : HEAD] == signature


def take_over(session: Session, record: Record, body: Body) -> None:
    """Set a session to the contents of its record."""
    session.step = session.saved = record.step
    session.version = session.saved_version = record.version
    session.created, session.used = record.created, record.used
    session.marks = dict(body.marks) or None
    session.key = body.key
