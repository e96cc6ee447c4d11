import asyncio
import json
import time

import pytest
import torch

import ostinato
from ostinato.recipes import load
from ostinato.serving.errors import (
    BadRequestError,
    BusyError,
    GoneError,
    KeyReusedError,
    NotFoundError,
    RepeatedError,
    StepMismatchError,
    TooLargeError,
    UnavailableError,
)
from ostinato.serving.generating import Generating
from ostinato.serving.limits import Limits
from ostinato.serving.stores.sqlite import SqliteStore
from tests.serving.conftest import serving
from tests.serving.untrained import untrained_lm


def bits(model, text):
    """The state of a stream of one row behind a text."""
    stream = ostinato.Stream(model)
    stream.read(text)
    return stream.state_bytes()


async def text_of(pieces):
    return "".join([piece.text async for piece in pieces])


def test_a_session_says_and_keeps_what_a_stream_of_one_row_does(fox, go):
    model = load(fox)

    async def work():
        async with serving(fox) as service:
            made = await service.open("m", "ada", {"text": "the quick"})
            id = made["id"]
            found = await service.steps("m", "ada", id, {"text": " brown", "all": True, "top": 3})
            return made, found, await service.state("m", "ada", id)

    made, found, state = go(work())
    stream = ostinato.Stream(model)
    stream.read("the quick")
    assert made["step"] == 9
    assert found["step"] == 15
    assert [each["text"] for each in found["said"]] == list(" brown")
    for letter, said in zip(" brown", found["said"], strict=True):
        p = torch.softmax(stream.read(letter).double(), 0)
        values, ids = p.topk(3)
        assert [each["token"] for each in said["next"]] == ids.tolist()
        assert [each["p"] for each in said["next"]] == pytest.approx(values.tolist(), rel=1e-12)
    assert state == stream.state_bytes()


def test_many_sessions_at_once_have_the_bits_that_each_has_alone(fox, go):
    texts = [f"{n} dogs jump over {n * n} foxes"[: 5 + n % 17] for n in range(150)]

    async def one(service, text):
        id = (await service.open("m", "", {}))["id"]
        for at in range(0, len(text), 3):
            await service.steps("m", "", id, {"text": text[at : at + 3]})
        return await service.state("m", "", id)

    async def work():
        async with serving(fox, Limits(max_batch=16)) as service:
            return await asyncio.gather(*(one(service, text) for text in texts))

    model = load(fox)
    assert go(work()) == [bits(model, text) for text in texts]


def test_requests_of_a_session_are_answered_in_the_order_in_which_they_came(fox, go):
    async def work():
        async with serving(fox) as service:
            id = (await service.open("m", "", {}))["id"]
            found = await asyncio.gather(
                *(service.steps("m", "", id, {"text": letter}) for letter in "the quick brown fox")
            )
            return found, await service.state("m", "", id)

    found, state = go(work())
    assert [each["step"] for each in found] == list(range(1, 20))
    assert state == bits(load(fox), "the quick brown fox")


def test_writing_in_a_session_goes_on_with_it_and_follows_from_seed_and_step(fox, go):
    model = load(fox)

    async def work():
        async with serving(fox) as service:
            first = (await service.open("m", "", {"text": "the"}))["id"]
            whole = await text_of(service.write("m", "", first, Generating(max_tokens=24, seed=5)))
            second = (await service.open("m", "", {"text": "the"}))["id"]
            parts = [await text_of(service.write("m", "", second, Generating(max_tokens=8, seed=5))) for _ in range(3)]
            other = await text_of(service.generate("m", "the", Generating(max_tokens=24, seed=5)))
            states = [await service.state("m", "", id) for id in (first, second)]
            return whole, parts, other, states, await service.view("m", "", first)

    whole, parts, other, states, view = go(work())
    assert len(whole) == 24
    assert "".join(parts) == whole == other
    assert states[0] == states[1]
    assert view["step"] == 27
    unknown = model.vocabulary.decode([0])
    if unknown not in whole:
        assert states[0] == bits(model, "the" + whole)


def test_greedy_text_is_that_of_the_model(fox, go):
    async def work():
        async with serving(fox) as service:
            return await text_of(service.generate("m", "the", Generating(max_tokens=30, temperature=0.0)))

    assert go(work()) == load(fox).generate("the", 30, temperature=0.0)


