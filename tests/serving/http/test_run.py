"""The command: what it prints, signals, workers."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ostinato.cli.main import main
from ostinato.cli.serve import _named, _tell
from ostinato.errors import ConfigError
from ostinato.serving.http.server.run import bind
from ostinato.serving.http.server.settings import Settings
from ostinato.serving.limits import Limits
from tests.serving.untrained import untrained_lm

START_S = 120


@contextmanager
def served(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command at a free port, and the address that it prints."""
    command = [sys.executable, "-m", "ostinato.cli.main", "serve", "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first, second = process.stdout.readline(), process.stdout.readline()
            assert second.startswith("curl "), (first, process.stderr.read() if process.stderr else "")
            yield process, first.split("/ is the page")[0]
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=START_S)
    return process.returncode, error


def test_it_prints_what_can_be_tried_and_ends_in_order(tmp_path: Path) -> None:
    """SIGTERM under load: all that was accepted is answered, or told to try again, and sessions are there afterwards."""
    run, store = untrained_lm(tmp_path / "lm"), str(tmp_path / "sessions.sqlite")
    with served(f"words={run}", "--sessions", store, "--log", "errors") as (process, url):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        path = f"/v1/words/sessions/{httpx.post(f'{url}/v1/words/sessions', json={}).json()['id']}"
        steps, others, stopped = [0], set[Any](), threading.Event()

        def load() -> None:
            with httpx.Client(base_url=url, timeout=30) as client:
                while True:
                    try:
                        found = client.post(f"{path}/steps", json={"text": "x", "top": 1})
                    except httpx.TransportError:  # nobody listens any more, or an idle connection was closed
                        return
                    if found.status_code != 200:
                        others.add((found.status_code, found.headers.get("retry-after")))
                        return
                    steps.append(found.json()["step"])
                    if len(steps) > 40:
                        stopped.set()

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert stopped.wait(30)
        status, error = ended(process)
        for thread in threads:
            thread.join(30)
    assert status == 0
    assert '"event":"ended"' in error
    assert others <= {(503, "1")}
    assert sorted(steps) == list(range(len(steps)))  # every step that was answered is one, and none is there twice
    with served(f"words={run}", "--sessions", store) as (process, url):
        assert httpx.get(url + path).json()["step"] >= max(steps)
        status, error = ended(process)
    assert status == 0
    line = next(line for line in error.splitlines() if '"event":"request"' in line)
    assert '"route":"/v1/{model}/sessions/{id}"' in line
    assert path.rsplit("/", 1)[1] not in line


def test_a_run_is_read_again_and_its_sessions_go_on(tmp_path: Path) -> None:
    run = untrained_lm(tmp_path / "lm")
    other = untrained_lm(tmp_path / "other", (tmp_path / "lm.txt").read_text(), seed=1)
    with served(str(run), "--sessions", "memory") as (process, url), httpx.Client(base_url=url, timeout=30) as client:
        id = client.post("/v1/lm/sessions", json={"text": "the "}).json()["id"]

        def best() -> float:
            body = {"prompt": "the ", "max_tokens": 1, "model": "lm", "temperature": 0, "logprobs": 1}
            return client.post("/v1/completions", json=body).json()["choices"][0]["logprobs"]["token_logprobs"][0]

        before = best()
        for file in other.iterdir():
            if file.suffix == ".safetensors":
                (run / file.name).write_bytes(file.read_bytes())
        process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 30
        while best() == before:
            assert time.monotonic() < end
        assert client.post(f"/v1/lm/sessions/{id}/steps", json={"text": "fox"}).json()["step"] == 7
        status, error = ended(process)
    assert (status, '"event":"reloaded"' in error) == (0, True)


def test_workers_share_sessions_and_one_that_dies_is_begun_again(tmp_path: Path) -> None:
    run = untrained_lm(tmp_path / "lm")
    with served(str(run), "--sessions", str(tmp_path / "s"), "--workers", "2", "--log", "errors") as (process, url):
        with httpx.Client(base_url=url, timeout=60) as client:
            id = client.post("/v1/lm/sessions", json={}).json()["id"]
        path = f"{url}/v1/lm/sessions/{id}/steps"

        def step() -> int:
            while (found := httpx.post(path, json={"text": "x"}, timeout=60)).status_code in (429, 503):
                time.sleep(0.02)
            return found.json()["step"]

        assert [step() for _ in range(10)] == list(range(1, 11))

        def steps_counted() -> float:
            figures = httpx.get(f"{url}/metrics", timeout=60).text  # of both, whoever is asked
            found = [each for each in figures.splitlines() if each.startswith("ostinato_requests_total")]
            (line,) = [each for each in found if "/steps" in each]
            assert 'status="200"' in line
            return float(line.split()[-1])

        end = time.monotonic() + START_S
        while steps_counted() < 10:  # one counts a request once its answer is sent
            assert time.monotonic() < end
            time.sleep(0.02)
        assert steps_counted() == 10
        first, _ = workers = children(process.pid)
        os.kill(first, signal.SIGKILL)
        end = time.monotonic() + START_S
        while len(now := children(process.pid)) < 2 or now == workers:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert [step() for _ in range(5)] == list(range(11, 16))
        status, _ = ended(process)
        assert status == 0
        assert not [pid for pid in now if Path(f"/proc/{pid}").exists()]


