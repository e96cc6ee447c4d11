"""What is too large, too slow, of another site, or gone."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ostinato.serving.limits import Limits
from tests.serving.http.conftest import ADA
from tests.serving.http.raw import answers, connection, post, rest
from tests.serving.http.running import Running, running

BODY = 20_000


@pytest.fixture(scope="module")
def narrow(lm_run: str) -> Iterator[Running]:
    """With little of everything."""
    limits = Limits(max_sessions=2, max_tokens=100)
    with running(
        {"lm": lm_run}, limits=limits, max_body=BODY, header_seconds=0.3, body_seconds=0.3, max_connections=20
    ) as found:
        yield found


def test_a_body_that_says_it_is_too_large_is_not_waited_for(narrow: Running) -> None:
    for path in ("/v1/completions", "/v1/lm/sessions/s_x/steps"):
        with connection(narrow) as sock:
            sock.sendall(post(path, b"", "x: y").replace(b"content-length: 0", b"content-length: 10000000"))
            assert b" 413 " in rest(sock).split(b"\r\n")[0]


def test_a_body_that_is_too_large_without_saying_so_is_not_read_to_its_end(narrow: Running) -> None:
    head = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    with connection(narrow) as sock:
        sock.sendall(head.replace(b"host: x", b"host: localhost"))
        sent = 0
        try:
            while sent < 500 * BODY:
                sock.sendall(b"3e8\r\n" + b" " * 1000 + b"\r\n")
                sent += 1000
        except OSError:  # closed
            pass
        assert sent < 500 * BODY


def test_lengths_that_are_no_numbers_are_refused(narrow: Running) -> None:
    for length in (b"-1", b"x", b"1e3", b"99999999999999999999999"):
        with connection(narrow) as sock:
            sock.sendall(post("/v1/completions", b"").replace(b"content-length: 0", b"content-length: " + length))
            assert rest(sock).split(b" ")[1] in (b"400", b"413")


@pytest.mark.parametrize(
    "begun",
    [b"", b"POST /v1/completions HT", b"GET /healthz HTTP/1.1\r\nhost: local"],
    ids=["nothing", "a line", "a header"],
)
def test_half_a_head_is_waited_for_no_longer_than_it_may_take(narrow: Running, begun: bytes) -> None:
    with connection(narrow) as sock:
        sock.sendall(begun)
        assert b" 408 " in rest(sock)


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/lm/sessions/s_x/steps"])
def test_half_a_body_is_waited_for_no_longer_than_it_may_take(narrow: Running, path: str) -> None:
    with connection(narrow) as sock:
        sock.sendall(post(path, b'{"text": "abc"}')[:-5])
        assert rest(sock) == b""


def test_connections_beyond_the_bound_are_told_to_come_again(narrow: Running) -> None:
    socks = [connection(narrow) for _ in range(40)]
    opened = [each.__enter__() for each in socks]
    try:
        for sock in opened:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        statuses = []
        for sock in opened:
            try:
                statuses.append(rest(sock).split(b" ")[1])
            except ConnectionError:  # it was closed before it was read
                statuses.append(b"503")
        assert set(statuses) <= {b"200", b"503"}
    finally:
        for each in socks:
            each.__exit__(None, None, None)
    with narrow.client() as client:
        assert client.get("/healthz").status_code == 200


def test_more_sessions_and_tokens_than_may_be(narrow: Running) -> None:
    with narrow.client() as client:
        made = [client.post("/v1/lm/sessions", json={}) for _ in range(3)]
        assert [each.status_code for each in made] == [201, 201, 429]
        assert int(made[-1].headers["retry-after"]) >= 1
        assert made[-1].json()["error"]["type"] == "rate_limit_error"
        path = f"/v1/lm/sessions/{made[0].json()['id']}"
        assert client.post(f"{path}/steps", json={"text": "x" * 101}).status_code == 413
        assert client.post(f"{path}/generate", json={"max_tokens": 101}).status_code == 413
        for each in made[:2]:
            client.delete(f"/v1/lm/sessions/{each.json()['id']}")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"\xff", "invalid_json"),
        (b"[]", "invalid_value"),
        (b"NaN", "invalid_json"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/completions", "/v1/lm/predict", "/v1/lm/sessions/s_x/steps"])
def test_bodies_that_are_not_what_is_expected(server: Running, path: str, content: bytes, code: str) -> None:
    with server.client() as client:
        found = client.post(path, content=content, headers={"content-type": "application/json; charset=utf-8"})
        assert (found.status_code, found.json()["error"]["code"]) == (400, code)


def test_a_body_of_another_kind_is_refused(server: Running) -> None:
    """So no page of another site can post one without asking first."""
    with server.client() as client:
        for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
            found = client.post("/v1/completions", content=b"{}", headers={"content-type": kind})
            assert found.status_code == 415


def test_paths_that_are_not_there_and_other_methods(server: Running) -> None:
    with connection(server) as sock:
        for path in (
            "/v1", "/v1/", "/v1//sessions", "/v1/lm", "/v1/lm/sessions/", "/v1/lm/sessions/../..", "/../etc/passwd",
            "/v1/%2e%2e/sessions/%2e%2e", "/v1/lm%2Fsessions", "/page/../../x", "//", "/%00", "/v1/*/sessions/x", "/*",
            "/v1/lm/sessions/%ff",
        ):  # fmt: skip
            sock.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            ((status, body),) = answers(sock, 1)
            assert status in (400, 404), path
            assert "passwd" not in json.dumps(body)
    with server.client() as client:
        found = client.patch("/v1/lm/sessions/x")
        assert (found.status_code, found.headers["allow"]) == (405, "DELETE, GET, HEAD")
        assert client.head("/healthz").status_code == 200
        assert client.get("/v1/completions").status_code == 405
        assert client.options("/v1/models", headers={"origin": "https://example.org"}).status_code == 405


def test_what_is_no_http_is_answered_and_closed(server: Running) -> None:
    for data in (b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 100):
        with connection(server) as sock:
            sock.sendall(data)
            assert b" 400 " in rest(sock)


def test_a_page_of_another_site_is_not_let_in(server: Running) -> None:
    with server.client() as client:
        id = client.post("/v1/lm/sessions", json={}).json()["id"]
        path, evil = f"/v1/lm/sessions/{id}", {"origin": "https://evil.example"}
        for found in (client.post(f"{path}/marks/a", headers=evil), client.delete(path, headers=evil)):
            assert (found.status_code, found.json()["error"]["code"]) == (403, "forbidden_origin")
        assert "access-control-allow-origin" not in client.get(path, headers=evil).headers
        assert client.post(f"{path}/marks/a", headers={"origin": server.url}).status_code == 200
        # A name of another site that leads to this machine.
        assert client.get("/v1/models", headers={"host": "evil.example"}).status_code == 403
        assert client.get("/v1/models", headers={"host": "localhost:1"}).status_code == 200


def test_a_page_that_is_let_in_asks_first(guarded: Running) -> None:
    with guarded.client(ADA) as client:
        asked = {"origin": "https://example.org", "access-control-request-method": "POST"}
        found = client.options("/v1/lm/sessions", headers=asked)
        assert (found.status_code, found.headers["access-control-allow-origin"]) == (204, "https://example.org")
        found = client.post("/v1/lm/sessions", json={}, headers={"origin": "https://example.org"})
        assert (found.status_code, found.headers["access-control-allow-origin"]) == (201, "https://example.org")
        assert client.post("/v1/lm/sessions", json={}, headers={"origin": "https://evil.example"}).status_code == 403
        assert client.get("/v1/models", headers={"host": "evil.example"}).status_code == 200  # the token is enough


@pytest.mark.parametrize("path", ["/v1/lm/generate", "/v1/completions"])
@pytest.mark.parametrize("streamed", [True, False])
def test_what_is_written_for_a_client_that_vanishes_stops(lm_run: str, path: str, streamed: bool) -> None:
    with running({"lm": lm_run}, limits=replace(Limits(), max_tokens=10_000_000)) as server:
        body: dict[str, object] = {"prompt": "the ", "max_tokens": 1_000_000, "seed": 1}
        if path.endswith("completions"):
            body |= {"model": "lm", "stream": streamed}
        with connection(server) as sock:
            sock.sendall(post(path, body))
            if streamed or path.endswith("generate"):
                assert b"200 OK" in sock.recv(1000)
            _until(lambda: server.stats()["queue"] > 0)
        _until(lambda: server.stats()["queue"] == 0)


def test_a_client_that_reads_nothing_of_a_text_is_let_go(lm_run: str) -> None:
    limits = Limits(max_tokens=10_000_000)
    with running({"lm": lm_run}, limits=limits, send_seconds=0.2) as server, connection(server) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(post("/v1/lm/generate", {"prompt": "the ", "max_tokens": 1_000_000, "logprobs": 20}))
        _until(lambda: server.stats()["queue"] > 0)
        _until(lambda: server.stats()["queue"] == 0)


def test_a_client_that_reads_no_answers_has_no_more_steps_taken(lm_run: str) -> None:
    with running({"lm": lm_run}, send_seconds=0.2) as server, server.client() as client, connection(server) as sock:
        id = client.post("/v1/lm/sessions", json={}).json()["id"]
        request = post(f"/v1/lm/sessions/{id}/steps", {"text": "x" * 200, "all": True, "top": 20})
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(OSError):  # it is closed
            for _ in range(10_000):
                sock.sendall(request)
        _until(lambda: server.app.connections() == 1)  # the one that asks below
        assert client.get(f"/v1/lm/sessions/{id}").json()["step"] < 1_000_000
        assert client.get("/readyz").status_code == 200


def _until(true: object) -> None:
    end = time.monotonic() + 20
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


def test_no_traceback_and_no_text_leave_a_bug(server: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def broken(*args: object) -> None:
        raise KeyError("the text of a user")

    monkeypatch.setattr(server.app.service, "view", broken)
    file = tmp_path / "log"
    with file.open("wb") as log:
        monkeypatch.setattr(server.app.log, "_file", log.fileno())
        with server.client() as client:
            found = client.get("/v1/lm/sessions/x", headers={"x-request-id": "of-mine.1"})
        server.loop.call_soon_threadsafe(server.app.log.flush)
        _until(lambda: file.stat().st_size > 0)
    assert found.status_code == 500
    assert found.headers["x-request-id"] == "of-mine.1"
    assert "KeyError" not in found.text
    failed, request = map(json.loads, file.read_text().splitlines())
    assert (failed["event"], failed["id"], failed["error"]) == ("failed", "of-mine.1", "KeyError")
    assert failed["frames"][-1].endswith("broken")
    assert request["status"] == 500
    assert "text of a user" not in file.read_text()


def test_a_connection_that_waits_for_its_next_request_does_not_wait_for_ever(lm_run: str) -> None:
    with running({"lm": lm_run}, idle_connection_seconds=1) as server, connection(server) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert answers(sock, 1) == [(200, {"status": "ok"})]
        assert rest(sock) == b""


def _sent_until_closed(server: Running, *parts: bytes) -> tuple[int, bytes]:
    """Sends the last part again and again. Returns how many bytes were taken, and the answer."""
    with connection(server) as sock:
        sent, most = 0, 4_000_000
        try:
            for part in parts[:-1]:
                sock.sendall(part)
            while sent < most:
                sock.sendall(parts[-1])
                sent += len(parts[-1])
        except OSError:  # closed
            pass
        found = b""
        with contextlib.suppress(OSError):
            found = rest(sock)
    assert sent < most
    return sent, found


_CHUNKED = (
    b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_UPGRADE = b"GET /v1/lm/sessions/x/socket HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        (b"GET /", b"a" * 1000),
        (b"A" * 1000,),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ", b"a" * 1000),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\n", b"a" * 1000),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\n", b"a: b\r\n" * 100),
        (_UPGRADE, b"a: b\r\n" * 100),
        (_UPGRADE + b"x: ", b"a" * 1000),
        (_CHUNKED + b"2\r\n{}\r\n0\r\n", b"a: b\r\n" * 100),
        (_CHUNKED + b"2\r\n{}\r\n0\r\na: ", b"b" * 1000),
        (_CHUNKED + b"2;a=", b"b" * 1000),
        (_CHUNKED, b"1;a=" + b"b" * 10_000 + b"\r\n \r\n"),
    ],
    ids=[
        "url", "method", "value", "name", "headers", "headers of a websocket", "value of a websocket", "trailers", "a trailer",
        "an extension", "extensions",
    ],
)  # fmt: skip
def test_a_head_without_end_is_not_kept(server: Running, parts: tuple[bytes, ...]) -> None:
    _sent_until_closed(server, *parts)
    with server.client() as client:
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n" + b"a: b\r\n" * 100 + b"\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 50_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        _UPGRADE + b"a: b\r\n" * 100 + b"\r\n",
        _UPGRADE + b"x: " + b"a" * 10_000 + b"\r\n\r\n",
    ],
    ids=["headers", "a header", "url", "headers of a websocket", "a header of a websocket"],
)
def test_a_head_that_is_too_large_is_told_so(server: Running, head: bytes) -> None:
    with connection(server) as sock:
        sock.sendall(head)
        ((status, body),) = answers(sock, 1)
    assert (status, body["error"]["code"]) == (431, "headers_too_large")


def test_a_large_head_and_many_requests_at_once_are_none_of_that(server: Running) -> None:
    head = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n" + f"a: {'b' * 300}\r\n" * 90 + "\r\n"
    with connection(server) as sock:
        for _ in range(2):
            sock.sendall(head.encode() * 8)
            assert [status for status, _ in answers(sock, 8)] == [200] * 8


def test_a_body_in_the_smallest_chunks_is_read(server: Running) -> None:
    body = json.dumps({"model": "lm", "prompt": "x" * 8000, "max_tokens": 1}).encode()
    with connection(server) as sock:
        sock.sendall(_CHUNKED + b"".join(b"1\r\n%c\r\n" % each for each in body) + b"0\r\n\r\n")
        assert answers(sock, 1)[0][0] == 200


@pytest.mark.parametrize("path", ["/v1/lm/sessions", "/v1/lm/predict", "/v1/completions", "steps"])
def test_who_has_sent_all_and_says_so_is_answered(server: Running, path: str) -> None:
    bodies = {"/v1/completions": {"model": "lm", "prompt": "the ", "max_tokens": 3}, "steps": {"text": "the "}}
    with server.client() as client:
        id = client.post("/v1/lm/sessions", json={}).json()["id"]
    with connection(server) as sock:
        sock.sendall(post(f"/v1/lm/sessions/{id}/steps" if path == "steps" else path, bodies.get(path, {})))
        sock.shutdown(socket.SHUT_WR)
        found = rest(sock)
    assert found.startswith(b"HTTP/1.1 400" if path.endswith("predict") else b"HTTP/1.1 20")


def test_what_is_a_product_of_what_may_be_is_bounded_itself(server: Running) -> None:
    """Each number is allowed; together they would keep everybody waiting."""
    with server.client() as client:
        path = f"/v1/lm/sessions/{client.post('/v1/lm/sessions', json={'text': 'the '}).json()['id']}"
        refused = [
            client.post(f"{path}/steps", json={"text": "x" * 16_000, "all": True, "top": 1000}),
            client.post("/v1/lm/sessions", json={"text": "x" * 16_000, "all": True, "top": 1000}),
        ]
        texts = {"model": "lm", "prompt": "the ", "max_tokens": 16_000, "n": 128}
        refused += [
            client.post("/v1/completions", json=texts),
            client.post("/v1/completions", json={**texts, "max_tokens": 1, "prompt": "x" * 16_000}),
            client.post("/v1/completions", json={**texts, "max_tokens": 1, "n": 1, "prompt": ["x" * 16_000] * 5}),
            client.post("/v1/completions", json={**texts, "max_tokens": 1, "n": 64, "prompt": [[1] * 2000]}),
        ]
        for found in refused:
            assert (found.status_code, found.json()["error"]["code"]) == (413, "too_large")
            assert "expected at most" in found.json()["error"]["message"]
        stops = client.post("/v1/lm/generate", json={"stop": ["x" * 999] * 16})
        assert (stops.status_code, stops.json()["error"]["param"]) == (400, "stop")
        found = client.post(f"{path}/steps", json={"text": "x" * 50, "all": True, "top": 1000})
        assert (found.status_code, len(found.json()["said"])) == (200, 50)
        found = client.post("/v1/completions", json={**texts, "max_tokens": 1, "prompt": ["a", "bc"], "n": 2})
        assert [found.status_code, len(found.json()["choices"])] == [200, 4]
        assert found.json()["usage"]["prompt_tokens"] == 3
