from __future__ import annotations

import asyncio

import httpx
import pytest
from benchmarks.serving import plain
from benchmarks.serving.faults import Client
from benchmarks.serving.load import Outcome, arrivals_at, arrivals_every, load, post

from tests.serving.http.running import Running


def test_arrivals_are_fixed_ahead() -> None:
    paced = arrivals_every(10, 2.0, 6.0)
    assert paced == sorted(paced)
    assert [sum(each == session for _, each in paced) for session in range(10)] == [3] * 10
    random = arrivals_at(1000.0, 7, 2.0)
    assert random == arrivals_at(1000.0, 7, 2.0)
    assert len(random) == pytest.approx(2000, rel=0.1)
    assert {session for _, session in random} == set(range(7))


def test_requests_that_fail_are_the_slowest() -> None:
    outcome = Outcome(latencies=[0.1] * 98, planned=100)
    assert (outcome.failed, outcome.percentile(0.5), outcome.percentile(0.99)) == (2, 0.1, float("inf"))


def test_a_load_is_answered_and_counted(server: Running) -> None:
    with server.client() as client:
        ids = [client.post("/v1/lm/sessions", json={}).json()["id"] for _ in range(8)]
        requests = [post(f"/v1/lm/sessions/{id}/steps", b'{"tokens":[5]}') for id in [*ids, "s_nobodys"]]
        arrivals = [(number / 500, number % 9) for number in range(90)]
        outcome = asyncio.run(load(server.port, requests, arrivals, connections=3))
        steps = [client.get(f"/v1/lm/sessions/{id}").json()["step"] for id in ids]
    assert outcome.statuses == {200: 80, 404: 10}
    assert (outcome.planned, outcome.failed, outcome.lost) == (90, 10, 0)
    assert steps == [10] * 8
    assert all(each > 0 for each in outcome.latencies)


def test_the_plain_server_steps_its_sessions() -> None:
    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(plain.app), base_url="http://plain") as client:
            id = (await client.post("/sessions")).json()["id"]
            return [await client.post(f"/sessions/{each}/steps", json={"token": 3, "top": 4}) for each in (id, id, "x")]

    first, second, nowhere = asyncio.run(ask())
    assert len(first.json()["next"]) == 4
    assert first.json() != second.json()  # the state is another
    assert nowhere.status_code == 404


def test_a_client_knows_what_was_promised() -> None:
    client = Client("s", tokens=[1, 2], sure=1)
    assert client._hear(httpx.Response(200, json={"step": 2, "saved": 1}))
    assert not client._hear(httpx.Response(503, json={}))
    assert (client.sure, client.saved, client.wrong) == (2, 1, [])
    client.tokens.append(3)
    assert client._hear(httpx.Response(409, json={"error": {"step": 3}}))
    assert not client.wrong
    client._hear(httpx.Response(200, json={"step": 9, "saved": 1}))
    client._hear(httpx.Response(404, json={}))
    assert [each[:6] for each in client.wrong] == ["step 9", "404: {"]
