"""Services that are killed: what was acknowledged is there again, and nothing is stepped twice."""

import asyncio
import random

import pytest

import ostinato
from ostinato.recipes import load
from ostinato.serving.generating import Generating
from tests.redis_server import redis_server
from tests.serving.conftest import serving
from tests.serving.replica import nursery

LETTERS = "abcdefghijklmnopqrstuvwxyz "


@pytest.fixture(scope="module")
def replica_of():
    """Starts services that can be killed."""
    with nursery() as found:
        yield found


def bits(model, text):
    stream = ostinato.Stream(model)
    stream.read(text)
    return stream.state_bytes().hex()


class Client:
    """One session: what it has sent, and what it was told."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.text, self.acknowledged, self.saved = "", 0, 0
        self.id = ""

    async def open(self, replica):
        self.id = (await replica("open", "m", "", {}))["id"]

    async def go_on(self, replica):
        """Steps until the process is gone."""
        try:
            while True:
                piece = "".join(self.random.choices(LETTERS, k=self.random.randint(1, 6)))
                begin = self.acknowledged
                self.text = self.text[:begin] + piece
                found = await replica("steps", "m", "", self.id, {"text": piece, "from": begin, "top": 1})
                self.acknowledged, self.saved = found["step"], max(self.saved, found["saved"])
        except ConnectionError:
            pass


@pytest.mark.parametrize("durability", ["interval", "step"])
def test_after_a_kill_every_session_is_back_as_of_what_was_acknowledged(fox, go, tmp_path, replica_of, durability):
    model, rng = load(fox), random.Random(durability)
    store, limits = str(tmp_path / "sessions"), {"durability": durability, "snapshot_seconds": 0.05, "max_batch": 4}

    async def work():
        clients = [Client(seed) for seed in range(8)]
        for attempt in range(3):
            replica = await replica_of(fox, store, **limits)
            if attempt == 0:
                await asyncio.gather(*(client.open(replica) for client in clients))
            for client in clients:
                view = await replica("view", "m", "", client.id)
                least = client.acknowledged if durability == "step" else client.saved
                assert least <= view["step"] <= len(client.text)
                assert view["saved"] == view["step"]
                client.text = client.text[: view["step"]]
                client.acknowledged = client.saved = view["step"]
                assert await replica("state", "m", "", client.id) == bits(model, client.text)
            running = [asyncio.ensure_future(client.go_on(replica)) for client in clients]
            await asyncio.sleep(rng.uniform(0.1, 0.5))
            await replica.kill()
            await asyncio.gather(*running)
        assert all(client.acknowledged > 0 for client in clients)

    go(work())


async def killed_text(fox, store, replica_of, go_on, **limits):
    """A service is killed while it writes a text."""
    begin, how = "the ", {"max_tokens": 16_000, "seed": 3}
    replica = await replica_of(fox, store, **limits)
    id = (await replica("open", "m", "", {"text": begin}))["id"]
    writing = asyncio.ensure_future(replica("write", "m", "", id, how))
    while not go_on(replica, await replica("view", "m", "", id)):
        await asyncio.sleep(0.01)
    view = await replica("view", "m", "", id)
    await replica.kill()
    with pytest.raises(ConnectionError):
        await writing
    again = await replica_of(fox, store, **limits)
    found = await again("view", "m", "", id)
    assert view["saved"] <= found["step"] == found["saved"]
    async with serving(fox) as service:
        other = (await service.open("m", "", {"text": begin}))["id"]
        some = Generating(
            **{**how, "max_tokens": max(found["step"], len(replica.told))}
        )  # the same as the first of more
        whole = begin + "".join([piece.text async for piece in service.write("m", "", other, some)])
    assert whole.startswith(begin + replica.told)
    assert await again("state", "m", "", id) == bits(load(fox), whole[: found["step"]])
    await again.end()
    return len(begin + replica.told), found["step"]


def test_a_text_that_is_written_when_the_service_is_killed_is_there_as_of_the_last_snapshot(
    fox, go, tmp_path, replica_of
):
    store, limits = str(tmp_path / "sessions"), {"snapshot_seconds": 0.02}
    go(killed_text(fox, store, replica_of, lambda replica, view: view["saved"] > 50, **limits))


@pytest.mark.parametrize("shared", [False, True])
def test_no_piece_of_a_text_is_told_that_a_kill_takes_back(fox, go, tmp_path, replica_of, shared):
    store, limits = str(tmp_path / "sessions"), {"durability": "step", "shared": shared, "lease_seconds": 0.3}
    told, step = go(killed_text(fox, store, replica_of, lambda replica, view: len(replica.told) > 50, **limits))
    assert 50 < told <= step


async def shared_work(fox, store, replica_of, rounds=30):
    """Two replicas on a store, sessions that ask any of them, and one that is killed in the middle."""
    model = load(fox)
    limits = {"shared": True, "lease_seconds": 0.6}
    replicas = list(await asyncio.gather(*(replica_of(fox, store, **limits) for _ in range(2))))
    told: dict[str, str] = {}
    alive = list(replicas)

    async def client(seed):
        rng = random.Random(seed)
        id = (await alive[seed % 2]("open", "m", "", {}))["id"]
        text = ""
        for count in range(rounds):
            piece = "".join(rng.choices(LETTERS, k=rng.randint(1, 8)))
            body, key = {"text": piece, "top": 1}, f"{seed}-{count}"
            while True:
                try:
                    found = await rng.choice(alive)("steps", "m", "", id, body, key)
                    break
                except ConnectionError:
                    await asyncio.sleep(0.01)
            text += piece
            assert found["step"] == found["saved"] == len(text)
            if count == rounds // 2:
                halfway.set()
        told[id] = text

    async def two_at_once(id, letters):
        """Many requests for one session at both replicas."""
        await asyncio.gather(
            *(alive[n % len(alive)]("steps", "m", "", id, {"text": letter}) for n, letter in enumerate(letters))
        )

    halfway = asyncio.Event()
    clients = [asyncio.ensure_future(client(seed)) for seed in range(6)]
    await asyncio.wait([asyncio.ensure_future(halfway.wait()), *clients], return_when=asyncio.FIRST_COMPLETED)
    alive.pop(0)
    await replicas[0].kill()
    await asyncio.gather(*clients)
    for id, text in told.items():
        assert await replicas[1]("state", "m", "", id) == bits(model, text)
    alive.append(await replica_of(fox, store, **limits))
    id = (await alive[0]("open", "m", "", {}))["id"]
    await two_at_once(id, "aaaaaaaaaaaaaaaaaaaaaaaa")
    assert await alive[1]("state", "m", "", id) == bits(model, "a" * 24)
    listed = await alive[1]("list", "m", "", 100)
    assert sorted(each["id"] for each in listed) == sorted([id, *told])
    await alive[0]("delete", "m", "", id)
    with pytest.raises(RuntimeError, match="NotFoundError"):
        await alive[1]("view", "m", "", id)
    with pytest.raises(RuntimeError, match="NotFoundError"):
        await alive[1]("steps", "m", "", id, {"text": "x"})
    with pytest.raises(RuntimeError, match="NotFoundError"):
        await alive[1]("steps", "m", "bob", next(iter(told)), {"text": "x"})
    for replica in alive:
        await replica.end()


def test_replicas_on_one_file_step_no_session_twice_and_lose_none_when_one_is_killed(fox, go, tmp_path, replica_of):
    go(shared_work(fox, str(tmp_path / "sessions"), replica_of))


@pytest.fixture
def redis_address(tmp_path):
    """A Redis of its own, which keeps nothing on disk."""
    with redis_server(tmp_path) as address:
        yield address


def test_replicas_on_one_redis_step_no_session_twice_and_lose_none_when_one_is_killed(
    fox, go, redis_address, replica_of
):
    go(shared_work(fox, redis_address, replica_of))


def test_no_piece_of_a_text_is_told_that_a_replica_takes_with_it(fox, go, redis_address, replica_of):
    told, step = go(
        killed_text(fox, redis_address, replica_of, lambda replica, view: len(replica.told) > 50, lease_seconds=0.3)
    )
    assert 50 < told <= step
