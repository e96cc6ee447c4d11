"""Sessions in Redis, which all replicas reach."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ostinato.errors import ConfigError
from ostinato.extras import needed
from ostinato.serving.stores.record import HEAD, SIGNATURE, Record, sound
from ostinato.serving.stores.store import Asked, Lease

_ACQUIRE = """
local version = redis.call('HGET', KEYS[1], 'version')
if not version then return {0, 0} end
local lease = redis.call('GET', KEYS[2])
if lease and lease ~= ARGV[1] then return {0, 1} end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
if version == ARGV[3] then
  return {1, 1, redis.call('HMGET', KEYS[1], 'owner', 'step', 'created', 'used', 'expires', 'version')}
end
return {1, 1, redis.call('HMGET', KEYS[1], 'owner', 'step', 'created', 'used', 'expires', 'version', 'body')}
"""
# The version is checked too: another replica may have held the session after an earlier lease of this one ended.
_COMMIT = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'step', ARGV[3], 'used', ARGV[4], 'expires', ARGV[5], 'version', ARGV[6], 'body', ARGV[7])
if ARGV[5] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIREAT', KEYS[1], ARGV[8]) end
if ARGV[9] == '0' then redis.call('DEL', KEYS[2]) end
return 1
"""
_RENEW = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_FIELDS = ("owner", "step", "created", "used", "expires", "version", "body")
_HEAD = (*_FIELDS[:-1], "head")
_PAGE = 256


