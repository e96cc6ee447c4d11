"""The record of a session in a store."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from ostinato.errors import StateError

_MARK = b"OSTSESS1"
SIGNATURE = 16
HEAD = len(_MARK) + 4 + SIGNATURE  # bytes at the beginning of a body that end with the signature of its bank


@dataclass(slots=True)
class Record:
    """The record of a session.

    Attributes:
        id: the id of the session.
        owner: the owner of the session.
        step: how many inputs were read.
        created: when it was made, in Unix seconds.
        used: when it was last used, in Unix seconds.
        expires: when it ends if it is not used, in Unix seconds; None for never.
        version: a number that grows with each change.
        body: see `Body`; only the first `HEAD` bytes if only the head was requested.
    """

    id: str
    owner: str
    step: int
    created: float
    used: float
    expires: float | None
    version: int
    body: bytes = b""


def sound(record: Record) -> Record:
    """Return a record from a store; if it is damaged, one with its id and owner and nothing else."""
    r = record
    numbers = (r.created, r.used, *(() if r.expires is None else (r.expires,)))
    if (
        all(type(each) is int and 0 <= each < 2**63 for each in (r.step, r.version))
        and all(isinstance(each, int | float) and abs(each) < 1e13 for each in numbers)
        and isinstance(r.body, bytes)
    ):
        return r
    return Record(r.id, str(r.owner), 0, 0.0, math.inf, None, 0)


@dataclass(slots=True)
class Body:
    """The contents of a session.

    Attributes:
        signature: the signature of the bank that the states fit, see `Bank.signature`.
        state: the packed state, see `Bank.pack`.
        marks: step and state of each mark, by name.
        key: the last idempotency key, the digest of its request, and the answer; None for none.
    """

    signature: bytes
    state: bytes
    marks: Mapping[str, tuple[int, bytes]]
    key: tuple[str, bytes, bytes] | None

    def to_bytes(self) -> bytes:
        """Return the body as bytes, with a checksum."""
        head = b"{}"
        parts = [self.state]
        if self.marks or self.key:
            told: dict[str, object] = {
                "marks": [[name, step, len(state)] for name, (step, state) in self.marks.items()]
            }
            parts.extend(state for _, state in self.marks.values())
            if self.key is not None:
                told["key"] = [self.key[0], self.key[1].hex(), len(self.key[2])]
                parts.append(self.key[2])
            head = json.dumps(told).encode()
        sizes = len(head).to_bytes(4, "little") + len(self.state).to_bytes(8, "little")
        whole = b"".join((self.signature, sizes, head, *parts))
        return _MARK + zlib.crc32(whole).to_bytes(4, "little") + whole

    @classmethod
    def from_bytes(cls, data: bytes) -> Body:
        """Read a body from `to_bytes`.

        Raises:
            StateError: the bytes are damaged, or something else.
        """
        begin = len(_MARK) + 4
        if data[: len(_MARK)] != _MARK or zlib.crc32(data[begin:]).to_bytes(4, "little") != data[len(_MARK) : begin]:
            raise StateError("expected a session as it was kept, got bytes that have changed: the checksum is another")
        at = begin + SIGNATURE + 12
        signature = data[begin : begin + SIGNATURE]
        size = int.from_bytes(data[at - 12 : at - 8], "little")
        state = int.from_bytes(data[at - 8 : at], "little")
        head = json.loads(data[at : at + size])
        at += size

        def taken(count: int) -> bytes:
            nonlocal at
            at += count
            return data[at - count : at]

        first = taken(state)
        marks = {name: (step, taken(count)) for name, step, count in head.get("marks", ())}
        key = head.get("key")
        return cls(signature, first, marks, None if key is None else (key[0], bytes.fromhex(key[1]), taken(key[2])))
