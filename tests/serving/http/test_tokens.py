"""Who may come in."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostinato.errors import ConfigError
from ostinato.serving.http.auth import Tokens
from ostinato.serving.http.refusals import TokenError
from tests.serving.http.conftest import ADA, GRACE
from tests.serving.http.running import Running


def test_without_a_token_only_health_and_documents_are_shown(guarded: Running) -> None:
    with guarded.client() as client:
        for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
            assert client.get(path).status_code == 200
        for path in ("/v1/models", "/v1/models/lm", "/v1/lm/sessions", "/metrics", "/v1/lm/sessions/s_x"):
            found = client.get(path)
            assert (found.status_code, found.headers["www-authenticate"]) == (401, "Bearer")
        for header in (
            "",
            "Bearer",
            f"Basic {ADA}",
            f"Bearer {ADA[:-1]}",
            f"Bearer {ADA} x",
            f"Bearer {'é'}",
        ):
            found = client.get("/v1/models", headers=[(b"authorization", header.encode())])
            assert found.status_code == 401
        assert client.get("/v1/models", headers={"authorization": f"bearer {ADA}"}).status_code == 200


def test_a_session_of_another_owner_is_not_there_whatever_is_asked(guarded: Running) -> None:
    with guarded.client(ADA) as ada, guarded.client(GRACE) as grace:
        id = ada.post("/v1/lm/sessions", json={"text": "the "}).json()["id"]
        path = f"/v1/lm/sessions/{id}"
        state = ada.get(f"{path}/state").content
        asked = [
            grace.get(path),
            grace.post(f"{path}/steps", json={"text": "x"}),
            grace.post(f"{path}/steps", json={"text": "x"}, headers={"idempotency-key": "k"}),
            grace.post(f"{path}/generate", json={"max_tokens": 1}),
            grace.post(f"{path}/marks/start"),
            grace.post(f"{path}/rewind", json={"mark": "start"}),
            grace.post(f"{path}/fork", json={}),
            grace.get(f"{path}/state"),
            grace.put(f"{path}/state", content=state, headers={"content-type": "application/octet-stream"}),
            grace.delete(path),
        ]
        nowhere = grace.get("/v1/lm/sessions/s_nobodys")
        for found in asked:
            assert found.status_code == 404
            assert found.json() == nowhere.json()
        assert id not in [each["id"] for each in grace.get("/v1/lm/sessions").json()["sessions"]]
        assert ada.get(path).json()["step"] == 4


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "at least one line"),
        ("ada", "line 1: expected name:token"),
        ("# remark\nada:short", "line 2: expected name:token"),
        (f"a b:{ADA}", "line 1"),
        (f"ada:{ADA}\ngrace:{ADA}", "line 2: this token has another name"),
    ],
)
def test_a_file_that_is_wrong_is_told_without_its_tokens(tmp_path: Path, lines: str, message: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(lines)
    with pytest.raises(ConfigError, match=message) as raised:
        Tokens(str(file))
    assert ADA not in str(raised.value)


def test_tokens_are_read_again_and_stay_where_the_new_ones_are_wrong(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"ada:{ADA}")
    tokens = Tokens(str(file))
    file.write_text(f"grace:{GRACE}")
    tokens.reload()
    assert tokens.owner(f"Bearer {GRACE}".encode()) == "grace"
    with pytest.raises(TokenError):
        tokens.owner(f"Bearer {ADA}".encode())
    file.write_text("nonsense")
    with pytest.raises(ConfigError):
        tokens.reload()
    assert tokens.owner(f"Bearer {GRACE}".encode()) == "grace"