class RedisStore:
    """See `Store`. A session is a hash, and its lease a key that expires in Redis; sorted sets hold the ids by owner.

    Args:
        url: an address of the client library: redis://, rediss:// or unix://.
        clock: returns Unix seconds.

    Raises:
        ConfigError: the address is not valid.
        MissingPackageError: the client library is missing.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        with needed():
            import redis

        self._clock = clock
        try:
            self._client: Any = redis.Redis.from_url(url, socket_timeout=5.0, socket_connect_timeout=5.0)
        except ValueError as error:
            raise ConfigError(f"--sessions: expected redis://host:port/number, got another address: {error}") from None
        self._acquire, self._commit, self._renew, self._release = (
            self._client.register_script(each) for each in (_ACQUIRE, _COMMIT, _RENEW, _RELEASE)
        )

    def put(self, records: Sequence[tuple[str, Record]]) -> None:
        """See `Store`."""
        with self._client.pipeline(transaction=True) as pipe:
            for model, r in records:
                name = _name(model, r.id)
                pipe.hset(name, mapping=_fields(r))
                if r.expires is not None:
                    pipe.pexpireat(name, _milliseconds(r.expires))
                pipe.zadd(_owners(model, r.owner), {r.id: 0})  # equal scores keep the set in the order of ids
                pipe.zadd(_all(model), {r.id: 0})
            pipe.execute()

    def get(self, names: Sequence[tuple[str, str]]) -> list[Record | None]:
        """See `Store`."""
        return self._read(names, _FIELDS)

    def _read(self, names: Sequence[tuple[str, str]], fields: Sequence[str]) -> list[Record | None]:
        with self._client.pipeline(transaction=False) as pipe:
            for model, id in names:
                pipe.hmget(_name(model, id), fields)
            return [
                _record(id, found) if found[0] is not None else None
                for (_, id), found in zip(names, pipe.execute(), strict=True)
            ]

    def drop(self, names: Sequence[tuple[str, str]]) -> None:
        """See `Store`."""
        heads = self._read(names, _FIELDS[:-1])
        with self._client.pipeline(transaction=True) as pipe:
            for (model, id), head in zip(names, heads, strict=True):
                pipe.delete(_name(model, id), _lease(model, id))
                pipe.zrem(_all(model), id)
                if head is not None:
                    pipe.zrem(_owners(model, head.owner), id)
            pipe.execute()

    def heads(self, model: str, owner: str, limit: int, after: str, now: float | None = None) -> list[Record]:
        """See `Store`; ids of sessions that have expired in Redis are removed from the sets here."""
        found: list[Record] = []
        while len(found) < limit:
            least = f"({after}" if after else "-"
            raw = self._client.zrange(_owners(model, owner), least, "+", bylex=True, offset=0, num=_PAGE)
            ids = [each.decode() for each in raw]
            heads = self._read([(model, id) for id in ids], _HEAD)
            gone = [id for id, head in zip(ids, heads, strict=True) if head is None]
            if gone:
                self._client.zrem(_owners(model, owner), *gone)
                self._client.zrem(_all(model), *gone)
            found.extend(head for head in heads if head is not None)
            if len(ids) < _PAGE:
                break
            after = ids[-1]
        return found[:limit]

    def count(self, model: str) -> int:
        """See `Store`; sessions that have expired in Redis are counted until `sweep`."""
        return self._client.zcard(_all(model))

    def retire(self, model: str, signature: bytes, at: float) -> None:
        """See `Store`."""
        ids = [each.decode() for each in self._client.zrange(_all(model), 0, -1)]
        for n in range(0, len(ids), _PAGE):
            some = ids[n : n + _PAGE]
            for id, head in zip(some, self._read([(model, id) for id in some], _HEAD), strict=True):
                if head is not None and head.body[HEAD - SIGNATURE :] != signature:
                    ends = at if head.expires is None else min(at, head.expires)
                    self._client.hset(_name(model, id), "expires", repr(ends))
                    self._client.pexpireat(_name(model, id), _milliseconds(ends))

    def sweep(self, now: float, spared: Collection[tuple[str, str]] = ()) -> int:
        """See `Store`; sessions expire in Redis by themselves, so only their ids are removed from the set of all."""
        gone = 0
        for name in self._client.scan_iter(match=_all("*"), count=100):
            model = name.decode().split(":", 2)[1]
            after = ""
            while True:
                least = f"({after}" if after else "-"
                ids = [each.decode() for each in self._client.zrange(name, least, "+", bylex=True, offset=0, num=_PAGE)]
                if not ids:
                    break
                with self._client.pipeline(transaction=False) as pipe:
                    for id in ids:
                        pipe.exists(_name(model, id))
                    lost = [id for id, there in zip(ids, pipe.execute(), strict=True) if not there]
                if lost:
                    self._client.zrem(name, *lost)
                gone, after = gone + len(lost), ids[-1]
        return gone

    def acquire(self, asked: Sequence[Asked]) -> list[Lease]:
        """See `Store`."""
        with self._client.pipeline(transaction=False) as pipe:
            for each in asked:
                keys = [_name(each.model, each.id), _lease(each.model, each.id)]
                self._acquire(keys, [each.token, round(each.seconds * 1000), each.version], client=pipe)
            found = pipe.execute()
        leases: list[Lease] = []
        for each, (held, there, *values) in zip(asked, found, strict=True):
            leases.append(Lease(bool(held), bool(there), _record(each.id, values[0]) if held else None))
        return leases

    def commit(self, given: Sequence[tuple[str, str, Record]]) -> list[bool]:
        """See `Store`."""
        return self._change(given, goes_on=False)

    def hold(self, given: Sequence[tuple[str, str, Record]]) -> list[bool]:
        """See `Store`."""
        return self._change(given, goes_on=True)

    def _change(self, given: Sequence[tuple[str, str, Record]], *, goes_on: bool) -> list[bool]:
        with self._client.pipeline(transaction=False) as pipe:
            for model, token, r in given:
                keys = [_name(model, r.id), _lease(model, r.id)]
                fields = _fields(r)
                at = "" if r.expires is None else _milliseconds(r.expires)
                arguments = [
                    token,
                    r.version - 1,
                    *(fields[n] for n in ("step", "used", "expires", "version", "body")),
                    at,
                    int(goes_on),
                ]
                self._commit(keys, arguments, client=pipe)
            return [bool(each) for each in pipe.execute()]

    def renew(self, held: Sequence[Asked]) -> list[bool]:
        """See `Store`."""
        with self._client.pipeline(transaction=False) as pipe:
            for each in held:
                self._renew([_lease(each.model, each.id)], [each.token, round(each.seconds * 1000)], client=pipe)
            return [bool(each) for each in pipe.execute()]

    def release(self, held: Sequence[tuple[str, str, str]]) -> None:
        """See `Store`."""
        with self._client.pipeline(transaction=False) as pipe:
            for model, id, token in held:
                self._release([_lease(model, id)], [token], client=pipe)
            pipe.execute()

    def ping(self) -> None:
        """See `Store`."""
        self._client.ping()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _name(model: str, id: str) -> str:
    return f"ostinato:{model}:{{{id}}}"  # with braces, a cluster stores a session and its lease together


def _lease(model: str, id: str) -> str:
    return f"ostinato:{model}:{{{id}}}:lease"


def _owners(model: str, owner: str) -> str:
    return f"ostinato:{model}:of:{owner}"


def _all(model: str) -> str:
    return f"ostinato:{model}:all"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _fields(r: Record) -> dict[str, Any]:
    return {
        "owner": r.owner,
        "step": r.step,
        "created": repr(r.created),
        "used": repr(r.used),
        "expires": "" if r.expires is None else repr(r.expires),
        "version": r.version,
        "body": r.body,
        "head": r.body[:HEAD],
    }


def _record(id: str, values: Sequence[Any]) -> Record:
    owner, step, created, used, expires, version, *body = values
    whose = owner.decode(errors="replace")
    try:
        ends = float(expires) if expires else None
        content = (body[0] or b"") if body else b""
        return sound(Record(id, whose, int(step), float(created), float(used), ends, int(version), content))
    except (TypeError, ValueError):  # a field is missing, or was changed
        return Record(id, whose, 0, 0.0, math.inf, None, 0)
