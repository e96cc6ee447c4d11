import contextlib
import socket
import sqlite3
import time

import pytest

from ostinato.errors import ConfigError, StateError
from ostinato.serving.errors import GoneError, NotFoundError, UnavailableError
from ostinato.serving.http.server.settings import Settings
from ostinato.serving.http.server.workers import Workers
from ostinato.serving.limits import Limits
from ostinato.serving.service import open_store
from ostinato.serving.stores.file_lock import FileLock
from ostinato.serving.stores.record import Body, Record
from ostinato.serving.stores.sqlite import SqliteStore
from ostinato.serving.stores.store import Asked
from tests.redis_server import redis_server
from tests.serving.conftest import serving


def record(id, owner="ada", *, step=1, version=1, expires=None, body=b"state"):
    return Record(id, owner, step, 100.5, 101.25, expires, version, body)


@pytest.fixture(params=["sqlite", "redis"])
def address(request, tmp_path):
    """Of a store."""
    if request.param == "sqlite":
        yield str(tmp_path / "sessions")
        return
    with redis_server(tmp_path) as address:
        yield address


@pytest.fixture
def store(address):
    found = open_store(address)
    yield found
    found.close()


def test_what_is_put_in_comes_out(store):
    store.put(
        [("m", record("a")), ("m", record("b", expires=time.time() + 1000, body=bytes(range(256)))), ("n", record("a"))]
    )
    store.put([("m", record("a", step=2, version=2))])

    assert store.get([("m", "a"), ("m", "b"), ("m", "c")])[0] == record("a", step=2, version=2)
    assert store.get([("m", "b")])[0].body == bytes(range(256))
    assert store.get([("m", "c")]) == [None]
    assert (store.count("m"), store.count("n")) == (2, 1)
    store.drop([("m", "a"), ("m", "never")])
    assert store.get([("m", "a")]) == [None]
    assert store.count("m") == 1


def test_sessions_are_listed_by_owner_in_the_order_of_their_ids(store):
    store.put([("m", record(f"s{n:03}", "bob" if n % 3 else "ada")) for n in range(600)])

    first = store.heads("m", "ada", 150, "")
    rest = store.heads("m", "ada", 150, first[-1].id)
    assert [each.id for each in first + rest] == [f"s{n:03}" for n in range(0, 600, 3)]
    assert store.heads("m", "eve", 10, "") == []


def test_what_has_expired_is_forgotten(store):
    soon = time.time() + 0.15
    store.put([("m", record("a", expires=soon)), ("m", record("b", expires=soon + 1000)), ("m", record("c"))])
    time.sleep(0.2)
    store.sweep(time.time())

    assert store.count("m") == 2
    assert [each.id for each in store.heads("m", "ada", 10, "")] == ["b", "c"]


def test_a_session_is_one_replicas_at_a_time(store):
    store.put([("m", record("a"))])
    first, second = (Asked("m", "a", name, 0.2, -1) for name in ("one", "two"))

    held, refused = store.acquire([first])[0], store.acquire([second])[0]
    assert held.held
    assert held.record == record("a")
    assert (refused.held, refused.there, refused.record) == (False, True, None)
    assert store.acquire([Asked("m", "never", "one", 0.2, -1)])[0] == (False, False, None)
    assert store.commit([("m", "two", record("a", version=2))]) == [False]
    assert store.commit([("m", "one", record("a", step=5, version=2))]) == [True]
    same = store.acquire([Asked("m", "a", "two", 0.2, 2)])[0]
    assert same.held
    assert same.record.body == b""  # which it has
    store.release([("m", "a", "two")])
    assert store.acquire([first])[0].record.step == 5


def test_the_lease_of_a_replica_that_says_nothing_ends_and_its_late_change_is_refused(store):
    store.put([("m", record("a"))])
    store.acquire([Asked("m", "a", "one", 0.1, -1)])
    assert store.renew([Asked("m", "a", "one", 0.15, 0), Asked("m", "a", "two", 0.15, 0)]) == [True, False]
    until = time.monotonic() + 10
    while not (found := store.acquire([Asked("m", "a", "two", 5.0, -1)])[0]).held:
        assert time.monotonic() < until
        time.sleep(0.01)

    assert found.record == record("a")
    assert store.commit([("m", "one", record("a", version=2))]) == [False]
    assert store.renew([Asked("m", "a", "one", 5.0, 0)]) == [False]
    assert store.commit([("m", "two", record("a", step=9, version=2))]) == [True]
    assert store.get([("m", "a")])[0].step == 9


def test_a_change_on_the_way_does_not_end_the_lease(store):
    store.put([("m", record("a"))])
    assert store.acquire([Asked("m", "a", "one", 10.0, -1)])[0].held

    assert store.hold([("m", "two", record("a", step=2, version=2))]) == [False]
    assert store.hold([("m", "one", record("a", step=n, version=n)) for n in (2, 3)]) == [True, True]
    assert not store.acquire([Asked("m", "a", "two", 10.0, -1)])[0].held
    assert store.get([("m", "a")])[0].step == 3
    assert store.commit([("m", "one", record("a", step=4, version=4))]) == [True]
    assert store.acquire([Asked("m", "a", "two", 10.0, -1)])[0].record.step == 4


