from __future__ import annotations

from tests.serving.http.random_requests import ask_at_random
from tests.serving.http.running import Running


def test_random_requests_are_answered_as_the_document_says(server: Running) -> None:
    with server.client() as client:
        session = client.post("/v1/lm/sessions", json={}).json()["id"]
    found = ask_at_random(server.url, 250, session)
    assert found[200]
    assert found[400]
    assert not found[500]
