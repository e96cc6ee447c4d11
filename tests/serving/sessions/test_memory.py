"""Sessions that leave memory and come back."""

import asyncio

import pytest

import ostinato
from ostinato.recipes import load
from ostinato.serving.errors import GoneError, NotFoundError, UnavailableError
from ostinato.serving.limits import Limits
from ostinato.serving.stores.record import Body
from ostinato.serving.stores.sqlite import SqliteStore
from tests.serving.conftest import serving


def bits(model, text):
    stream = ostinato.Stream(model)
    stream.read(text)
    return stream.state_bytes()


def test_sessions_used_longest_ago_are_in_the_store_and_come_back_when_asked_for(fox, go, tmp_path):
    async def work():
        async with serving(fox, Limits(sessions_in_memory=16), store=str(tmp_path / "s")) as service:
            ids = [(await service.open("m", "", {"text": f"session {n}"}))["id"] for n in range(60)]
            for id in ids[:5]:
                await service.mark("m", "", id, "m")
            stats = service.stats()["m"]
            await asyncio.gather(*(service.steps("m", "", id, {"text": "!"}, "k") for id in ids))
            again = await asyncio.gather(*(service.steps("m", "", id, {"text": "!"}, "k") for id in ids))
            states = [await service.state("m", "", id) for id in ids]
            views = [await service.view("m", "", id) for id in ids[:5]]
            listed = await service.list("m", "", 25)
            rest = await service.list("m", "", 100, listed[-1]["id"])
            await service.delete("m", "", ids[0])
            with pytest.raises(NotFoundError):
                await service.view("m", "", ids[0])
            return ids, stats, again, states, views, [each["id"] for each in listed + rest], service.stats()["m"]

    ids, stats, again, states, views, listed, after = go(work())
    model = load(fox)
    assert stats["sessions"] <= 17
    assert stats["evictions"] >= 43
    assert after["loads"] > 0
    assert after["stored"] == 59
    assert [each["step"] for each in again] == [len(f"session {n}") + 1 for n in range(60)]
    assert states == [bits(model, f"session {n}!") for n in range(60)]
    assert all(view["marks"] == {"m": len("session 0")} for view in views)
    assert listed == sorted(ids)


def test_snapshots_come_by_themselves_and_tell_which_step_is_safe(fox, go, tmp_path):
    async def work():
        async with serving(fox, Limits(snapshot_seconds=0.02), store=str(tmp_path / "s")) as service:
            id = (await service.open("m", "", {}))["id"]
            before = await service.steps("m", "", id, {"text": "abc"})
            while (view := await service.view("m", "", id))["saved"] < 3:
                await asyncio.sleep(0.005)
            after = await service.steps("m", "", id, {"text": "d"})
            return before, view, after

    before, view, after = go(work())
    assert before["saved"] == 0
    assert view["saved"] == 3
    assert after["saved"] == 3


def test_with_durability_of_steps_every_answer_is_safe(fox, go, tmp_path):
    async def work():
        async with serving(fox, Limits(durability="step"), store=str(tmp_path / "s")) as service:
            ids = [(await service.open("m", "", {}))["id"] for _ in range(5)]
            found = await asyncio.gather(*(service.steps("m", "", id, {"text": "abc"}) for id in ids))
            with_file = SqliteStore(tmp_path / "s")
            kept = with_file.get([("m", id) for id in ids])
            with_file.close()
            return found, kept

    found, kept = go(work())
    assert all(each["saved"] == each["step"] == 3 for each in found)
    assert all(each is not None and each.step == 3 for each in kept)


class Broken:
    """A store that fails from some moment on."""

    def __init__(self, store):
        self._store, self.is_broken = store, False

    def __getattr__(self, name):
        found = getattr(self._store, name)

        def call(*arguments):
            if self.is_broken and name in ("put", "commit", "get"):
                raise OSError("no space left on device")
            return found(*arguments)

        return call