def test_forks_marks_and_rewinds(fox, go):
    async def work():
        async with serving(fox) as service:
            id = (await service.open("m", "a", {"text": "the "}))["id"]
            await service.mark("m", "a", id, "here")
            await service.steps("m", "a", id, {"text": "quick"})
            fork = await service.fork("m", "a", id)
            from_mark = await service.fork("m", "a", id, "here")
            await service.steps("m", "a", fork["id"], {"text": "!"})
            await service.steps("m", "a", from_mark["id"], {"text": "brown"})
            back = await service.rewind("m", "a", id, "here")
            await service.steps("m", "a", id, {"text": "fox"})
            states = [await service.state("m", "a", each) for each in (id, fork["id"], from_mark["id"])]
            with pytest.raises(NotFoundError):
                await service.rewind("m", "a", id, "nowhere")
            return fork, from_mark, back, states

    fork, from_mark, back, states = go(work())
    model = load(fox)
    assert (fork["step"], from_mark["step"], back["step"]) == (9, 4, 4)
    assert from_mark["marks"] == {"here": 4}
    assert states == [bits(model, text) for text in ("the fox", "the quick!", "the brown")]


def test_states_go_to_clients_and_back(fox, go):
    model = load(fox)

    async def work():
        async with serving(fox) as service:
            id = (await service.open("m", "", {"text": "x"}))["id"]
            await service.put_state("m", "", id, bits(model, "the quick"), 9)
            await service.steps("m", "", id, {"text": " brown", "from": 9})
            data = await service.state("m", "", id)
            again = await service.open("m", "", {"state": data, "step": 15})
            for broken in (data[:-1], b"", data[:40] + b"?" + data[41:]):
                with pytest.raises(BadRequestError):
                    await service.put_state("m", "", id, broken)
                with pytest.raises(BadRequestError):
                    await service.open("m", "", {"state": broken})
            return data, again, await service.state("m", "", again["id"]), service.stats()["m"]

    data, again, same, stats = go(work())
    assert again["step"] == 15
    assert data == same == bits(model, "the quick brown")
    assert stats["sessions"] == 2
    assert stats["queue"] == 0


def test_a_repeated_request_has_the_same_answer_and_no_second_step(fox, go):
    async def work():
        async with serving(fox) as service:
            id = (await service.open("m", "", {}))["id"]
            found = await asyncio.gather(*(service.steps("m", "", id, {"text": "the"}, "k1") for _ in range(5)))
            with pytest.raises(KeyReusedError):
                await service.steps("m", "", id, {"text": "fox"}, "k1")
            how = Generating(max_tokens=5, seed=1)
            texts = [await text_of(service.write("m", "", id, how, "k2")) for _ in range(2)]
            return found, texts, (await service.view("m", "", id))["step"]

    found, texts, step = go(work())
    assert all(each == found[0] for each in found)
    assert texts[0] == texts[1]
    assert step == 8


def test_a_client_that_is_wrong_about_the_step_is_told_the_true_one(fox, go):
    async def work():
        async with serving(fox) as service:
            id = (await service.open("m", "", {"text": "the"}))["id"]
            with pytest.raises(StepMismatchError) as error:
                await service.steps("m", "", id, {"text": "x", "from": 2})
            return error.value.details, await service.steps("m", "", id, {"text": "x", "from": 3})

    details, found = go(work())
    assert details == {"step": 3}
    assert found["step"] == 4


def test_a_session_is_there_for_its_owner_only(fox, go, tmp_path):
    async def work():
        async with serving(fox, store=str(tmp_path / "s")) as service:
            id = (await service.open("m", "ada", {"text": "secret"}))["id"]
            for attempt in (
                service.view("m", "bob", id),
                service.steps("m", "bob", id, {"text": "x"}),
                service.state("m", "bob", id),
                service.put_state("m", "bob", id, b"x"),
                service.fork("m", "bob", id),
                service.mark("m", "bob", id, "x"),
                service.rewind("m", "bob", id, "x"),
                service.delete("m", "bob", id),
                text_of(service.write("m", "bob", id, Generating(max_tokens=1))),
                service.view("m", "ada", id[:-1]),
                service.view("other", "ada", id),
            ):
                with pytest.raises(NotFoundError):
                    await attempt
            return await service.list("m", "bob"), await service.list("m", "ada"), service.stats()["m"]["queue"]

    bob, ada, queue = go(work())
    assert bob == []
    assert len(ada) == 1
    assert queue == 0


