"""A session as it is kept outside memory."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from ostinato.errors import StateError

_MARK = b"OSTSESS1"
SIGNATURE = 16
HEAD = len(_MARK) + 4 + SIGNATURE  # bytes of a body that tell which bank it fits


@dataclass(slots=True)
class Record:
    """A session.

    Attributes:
        id: of the session.
        owner: whose it is.
        step: inputs that were read.
        created: unix seconds.
        used: the same, when it was used last.
        expires: the same, when it ends if nobody uses it; None for never.
        version: goes up with each change.
        body: see `Body`; the first `HEAD` bytes where only the head was asked for.
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
    """A record as it came out of a store, or, where the store was damaged, one that has its name and owner and nothing in it."""
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
    """What a session holds.

    Attributes:
        signature: of the bank that the states fit, see `Bank.signature`.
        state: see `Bank.pack`.
        marks: step and state by name.
        key: the last idempotency key, the digest of its request and the answer; None without.
    """

    signature: bytes
    state: bytes
    marks: Mapping[str, tuple[int, bytes]]
    key: tuple[str, bytes, bytes] | None

    def to_bytes(self) -> bytes:
        """All of it, with a checksum."""
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
        """The inverse.

        Raises:
            StateError: it is damaged, or something else.
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
