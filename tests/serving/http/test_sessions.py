"""Sessions by HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import ostinato
from tests.serving.http.raw import answers, connection, post
from tests.serving.http.running import Running


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[httpx.Client]:
    with server.client() as found:
        yield found


def begin(client: httpx.Client, **body: object) -> str:
    found = client.post("/v1/lm/sessions", json=body)
    assert found.status_code == 201, found.text
    return f"/v1/lm/sessions/{found.json()['id']}"


def best(found: dict) -> list[float]:
    return [each["p"] for each in found["said"][-1]["next"]]


def test_a_session_says_what_the_model_says_of_all_that_it_has_read(client: httpx.Client, lm_run: str) -> None:
    path = begin(client, text="the quick ")
    found = client.post(f"{path}/steps", json={"text": "brown", "top": 5}).json()
    assert (found["step"], len(found["said"])) == (15, 1)
    stream = ostinato.Stream(ostinato.load(lm_run))
    logits = stream.read("the quick brown")
    assert logits is not None
    assert best(found) == pytest.approx(logits.softmax(-1).topk(5)[0].tolist(), abs=1e-6)


def test_all_steps_say_something_where_that_is_wanted(client: httpx.Client) -> None:
    path = begin(client)
    said = client.post(f"{path}/steps", json={"text": "fox", "all": True, "top": 1}).json()["said"]
    assert [each["text"] for each in said] == ["f", "o", "x"]


def test_long_bodies_are_answered_as_short_ones_are(client: httpx.Client) -> None:
    """Bodies of more than 64 KiB take the way of ASGI."""
    short, long = begin(client), begin(client)
    text = "the lazy dog " * 20
    a = client.post(f"{short}/steps", json={"text": text}).json()
    b = client.post(f"{long}/steps", content=json.dumps({"text": text}) + " " * 70_000, headers=JSON).json()
    assert best(a) == best(b)


def test_chunked_bodies_are_read_too(client: httpx.Client) -> None:
    path = begin(client)
    found = client.post(f"{path}/steps", content=iter([b'{"text"', b': "fox"}']), headers=JSON)
    assert found.json()["step"] == 3


JSON = {"content-type": "application/json"}


def test_requests_that_come_at_once_on_one_connection_are_done_in_their_order(
    client: httpx.Client, server: Running
) -> None:
    path = begin(client)
    with connection(server) as sock:
        sock.sendall(b"".join(post(f"{path}/steps", {"text": letter, "top": 1}) for letter in "the fox"))
        found = answers(sock, 7)
    assert [status for status, _ in found] == [200] * 7
    assert [body["step"] for _, body in found] == list(range(1, 8))
    whole = begin(client)
    assert best(found[-1][1]) == best(client.post(f"{whole}/steps", json={"text": "the fox", "top": 1}).json())


def test_a_step_that_is_not_expected_is_refused_with_the_true_one(client: httpx.Client) -> None:
    path = begin(client, text="abc")
    found = client.post(f"{path}/steps", json={"text": "x", "from": 2})
    assert (found.status_code, found.json()["error"]["step"]) == (409, 3)
    assert client.post(f"{path}/steps", json={"text": "x", "from": 3}).json()["step"] == 4


def test_a_request_that_is_repeated_takes_no_second_step(client: httpx.Client) -> None:
    path = begin(client)
    key = {"idempotency-key": "one"}
    a, b = (client.post(f"{path}/steps", json={"text": "fox"}, headers=key) for _ in range(2))
    assert a.json() == b.json()
    assert client.get(path).json()["step"] == 3
    other = client.post(f"{path}/steps", json={"text": "dog"}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert client.post(f"{path}/steps", json={"text": "x"}, headers={"idempotency-key": ""}).status_code == 400


def test_marks_rewinding_and_forks(client: httpx.Client) -> None:
    path = begin(client, text="the ")
    assert client.post(f"{path}/marks/start").json()["marks"] == {"start": 4}
    first = client.post(f"{path}/steps", json={"text": "fox"}).json()
    fork = client.post(f"{path}/fork", json={"mark": "start"})
    assert (fork.status_code, fork.json()["step"]) == (201, 4)
    here = client.post(f"{path}/fork")
    assert here.json()["step"] == 7
    assert client.post(f"{path}/rewind", json={"mark": "start"}).json()["step"] == 4
    again = client.post(f"{path}/steps", json={"text": "fox"}).json()
    forked = client.post(f"/v1/lm/sessions/{fork.json()['id']}/steps", json={"text": "fox"}).json()
    assert best(first) == best(again) == best(forked)
    missing = client.post(f"{path}/rewind", json={"mark": "nowhere"})
    assert missing.status_code == 404


def test_what_models_of_other_tasks_read_is_refused(client: httpx.Client) -> None:
    path = f"/v1/lm/sessions/{client.post('/v1/lm/sessions', json={}).json()['id']}"
    for way, body in ((f"{path}/steps", {"values": [1.0]}), ("/v1/lm/sessions", {"past": [1.0, 2.0]})):
        found = client.post(way, json=body)
        assert found.status_code == 400
        assert "expected one of text, tokens, as this is a model of lm" in found.json()["error"]["message"]
    found = client.post("/v1/lm/predict", json={"input": "x"})
    assert (found.status_code, "ask /v1/completions" in found.json()["error"]["message"]) == (400, True)


def test_what_is_missing_in_no_body_at_all_is_named(client: httpx.Client) -> None:
    path = f"/v1/lm/sessions/{client.post('/v1/lm/sessions', json={}).json()['id']}"
    found = client.post(f"{path}/rewind")
    assert (found.status_code, found.json()["error"]["param"]) == (400, "mark")


def test_a_client_may_keep_the_state_itself(client: httpx.Client) -> None:
    path = begin(client, text="the quick ")
    state = client.get(f"{path}/state")
    assert state.headers["content-type"] == "application/octet-stream"
    went_on = client.post(f"{path}/steps", json={"text": "brown"}).json()
    bytes_ = {"content-type": "application/octet-stream"}
    other = begin(client)
    assert client.put(f"{other}/state", content=state.content, headers=bytes_).status_code == 200
    assert best(client.post(f"{other}/steps", json={"text": "brown"}).json()) == best(went_on)
    third = begin(client, state=base64.b64encode(state.content).decode())
    assert best(client.post(f"{third}/steps", json={"text": "brown"}).json()) == best(went_on)
    damaged = client.put(f"{other}/state", content=state.content[:-1], headers=bytes_)
    assert damaged.status_code == 400
    assert client.put(f"{other}/state", content=state.content, headers=JSON).status_code == 415
    assert client.post("/v1/lm/sessions", json={"state": "no base64!"}).json()["error"]["param"] == "state"


def test_a_text_goes_on_in_a_session(client: httpx.Client) -> None:
    path = begin(client, text="the ")
    with client.stream("POST", f"{path}/generate", json={"max_tokens": 5, "seed": 1, "logprobs": 2}) as found:
        assert found.headers["content-type"] == "text/event-stream"
        lines = [line[6:] for line in found.iter_lines() if line]
    *pieces, finish, done = lines
    assert done == "[DONE]"
    assert len(pieces) >= 5
    assert len(json.loads(pieces[0])["top_logprobs"]) == 2
    told = json.loads(finish)
    assert (told["finish_reason"], told["usage"]["completion_tokens"]) == ("length", 5)
    assert client.get(path).json()["step"] == told["step"] == 9


def test_sessions_are_listed_page_by_page(client: httpx.Client) -> None:
    made = {begin(client).rsplit("/", 1)[1] for _ in range(3)}
    found: list[str] = []
    more = True
    while more:
        page = client.get("/v1/lm/sessions", params={"limit": 2, "after": found[-1] if found else ""}).json()
        assert len(page["sessions"]) == 2 or not page["has_more"]
        found += [each["id"] for each in page["sessions"]]
        more = page["has_more"]
    assert made <= set(found)
    assert found == sorted(set(found))
    assert client.get("/v1/lm/sessions", params={"limit": len(found)}).json()["has_more"] is False
    for wrong in ("0", "x", "99999", "-1", "1.5"):
        assert client.get("/v1/lm/sessions", params={"limit": wrong}).status_code == 400


def test_a_session_that_is_deleted_is_not_there(client: httpx.Client) -> None:
    path = begin(client)
    found = client.delete(path)
    assert (found.status_code, found.content) == (204, b"")
    for method, end, body in (("GET", "", None), ("POST", "/steps", {"text": "x"}), ("DELETE", "", None)):
        assert client.request(method, path + end, json=body).status_code == 404


def test_sessions_come_back_after_the_server_ends(lm_run: str, tmp_path: Path) -> None:
    from tests.serving.http.running import running

    store = str(tmp_path / "sessions.sqlite")
    with running({"lm": lm_run}, sessions=store) as first, first.client() as client:
        path = begin(client, text="the quick ")
    with running({"lm": lm_run}, sessions=store) as second, second.client() as client:
        view = client.get(path).json()
        assert (view["step"], view["saved"]) == (10, 10)
        whole = begin(client, text="the quick brown")
        there = client.post(f"{whole}/steps", json={"text": "!"}).json()
        client.post(f"{path}/steps", json={"text": "brown"})
        assert best(client.post(f"{path}/steps", json={"text": "!"}).json()) == best(there)