def test_workers_that_cannot_begin_are_not_begun_for_ever(tmp_path: Path, lm_run: str) -> None:
    words = [sys.executable, "-m", "ostinato.cli.main", "serve", lm_run, "--port", "0", "--workers", "2"]
    done = subprocess.run(
        [*words, "--sessions", "s", "--tokens", "nowhere"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert done.returncode == 2
    assert "--tokens nowhere: cannot be read" in done.stderr
    assert "workers end as soon as they begin" in done.stderr


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-run"], "no-such-run"),
        (["m=EMPTY"], "config.yaml"),
        (["RUN", "--sessions", "postgres://x"], "expected a file, redis://HOST, or memory, got postgres://x"),
        (["RUN", "--port", "99999"], "--port: expected from 0 to 65535"),
        (["RUN", "--max-batch", "0"], "max_batch: expected at least 1"),
        (["RUN", "--workers", "2", "--sessions", "memory"], "--workers: expected --sessions"),
        (["RUN", "--tokens", "no-such-file"], "--tokens no-such-file: cannot be read"),
        (["RUN", "--cors", "[example.org]"], "--cors: expected origins"),
        (["RUN", "RUN"], "two models are called lm"),
        (["models=RUN"], "a model cannot be called 'models'"),
        (["RUN", "--host", "192.0.2.1", "--port", "0"], "cannot listen there"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    words: list[str], message: str, lm_run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *(word.replace("RUN", lm_run).replace("EMPTY", str(tmp_path)) for word in words)]) == 2
    assert not list(tmp_path.iterdir())  # no file of sessions in what is no run
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_where_sessions_are_kept_is_told_and_who_may_ask(
    tmp_path: Path, lm_run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings({"lm": lm_run}, sessions="redis://:secret@example.org/0", host="0.0.0.0")
    with bind("127.0.0.1", 0) as listening:
        _tell(settings, listening)
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == "sessions are kept in redis://...@example.org/0"
    assert told.err == "whoever reaches this address may ask, as there are no tokens: --tokens FILE\n"


def test_models_are_named_by_their_folders_or_by_name(tmp_path: Path) -> None:
    (tmp_path / "a=b").mkdir()
    assert _named([str(tmp_path / "x"), f"y={tmp_path}/z"]) == {"x": f"{tmp_path}/x", "y": f"{tmp_path}/z"}
    assert _named([str(tmp_path / "a=b")]) == {"a=b": f"{tmp_path}/a=b"}
    with pytest.raises(ConfigError, match="two models"):
        _named(["a/x", "b/x"])


def test_settings_go_to_workers_whole() -> None:
    given = Settings(
        {"a": "b"}, cors=("https://x",), limits=Limits(max_batch=3), sessions="s", workers=2, log_text=True
    )
    assert Settings.from_json(given.to_json()) == given


def test_what_clients_do_wrong_leaves_no_line_that_is_not_json(tmp_path: Path) -> None:
    run = untrained_lm(tmp_path / "lm")
    with served(f"lm={run}", "--sessions", "memory", "--log", "errors") as (process, url):
        id = httpx.post(f"{url}/v1/lm/sessions", json={}).json()["id"]
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        hello = (
            f"GET /v1/lm/sessions/{id}/socket HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
        ).encode()
        for begin, more in (
            (hello + b"\r\n", b"\x81\x82\0\0\0\0\xff\xfe"),  # no UTF-8
            (hello + b"\r\n", b"\xf1\x82\0\0\0\0ab"),  # bits that are reserved
            (hello + b"x: " + b"a" * 10_000 + b"\r\n\r\n", b""),
            (hello.replace(b"13", b"99") + b"\r\n", b""),
            (b"\x16\x03\x01", b""),
            (b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: h2c, x\r\n\r\n", b""),
        ):
            with socket.create_connection(address, timeout=20) as sock:
                sock.sendall(begin)
                assert sock.recv(1 << 16).startswith(b"HTTP/1.1 ")
                if more:
                    sock.sendall(more)
                    while sock.recv(1 << 16):
                        pass
        status, error = ended(process)
    assert status == 0
    assert [json.loads(line)["event"] for line in error.splitlines()] == ["draining", "ended"]