def test_what_a_body_must_not_hold_is_refused_and_changes_nothing(fox, go):
    async def work():
        async with serving(fox, Limits(max_tokens=20)) as service:
            id = (await service.open("m", "", {"text": "the"}))["id"]
            for body, kind in (
                ({"text": 3}, BadRequestError),
                ({"text": "a", "tokens": [1]}, BadRequestError),
                ({"tokens": [999]}, BadRequestError),
                ({"tokens": [True]}, BadRequestError),
                ({"tokens": "a"}, BadRequestError),
                ({"text": "x" * 21}, TooLargeError),
                ({"text": "\ud800"}, BadRequestError),
                ({"text": "a", "top": -1}, BadRequestError),
                ({"text": "a", "all": 1}, BadRequestError),
                ({"text": "a", "from": "0"}, BadRequestError),
            ):
                with pytest.raises(kind):
                    await service.steps("m", "", id, body)
            with pytest.raises(TooLargeError):
                await text_of(service.write("m", "", id, Generating(max_tokens=21)))
            with pytest.raises(BadRequestError):
                await text_of(service.write("m", "", id, Generating(1, unit="1.q.0")))
            with pytest.raises(BadRequestError):
                await service.steps("m", "", (await service.open("m", "", {}))["id"], {"text": ""})
            return await service.state("m", "", id), service.stats()["m"]["queue"]

    state, queue = go(work())
    assert state == bits(load(fox), "the")
    assert queue == 0


def test_who_leaves_does_not_stop_what_is_read_but_what_is_written(fox, go):
    async def work():
        async with serving(fox) as service:
            id = (await service.open("m", "", {}))["id"]
            reading = asyncio.ensure_future(service.steps("m", "", id, {"text": "the quick brown fox"}))
            waiting = asyncio.ensure_future(service.steps("m", "", id, {"text": "!"}))
            await asyncio.sleep(0)
            reading.cancel()
            waiting.cancel()
            after = await service.steps("m", "", id, {"text": "."})
            pieces = service.write("m", "", id, Generating(max_tokens=16_000))
            await anext(pieces)
            await pieces.aclose()
            view = await service.steps("m", "", id, {"text": "x"})
            return after, view, service.stats()["m"]["queue"]

    after, view, queue = go(work())
    assert after["step"] == 20
    assert 21 < view["step"] < 16_000
    assert queue == 0


def test_a_text_waits_for_a_reader_who_is_slow(fox, go):
    rows = [0]

    def on_batch(model, count, seconds):
        rows[0] += count

    async def work():
        async with serving(fox, Limits(max_tokens=700), on_batch=on_batch) as service:
            how = Generating(max_tokens=700, seed=1)
            slow, gone = service.generate("m", "the", how), service.generate("m", "the", how)
            first = await anext(slow)
            await anext(gone)
            while True:
                before = rows[0]
                for _ in range(5):  # others go on
                    await service.score("m", "a", 0)
                if rows[0] == before + 5:
                    break
            written = rows[0]
            await gone.aclose()
            text = first.text + await text_of(slow)
            return written, text, await text_of(service.generate("m", "the", how)), service.stats()["m"]["queue"]

    written, text, same, queue = go(work())
    assert written < 1200  # of 1400
    assert text == same
    assert len(text) == 700
    assert queue == 0


def test_stop_texts_end_a_text_and_are_no_part_of_it(fox, go):
    async def work():
        async with serving(fox) as service:
            how = Generating(max_tokens=200, seed=3)
            whole = await text_of(service.generate("m", "the", how))
            stop = whole[40:43]
            pieces = [
                p async for p in service.generate("m", "the", Generating(max_tokens=200, seed=3, stop=("~~", stop)))
            ]
            return whole, stop, pieces

    whole, stop, pieces = go(work())
    assert "".join(piece.text for piece in pieces) == whole[: whole.index(stop)]
    assert pieces[-1].finish == "stop"
    assert pieces[-1].token is None


def test_bounds(fox, go):
    async def work():
        async with serving(fox, Limits(max_sessions=3, sessions_in_memory=2, max_marks=1)) as service:
            ids = [(await service.open("m", "", {}))["id"] for _ in range(2)]
            with pytest.raises(BusyError) as full:
                await service.open("m", "", {})
            await service.mark("m", "", ids[0], "a")
            with pytest.raises(BusyError):
                await service.mark("m", "", ids[0], "b")
            await service.delete("m", "", ids[1])
            await service.open("m", "", {})
            return full.value.retry_after

    assert go(work()) > 0


def test_a_long_queue_is_refused(fox, go):
    async def work():
        async with serving(fox, Limits(max_queue=5)) as service:
            id = (await service.open("m", "", {}))["id"]
            return await asyncio.gather(
                *(service.steps("m", "", id, {"text": "a"}) for _ in range(20)), return_exceptions=True
            )

    found = go(work())
    assert sum(isinstance(each, dict) for each in found) == 5
    assert all(isinstance(each, dict | BusyError) for each in found)