def test_a_lease_that_came_back_to_a_replica_does_not_make_its_old_change_right(store):
    store.put([("m", record("a"))])
    for name in ("one", "two"):
        store.acquire([Asked("m", "a", name, 5.0, -1)])
        if name == "one":
            store.release([("m", "a", "one")])
    store.commit([("m", "two", record("a", step=2, version=2))])
    store.acquire([Asked("m", "a", "one", 5.0, -1)])

    assert store.commit([("m", "one", record("a", step=7, version=2))]) == [False]


def test_a_file_of_something_else_is_refused(tmp_path):
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE things (name TEXT)")
    other.close()
    (tmp_path / "text").write_text("no database at all, but longer than a header of one" * 20)

    for name in ("other", "text"):
        with pytest.raises(StateError, match="file of sessions"):
            SqliteStore(tmp_path / name)
    with pytest.raises(ConfigError):
        open_store("redis://localhost:notaport")


def test_two_processes_may_write_to_a_file(tmp_path):
    one, two = SqliteStore(tmp_path / "s"), SqliteStore(tmp_path / "s")
    for n in range(20):
        (one, two)[n % 2].put([("m", record(f"{n}"))])

    assert one.count("m") == two.count("m") == 20
    one.close()
    two.close()


@pytest.mark.parametrize("marks", [{}, {"a": (3, b"xyz"), "ü": (0, b"")}])
@pytest.mark.parametrize("key", [None, ("k", b"d" * 16, b'{"step": 1}')])
def test_what_a_session_holds_comes_out_of_bytes_or_not_at_all(marks, key):
    body = Body(b"s" * 16, b"state" * 100, marks, key)
    data = body.to_bytes()

    assert Body.from_bytes(data) == body
    for at in range(0, len(data), 7):
        with pytest.raises(StateError):
            Body.from_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(StateError):
        Body.from_bytes(data[:-3])


def test_a_store_that_is_not_there_is_told_at_the_start(fox, go, tmp_path):
    async def work():
        with pytest.raises(StateError, match="cannot be reached"):
            async with serving(fox, store=f"unix://{tmp_path}/nobody"):
                pass

    go(work())


def test_a_store_that_is_gone_for_a_while_is_told_and_comes_back(fox, go, address):
    async def work():
        async with serving(fox, Limits(lease_seconds=0.5), store=address, shared=True) as service:
            id = (await service.open("m", "", {"text": "the"}))["id"]
            keeper = service._keeper
            real, keeper._store = keeper._store, None
            with pytest.raises(UnavailableError):
                await service.steps("m", "", id, {"text": "x"})
            keeper._store = real
            found = await service.steps("m", "", id, {"text": " quick"})
            return found, service.stats()["m"]["queue"]

    found, queue = go(work())
    assert found["step"] == found["saved"] == 9
    assert queue == 0


def test_a_file_of_sessions_has_one_server_at_a_time(fox, go, tmp_path):
    file = tmp_path / "sessions"
    (tmp_path / "other name").symlink_to(file)

    async def work():
        async with serving(fox, store=str(file)) as service:
            for name in (file, tmp_path / "other name"):
                with pytest.raises(StateError, match=r"another server .*process \d+.*stop that one.*--sessions"):
                    async with serving(fox, store=str(name)):
                        pass
            await service.open("m", "", {"text": "the"})
        async with serving(fox, store=str(file)) as service:
            return len(await service.list("m", ""))

    assert go(work()) == 1


def test_workers_are_not_begun_on_a_file_that_a_server_has(tmp_path):
    file = str(tmp_path / "sessions")
    with FileLock(file), socket.socket() as listening, pytest.raises(StateError, match="another server"):
        Workers(Settings({"m": "run"}, workers=2, sessions=file), listening).run(lambda: pytest.fail("they were begun"))


@pytest.mark.parametrize("change", ["body", "numbers"])
def test_a_record_that_was_damaged_is_gone_and_can_be_deleted(fox, go, address, change):
    async def work():
        async with serving(fox, store=address) as service:
            ids = [(await service.open("m", "", {"text": "the"}))["id"] for _ in range(2)]
        given = {"body": b"junk"} if change == "body" else {"created": "yesterday", "step": "many", "version": "x"}
        if address.startswith("unix"):
            open_store(address)._client.hset(f"ostinato:m:{{{ids[0]}}}", mapping=given)
        else:
            with contextlib.closing(sqlite3.connect(address)) as file, file:
                names = ", ".join(f"{name} = ?" for name in given)
                file.execute(f"UPDATE sessions SET {names} WHERE id = ?", (*given.values(), ids[0]))
        async with serving(fox, store=address) as service:
            await service.list("m", "")
            with pytest.raises(GoneError):
                await service.view("m", "", ids[0])
            with pytest.raises(GoneError):
                await service.steps("m", "", ids[0], {"text": "x"})
            with pytest.raises(NotFoundError):
                await service.delete("m", "bob", ids[0])
            await service.delete("m", "", ids[0])
            with pytest.raises(NotFoundError):
                await service.view("m", "", ids[0])
            assert (await service.steps("m", "", ids[1], {"text": "x"}))["step"] == 4
            return [each["id"] for each in await service.list("m", "")] == ids[1:], service.stats()["m"]

    listed, stats = go(work())
    assert listed
    assert (stats["stored"], stats["queue"]) == (1, 0)
