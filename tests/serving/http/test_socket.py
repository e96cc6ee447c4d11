"""Sessions by WebSocket."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.serving.http.conftest import ADA, GRACE
from tests.serving.http.running import Running


@contextmanager
def opened(server: Running, id: str, **options: Any) -> Iterator[ClientConnection]:
    url = f"{server.url.replace('http', 'ws')}/v1/lm/sessions/{id}/socket"
    with connect(url, open_timeout=20, **options) as found:
        yield found


def ask(socket: ClientConnection, **message: Any) -> dict[str, Any]:
    socket.send(json.dumps(message))
    return json.loads(socket.recv(20))


@pytest.fixture
def session(server: Running) -> str:
    with server.client() as client:
        return client.post("/v1/lm/sessions", json={"text": "the "}).json()["id"]


def test_steps_and_texts_both_ways(server: Running, session: str) -> None:
    with opened(server, session) as socket:
        found = ask(socket, text="fox", request=7)
        assert (found["request"], found["step"]) == (7, 7)
        socket.send(json.dumps({"generate": {"max_tokens": 3, "seed": 1}, "request": 8}))
        pieces = [json.loads(socket.recv(20))]
        while "finish_reason" not in pieces[-1]:
            pieces.append(json.loads(socket.recv(20)))
        assert {each["request"] for each in pieces} == {8}
        assert pieces[-1]["step"] == 10
    with server.client() as client:
        assert client.get(f"/v1/lm/sessions/{session}").json()["step"] == 10


def test_messages_that_are_sent_at_once_are_answered_in_their_order(server: Running, session: str) -> None:
    with opened(server, session) as socket:
        for number in range(50):
            socket.send(json.dumps({"text": "x", "request": number, "top": 1}))
        found = [json.loads(socket.recv(20)) for _ in range(50)]
    assert [each["request"] for each in found] == list(range(50))
    assert [each["step"] for each in found] == list(range(5, 55))


def test_what_is_wrong_is_told_and_the_socket_stays(server: Running, session: str) -> None:
    with opened(server, session) as socket:
        assert ask(socket, text=1, request="a")["error"]["param"] == "text"
        assert ask(socket, wrong=1)["error"]["param"] == "wrong"
        assert ask(socket, text="x", **{"from": 99})["error"]["step"] == 4
        assert ask(socket, generate={"temperature": -1})["error"]["code"]
        assert ask(socket, generate={}, text="x")["error"]["code"] == "invalid_request"
        for data in ("{", "[]", b"\xff"):
            socket.send(data)
            assert json.loads(socket.recv(20))["error"]["type"] == "invalid_request_error"
        assert ask(socket, text="x")["step"] == 5


def test_a_message_that_is_repeated_takes_no_second_step(server: Running, session: str) -> None:
    with opened(server, session) as socket:
        assert ask(socket, text="x", key="a")["step"] == ask(socket, text="x", key="a")["step"] == 5


def test_a_text_is_stopped(server: Running, session: str) -> None:
    with opened(server, session) as socket:
        socket.send(json.dumps({"generate": {"max_tokens": 16_000, "seed": 1}}))
        socket.recv(20)
        socket.send(json.dumps({"stop": True}))
        while "finish_reason" not in (found := json.loads(socket.recv(20))):
            pass
        assert found["finish_reason"] == "stopped"
        assert ask(socket, text="x")["step"] == found["step"] + 1


def test_who_may_not_come_in(server: Running, guarded: Running, session: str) -> None:
    with pytest.raises(InvalidStatus) as refused, opened(server, session, origin="https://evil.example"):
        pass
    assert refused.value.response.status_code == 403
    with pytest.raises(InvalidStatus) as refused, opened(server, "s_nobodys"):
        pass
    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body)["error"]["message"] == "there is no such session"
    with guarded.client(ADA) as client:
        id = client.post("/v1/lm/sessions", json={}).json()["id"]
    for token in (None, GRACE, "wrong"):
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        with pytest.raises(InvalidStatus) as refused, opened(guarded, id, additional_headers=headers):
            pass
        assert refused.value.response.status_code == (404 if token == GRACE else 401)
    with opened(guarded, id, subprotocols=["ostinato", f"bearer.{ADA}"]) as socket:
        assert socket.subprotocol == "ostinato"
        assert ask(socket, text="x")["step"] == 1


def test_a_client_that_vanishes_leaves_the_session_as_it_is(server: Running, session: str) -> None:
    with opened(server, session) as socket:
        socket.send(json.dumps({"generate": {"max_tokens": 16_000, "seed": 1}}))
        socket.recv(20)
        socket.socket.close()
    with opened(server, session) as socket:
        assert ask(socket, text="x")["step"] > 5


def _last(socket: ClientConnection, request: int) -> dict[str, Any]:
    while True:
        found = json.loads(socket.recv(20))
        if found.get("request") == request and ("finish_reason" in found or "error" in found or "said" in found):
            return found


@pytest.mark.parametrize("begin", [{}, {"text": "the "}], ids=["new", "begun"])
def test_a_stop_that_comes_before_its_text_begins_is_not_lost(server: Running, begin: dict[str, str]) -> None:
    with server.client() as client:
        id = client.post("/v1/lm/sessions", json=begin).json()["id"]
    text = {"generate": {"max_tokens": 16_000, "seed": 1}}
    with opened(server, id) as socket:
        socket.send(json.dumps({**text, "request": 1}))
        socket.send(json.dumps({"stop": True}))
        assert _last(socket, 1)["finish_reason"] == "stopped"
        socket.send(json.dumps({"text": "x" * 2000, "request": 2}))
        socket.send(json.dumps({**text, "request": 3}))
        socket.send(json.dumps({"stop": True}))
        socket.send(json.dumps({"generate": {"max_tokens": 2, "seed": 1}, "request": 4}))
        step = _last(socket, 2)["step"]
        found = _last(socket, 3)
        assert (found["finish_reason"], found["step"]) == ("stopped", step)
        assert _last(socket, 4)["finish_reason"] == "length"  # asked for behind the stop


def test_a_stop_and_an_end_are_read_behind_many_messages(server: Running, session: str) -> None:
    text = json.dumps({"generate": {"max_tokens": 16_000, "seed": 1}, "request": 1})
    with opened(server, session) as socket:
        socket.send(text)
        for number in range(2, 400):
            socket.send(json.dumps({"text": "x", "top": 1, "request": number}))
        socket.send(json.dumps({"stop": True}))
        answers = {}
        while len(answers) < 399:
            found = json.loads(socket.recv(20))
            if "finish_reason" in found or "step" in found or "error" in found:
                answers[found["request"]] = found
        assert answers[1]["finish_reason"] == "stopped"
        refused = [number for number, each in answers.items() if "error" in each]
        assert 0 < len(refused) < 399 - 256 + 2
        assert {answers[number]["error"]["code"] for number in refused} == {"busy"}
    with opened(server, session) as socket:
        for _ in range(40):
            socket.send(text)
        socket.recv(20)
        socket.socket.close()
    until = time.monotonic() + 5
    while server.stats()["queue"]:
        assert time.monotonic() < until
        time.sleep(0.02)