def test_a_service_that_ends_finishes_what_it_accepted_and_takes_nothing_more(fox, go, tmp_path):
    store = str(tmp_path / "s")

    async def work():
        async with serving(fox, store=store) as service:
            id = (await service.open("m", "", {}))["id"]
            steps = [asyncio.ensure_future(service.steps("m", "", id, {"text": "abc"})) for _ in range(5)]
            await asyncio.sleep(0)
            await service.drain(5.0)
            done = await asyncio.gather(*steps)
            with pytest.raises(UnavailableError) as error:
                await service.steps("m", "", id, {"text": "x"})
        async with serving(fox, store=store) as service:
            return done, error.value.retry_after, await service.view("m", "", id)

    done, retry, view = go(work())
    assert done[-1]["step"] == 15
    assert retry > 0
    assert view["step"] == view["saved"] == 15


def test_times_end_sessions(fox, go, tmp_path):
    async def work():
        async with serving(fox, Limits(idle_seconds=0.2, snapshot_seconds=0.05), store=str(tmp_path / "s")) as service:
            id = (await service.open("m", "", {"text": "the"}))["id"]
            view = await service.view("m", "", id)
            while service.stats()["m"]["sessions"]:
                await asyncio.sleep(0.02)
            with pytest.raises(NotFoundError):
                await service.steps("m", "", id, {"text": "x"})
            return view, await service.list("m", ""), service.stats()["m"]["stored"]

    view, left, stored = go(work())
    assert view["expires"] == pytest.approx(view["created"] + 0.2, abs=0.15)
    assert left == []
    assert stored == 0


def test_a_run_is_read_again_without_losing_sessions_that_fit(fox, go, tmp_path):
    run = untrained_lm(tmp_path / "run", seed=1)

    async def work():
        async with serving(run, store=str(tmp_path / "s")) as service:
            id = (await service.open("m", "", {"text": "the quick"}))["id"]
            untrained_lm(tmp_path / "run", seed=2)
            fits = await service.reload("m")
            after = await service.steps("m", "", id, {"text": " ", "top": 1})
            state = await service.state("m", "", id)
            untrained_lm(tmp_path / "run", hidden=24)
            does_not = await service.reload("m")
            with pytest.raises(GoneError):
                await service.steps("m", "", id, {"text": "x"})
            made = await service.open("m", "", {"text": "x"})
            return fits, after, state, does_not, made

    fits, after, state, does_not, made = go(work())
    assert fits == {"sessions": 1, "gone": 0}
    assert does_not == {"sessions": 0, "gone": 1}
    assert after["step"] == 10
    assert made["step"] == 1
    stream = ostinato.Stream(load(untrained_lm(tmp_path / "one", seed=1)))
    stream.read("the quick")
    before = stream.state_bytes()
    stream = ostinato.Stream(load(untrained_lm(tmp_path / "two", seed=2)))
    stream.from_bytes(before)
    stream.read(" ")
    assert state == stream.state_bytes()


def test_a_cell_whose_state_does_not_tell_what_it_said_writes_too(go, tmp_path):
    run = untrained_lm(
        tmp_path / "run", model={"embedding_size": 16, "num_layers": 2, "options": {"connection": "residual"}}
    )

    async def work():
        async with serving(run) as service:
            id = (await service.open("m", "", {"text": "the"}))["id"]
            fork = (await service.fork("m", "", id))["id"]
            one = await text_of(service.write("m", "", id, Generating(max_tokens=10, temperature=0)))
            two = await text_of(service.write("m", "", fork, Generating(max_tokens=10, temperature=0)))
            return one, two

    one, two = go(work())
    assert one == two == load(run).generate("the", 10, temperature=0.0)


def test_answers_are_what_json_can_hold(fox, go):
    async def work():
        async with serving(fox) as service:
            made = await service.open("m", "", {"text": "the"})
            return [made, await service.view("m", "", made["id"]), await service.list("m", ""), service.stats()]

    assert json.loads(json.dumps(go(work())))


def test_a_session_that_begins_with_a_state_reads_the_text_behind_it(fox, go):
    async def work():
        async with serving(fox) as service:
            first = (await service.open("m", "", {"text": "the "}))["id"]
            state = await service.state("m", "", first)
            found = await service.open("m", "", {"state": state, "step": 4, "text": "quick", "top": 1})
            return found, await service.state("m", "", found["id"])

    found, state = go(work())
    assert found["step"] == 9
    assert len(found["said"]) == 1
    assert state == bits(load(fox), "the quick")