@pytest.mark.parametrize("durability", ["interval", "step"])
def test_where_the_store_fails_nothing_is_told_that_is_not_kept(fox, go, tmp_path, monkeypatch, durability):
    broken = Broken(SqliteStore(tmp_path / "s"))
    monkeypatch.setattr("ostinato.serving.service.open_store", lambda *_, **__: broken)

    async def work():
        async with serving(fox, Limits(durability=durability), store=str(tmp_path / "s")) as service:
            id = (await service.open("m", "", {"text": "abc"}))["id"]
            broken.is_broken = True
            if durability == "step":
                with pytest.raises(UnavailableError):
                    await service.steps("m", "", id, {"text": "d"})
                with pytest.raises(UnavailableError):
                    await service.steps("m", "", id, {"text": "d"})
            with pytest.raises(UnavailableError):
                await service.open("m", "", {})
            broken.is_broken = False
            found = await service.steps("m", "", id, {"text": "d"})
            return found, await service.state("m", "", id), service.stats()["m"]["queue"]

    found, state, queue = go(work())
    assert found["step"] == 4
    assert state == bits(load(fox), "abcd")
    assert queue == 0


def test_a_session_that_was_damaged_is_told_to_be_gone(fox, go, tmp_path):
    async def work():
        async with serving(fox, store=str(tmp_path / "s")) as service:
            id = (await service.open("m", "", {"text": "abc"}))["id"]
        file = SqliteStore(tmp_path / "s")
        record = file.get([("m", id)])[0]
        record.body = record.body[:-1] + bytes([record.body[-1] ^ 1])
        file.put([("m", record)])
        file.close()
        async with serving(fox, store=str(tmp_path / "s")) as service:
            with pytest.raises(GoneError):
                await service.view("m", "", id)
            with pytest.raises(GoneError):
                await service.steps("m", "", id, {"text": "d"})
            return service.stats()["m"]["queue"]

    assert go(work()) == 0


def test_what_is_in_the_store_is_of_one_moment_whatever_comes_meanwhile(fox, go, tmp_path):
    """A step that is counted is in the state, and one that is not is not: at any moment, with others in the queue."""

    async def work():
        file = SqliteStore(tmp_path / "s")
        async with serving(fox, Limits(snapshot_seconds=0.005, max_batch=16), store=str(tmp_path / "s")) as service:
            ids = [(await service.open("m", "", {}))["id"] for _ in range(100)]
            seen, total = set(), 0
            for n in range(1, 5):
                steps = [asyncio.ensure_future(service.steps("m", "", id, {"text": "abcd"[:n]})) for id in ids]
                total += n
                # Until all are done, and one of them is in the store as it is then.
                while not all(step.done() for step in steps) or total not in {step for step, _ in seen}:
                    await asyncio.sleep(0.002)
                    seen |= {
                        (record.step, Body.from_bytes(record.body).state)
                        for record in file.get([("m", id) for id in ids])
                    }
            texts = {len(text): text for text in ("", "a", "aab", "aababc", "aababcabcd")}
            kept = {}
            for step, text in texts.items():
                id = (await service.open("m", "", {"text": text}))["id"]
                kept[step] = Body.from_bytes(file.get([("m", id)])[0].body).state
        file.close()
        return seen, kept

    seen, kept = go(work())
    assert {step for step, _ in seen} <= set(kept)
    assert len(seen) > 2
    assert all(state == kept[step] for step, state in seen)


def test_sessions_that_begin_a_step_while_others_are_written_are_written_later(fox, go, tmp_path):
    async def work():
        file = SqliteStore(tmp_path / "s")
        async with serving(fox, Limits(snapshot_seconds=1000.0), store=str(tmp_path / "s")) as service:
            ids = [(await service.open("m", "", {}))["id"] for _ in range(200)]
            await asyncio.gather(*(service.steps("m", "", id, {"text": "a"}) for id in ids))
            keeping = service._sessions["m"].keeping
            writing = asyncio.ensure_future(keeping.snapshot())
            await asyncio.sleep(0)
            steps = [asyncio.ensure_future(service.steps("m", "", id, {"text": "b" * 60})) for id in ids]
            await writing
            during = {
                (record.step, Body.from_bytes(record.body).state) for record in file.get([("m", id) for id in ids])
            }
            await asyncio.gather(*steps)
            while keeping._tasks:
                await asyncio.sleep(0.002)
            await keeping.snapshot()
            after = {
                (record.step, Body.from_bytes(record.body).state) for record in file.get([("m", id) for id in ids])
            }
        file.close()
        return during, after

    during, after = go(work())
    # Nothing in the middle of a text. That which is written later may be there already when a busy machine reads the file.
    assert {step for step, _ in during} <= {0, 1, 61}
    assert len(during) == len({step for step, _ in during})  # one state a step
    assert {step for step, _ in after} == {61}
    assert len(after) == 1
