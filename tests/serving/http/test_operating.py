"""Health, figures, documents."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ostinato.serving.http.server.logs import Log, json_logs
from tests.serving.http.running import Running, running


def test_health_and_readiness(server: Running) -> None:
    with server.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").json() == {"status": "ready", "models": ["lm"]}
        server.app.draining = True
        try:
            found = client.get("/readyz")
            assert (found.status_code, found.headers["connection"]) == (503, "close")
            found = client.post("/v1/lm/sessions", json={})
            assert (found.status_code, found.headers["retry-after"]) == (503, "1")
            assert client.get("/healthz").status_code == 200
        finally:
            server.app.draining = False


@pytest.mark.parametrize("how", ["fails", "hangs"])
def test_who_cannot_reach_its_store_is_not_ready(
    lm_run: str, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ostinato.serving.service._PING_SECONDS", 0.1)
    with running({"lm": lm_run}, sessions=str(tmp_path / "sessions.sqlite")) as server, server.client() as client:
        assert client.get("/readyz").status_code == 200
        store: Any = server.app.service._keeper._store  # type: ignore[union-attr]
        goes_on = threading.Event()

        def ping() -> None:
            if how == "fails":
                raise OSError("nobody is there")
            goes_on.wait(20)

        monkeypatch.setattr(store, "ping", ping)
        _until(lambda: client.get("/readyz").status_code == 503)
        assert client.get("/readyz").headers["retry-after"] == "1"
        assert client.get("/healthz").status_code == 200
        monkeypatch.undo()
        goes_on.set()
        _until(lambda: client.get("/readyz").status_code == 200)


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_figures_are_what_prometheus_reads(server: Running) -> None:
    with server.client() as client:
        before = _figures(client.get("/metrics").text)
        path = f"/v1/lm/sessions/{client.post('/v1/lm/sessions', json={}).json()['id']}"
        for _ in range(3):
            client.post(f"{path}/steps", json={"text": "x"})
        found = client.get("/metrics")
        after = _figures(found.text)
    assert found.headers["content-type"].startswith("text/plain")
    steps = ("ostinato_requests_total", ("/v1/{model}/sessions/{id}/steps", "200"))
    assert after[steps] - before.get(steps, 0) == 3
    assert after["ostinato_request_seconds_count", ("/v1/{model}/sessions/{id}/steps",)] >= 3
    assert after["ostinato_batch_rows_sum", ("lm",)] - before.get(("ostinato_batch_rows_sum", ("lm",)), 0) == 3
    assert after["ostinato_sessions", ("lm",)] >= 1
    counted = ("ostinato_steps_total", ("lm",))
    assert after[counted] - before.get(counted, 0) == 3  # what grows is a counter
    for name in ("ostinato_queue", "ostinato_evictions_total", "ostinato_stored"):
        assert (name, ("lm",)) in after


def _figures(text: str) -> dict:
    return {
        (each.name, tuple(each.labels.values())): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def test_the_document_has_every_route_and_the_page_of_it_needs_nothing_from_elsewhere(server: Running) -> None:
    with server.client() as client:
        found = json.loads(client.get("/openapi.json").content)
        page = client.get("/docs")
    assert found["openapi"] == "3.1.0"
    assert "/v1/{model}/sessions/{id}/steps" in found["paths"]
    names = [each["operationId"] for path in found["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))
    assert "https://" not in page.text
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_what_libraries_log_is_json_without_what_users_wrote(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("w") as opened:
        log = Log(file=opened.fileno())

        async def fails() -> None:
            with json_logs(log):
                try:
                    raise ValueError("text of a user")
                except ValueError:
                    logging.getLogger("asyncio").exception("Task failed\nfuture: ValueError('text of a user')")
                logging.getLogger("uvicorn.error").error("odd: %s", "text of a user")
                await asyncio.sleep(0)

        asyncio.run(fails())
        log.flush()
    first, second = map(json.loads, file.read_text().splitlines())
    assert (first["event"], first["message"], first["error"]) == ("log", "Task failed", "ValueError")
    assert first["frames"][-1].endswith("fails")
    assert (second["logger"], second["message"], second["level"]) == ("uvicorn.error", "odd: %s", "error")
    assert "user" not in file.read_text()
