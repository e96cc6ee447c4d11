"""What the page reads of the API: of a real server, whose models have learnt nothing."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.serving.http.running import running
from tests.serving.untrained import untrained, untrained_lm

SMALL = {"hidden_size": 8}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("page")
    pairs = folder / "pairs.tsv"
    pairs.write_text("".join(f"{n} Mai\t05-{n:02}\n" for n in range(1, 29)) * 4)
    runs = {
        "lm": untrained_lm(folder / "lm"),
        "digits": untrained(folder / "digits", "classify", model=SMALL),
        "dates": untrained(folder / "dates", "translate", data=str(pairs), model=SMALL, reading={"tokens": "char"}),
        "numbers": untrained(folder / "numbers", "caption", model={"features": 4, **SMALL}),
    }
    with running({name: str(run) for name, run in runs.items()}) as server, server.client() as found:
        yield found


@pytest.fixture(scope="module")
def info(client: httpx.Client) -> dict[str, dict[str, Any]]:
    return {model["id"]: model["ostinato"] for model in client.get("/v1/models").json()["data"]}


def picture(height: int, width: int) -> str:
    file = io.BytesIO()
    Image.fromarray(np.arange(height * width, dtype=np.uint8).reshape(height, width)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def events(client: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_units_have_one_name_everywhere(client: httpx.Client, info: dict[str, Any]) -> None:
    series = info["lm"]["units"]
    text = "the quick brown fox jumps"
    found = client.post("/v1/lm/units", json={"text": text}).json()
    assert "".join(found["tokens"]) == text
    assert found["shape"] == [len(text), sum(each["count"] for each in series)]
    values = np.frombuffer(base64.b64decode(found["values"]), np.int8).reshape(found["shape"]) / 127
    for each in series:
        column, name = each["first"] + 3, f"{each['name']}.3"
        *pieces, end = events(
            client,
            "/v1/lm/generate",
            {"prompt": text[:-5], "max_tokens": 3, "temperature": 0, "unit": name, "logprobs": 10},
        )
        written = "".join(piece["text"] for piece in pieces)
        again = client.post("/v1/lm/units", json={"text": text[:-5] + written}).json()
        all_of_them = np.frombuffer(base64.b64decode(again["values"]), np.int8).reshape(again["shape"]) / 127
        np.testing.assert_allclose([piece["unit"] for piece in pieces], all_of_them[-3:, column], atol=0.02)
        assert all(len(piece["top_logprobs"]) == 10 for piece in pieces)
        assert end["finish_reason"] == "length"
    assert np.abs(values).max() <= 1


def test_a_session_says_after_a_text_what_comes_next(client: httpx.Client) -> None:
    id = client.post("/v1/lm/sessions", json={}).json()["id"]
    said = client.post(f"/v1/lm/sessions/{id}/steps", json={"text": "the ", "all": True, "top": 10}).json()["said"]
    assert [each["text"] for each in said] == list("the ")
    assert all(isinstance(each["token"], int) and len(each["next"]) == 10 for each in said)
    at = f"/v1/lm/sessions/{id}"
    whole = events(client, f"{at}/generate", {"max_tokens": 12, "seed": 3})
    assert len(whole[-1]["next"]) == 10
    # In parts, with marks between them, the same text is written; and a fork goes on from its mark.
    client.post(f"{at}/steps", json={"text": "x"})
    other = client.post("/v1/lm/sessions", json={"text": "the "}).json()["id"]
    parts = []
    for n in range(3):
        parts += events(client, f"/v1/lm/sessions/{other}/generate", {"max_tokens": 4, "seed": 3})[:-1]
        client.post(f"/v1/lm/sessions/{other}/marks/t{4 * n + 8}")
    assert [piece["token"] for piece in parts] == [piece["token"] for piece in whole[:-1]]
    fork = client.post(f"/v1/lm/sessions/{other}/fork", json={"mark": "t8"}).json()
    assert (fork["step"], set(fork["marks"])) == (8, {"t8"})
    last = [piece["token"] for piece in parts[4:]]
    found = client.post(f"/v1/lm/sessions/{fork['id']}/steps", json={"tokens": last, "top": 10}).json()
    assert found["said"][-1]["next"] == whole[-1]["next"]


def test_rows_of_an_image_are_steps(client: httpx.Client, info: dict[str, Any]) -> None:
    shape, image = info["digits"]["image"], picture(8, 8)
    assert (info["digits"]["input"], shape["height"], shape["width"]) == ("image", 8, 8)
    whole = client.post("/v1/digits/predict", json={"input": image}).json()["outputs"][0]
    begun = client.post("/v1/digits/sessions", json={"image": image, "all": True}).json()
    assert len(begun["said"]) == 8
    for name in info["digits"]["classes"]:
        assert begun["said"][-1]["probabilities"][name] == pytest.approx(whole["probabilities"][name], abs=1e-5)


def test_a_translation_says_where_it_looked(client: httpx.Client, info: dict[str, Any]) -> None:
    assert info["dates"]["attention"]
    first, *pieces, end = events(client, "/v1/dates/generate", {"input": "3 Mai"})
    assert "".join(first["source"]) == "3 Mai"
    for piece in pieces:
        assert sum(piece["attention"][: len(first["source"])]) == pytest.approx(1, abs=1e-3)
    assert end["finish_reason"] in {"stop", "length"}


def test_a_caption_says_where_it_looked(client: httpx.Client, info: dict[str, Any]) -> None:
    shape = info["numbers"]["image"]
    first, *pieces, _ = events(client, "/v1/numbers/generate", {"input": picture(shape["height"], shape["width"])})
    rows, columns = first["grid"]
    assert all(len(piece["attention"]) == rows * columns for piece in pieces)


def test_a_picture_of_another_size_is_fitted(client: httpx.Client) -> None:
    assert events(client, "/v1/numbers/generate", {"input": picture(20, 30)})[0]["grid"]