def test_a_text_of_no_tokens_tells_what_was_read(fox, go):
    async def work():
        async with serving(fox) as service:
            id = (await service.open("m", "", {}))["id"]
            how = Generating(max_tokens=0)
            return [
                [piece async for piece in pieces][-1]
                for pieces in (service.generate("m", "quick", how), service.write("m", "", id, how, None, "the "))
            ]

    alone, within = go(work())
    assert (alone.prompt_tokens, alone.tokens) == (5, 0)
    assert (within.prompt_tokens, within.tokens, within.step) == (4, 0, 4)


def test_a_session_that_does_not_fit_the_model_any_more_is_gone_and_can_be_deleted(go, tmp_path):
    run = untrained_lm(tmp_path / "run", seed=1)

    async def work():
        async with serving(run, store=str(tmp_path / "s")) as service:
            ids = [(await service.open("m", "", {"text": "the"}))["id"] for _ in range(2)]
            untrained_lm(tmp_path / "run", hidden=24)
            await service.reload("m")
            made = (await service.open("m", "", {"text": "x"}))["id"]
            for id in ids:
                with pytest.raises(GoneError):
                    await service.view("m", "", id)
            with pytest.raises(NotFoundError):
                await service.delete("m", "bob", ids[0])
            await service.delete("m", "", ids[0])
            with pytest.raises(NotFoundError):
                await service.view("m", "", ids[0])
            listed, stored = await service.list("m", "", 1), service.stats()["m"]["stored"]
            keeping = service._sessions["m"].keeping
            await keeping.keeper.call("sweep", time.time() + 100_000)
            await keeping.sweep()
            with pytest.raises(NotFoundError):
                await service.view("m", "", ids[1])
            return made, listed, stored, service.stats()["m"]["stored"], await service.view("m", "", made)

    made, listed, stored, after, view = go(work())
    assert [each["id"] for each in listed] == [made]
    assert (stored, after) == (2, 1)
    assert view["step"] == 1


def test_a_service_that_was_killed_begins_anew_to_wait_for_those_who_were_active(fox, go, tmp_path):
    async def work():
        file, limits = str(tmp_path / "s"), Limits(idle_seconds=100.0, snapshot_seconds=1000.0)
        async with serving(fox, limits, store=file) as service:
            id = (await service.open("m", "", {"text": "the"}))["id"]
        store = SqliteStore(file)
        record = store.get([("m", id)])[0]
        record.used, record.expires = record.used - 1000, record.expires - 1000
        store.put([("m", record)])
        store.close()
        async with serving(fox, limits, store=file) as service:
            keeping = service._sessions["m"].keeping
            before = keeping.now()
            await service._swept()
            view, listed = await service.view("m", "", id), await service.list("m", "")
            keeping._clock = lambda: before + 1000
            ended = await service.list("m", "")
            with pytest.raises(NotFoundError):
                await service.view("m", "", id)
            return before, view, listed, ended

    before, view, listed, ended = go(work())
    assert before < view["expires"] < before + 101
    assert len(listed) == 1
    assert ended == []


def test_what_expired_in_the_store_is_spared_while_it_is_used_in_memory(fox, go, tmp_path):
    async def work():
        limits = Limits(idle_seconds=0.4, snapshot_seconds=1000.0)
        async with serving(fox, limits, store=str(tmp_path / "s")) as service:
            id = (await service.open("m", "", {"text": "the"}))["id"]
            keeping = service._sessions["m"].keeping
            until = keeping.now() + 0.7
            while keeping.now() < until:
                await service.steps("m", "", id, {"text": "x"})
                await asyncio.sleep(0.02)
            await service._swept()
            return await keeping.keeper.get("m", id)

    assert go(work()) is not None


def test_of_a_long_answer_it_is_kept_that_it_was_given(fox, go, tmp_path):
    body = {"text": "the quick brown fox", "all": True, "top": 1000}

    async def work():
        async with serving(fox, store=str(tmp_path / "s")) as service:
            id = (await service.open("m", "", {}))["id"]
            whole = await service.steps("m", "", id, {**body, "text": body["text"] * 10}, "a")
            with pytest.raises(RepeatedError) as error:
                await service.steps("m", "", id, {**body, "text": body["text"] * 10}, "a")
            with pytest.raises(KeyReusedError):
                await service.steps("m", "", id, body, "a")
            return (
                whole,
                error.value,
                len(service._sessions["m"].keeping.memory[id].key[2]),
                await service.view("m", "", id),
            )

    whole, error, kept, view = go(work())
    assert len(json.dumps(whole)) > 65_536
    assert (error.status, error.details["step"]) == (409, 190)
    assert kept == 0
    assert view["step"] == 190
