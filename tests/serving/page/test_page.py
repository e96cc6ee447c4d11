"""The page as a server gives it; what it does in a browser is looked at by `tests.serving.look_at_page`."""

import re
from itertools import combinations

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ostinato.serving.page import POLICY, routes
from ostinato.serving.page.page_routes import FOLDER
from tests.serving.page.stub import Stub

NAMES = sorted(file.name for file in FOLDER.iterdir())


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=routes()))


def text_of(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def test_the_page_comes_at_the_root_under_a_strict_policy(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "*" not in POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text == text_of("index.html")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_comes_once_and_is_then_known(client: TestClient, name: str) -> None:
    answer = client.get(f"/page/{name}")
    assert answer.status_code == 200
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["content-security-policy"] == POLICY
    for known in (answer.headers["etag"], f'"other", W/{answer.headers["etag"]}', "*"):
        again = client.get(f"/page/{name}", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == answer.headers["etag"]
    assert client.get(f"/page/{name}", headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.head(f"/page/{name}").status_code == 200


@pytest.mark.parametrize(
    "path", ["/page/none.js", "/page/..%2fpage_routes.py", "/page/%2e%2e/__init__.py", "/page/", "/page/a/b"]
)
def test_nothing_else_is_there(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_every_file_that_is_named_is_there() -> None:
    named = set(re.findall(r"page/([\w.-]+)", text_of("index.html")))
    for name in NAMES:
        if name.endswith(".js"):
            named |= set(re.findall(r"""(?:from|import)\(? ?"\./([\w.-]+)\"""", text_of(name)))
    assert named | {"index.html"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_fetched_from_elsewhere_and_no_text_becomes_markup(name: str) -> None:
    text = text_of(name).replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z]+\.|@import", text)
    assert not (name.endswith(".css") and "url(" in text)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|srcdoc", text
    )
    if name.endswith(".html"):
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", text)


def luminance(colour: str) -> float:
    def linear(v: float) -> float:
        return v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4

    r, g, b = (linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_read(theme: int) -> None:
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", text_of("style.css") + text_of("views.css"))
    colour = {name: both[theme] for name, *both in pairs}
    words = ("ink", "soft", "accent", "fault", *(f"k{n}" for n in range(10)))
    for ground in ("page", "card", "sunk"):
        for name in words:
            assert contrast(colour[name], colour[ground]) >= 4.5, (name, ground)
        assert contrast(colour["edge"], colour[ground]) >= 3.0, ground
    for ground in ("positive", "negative", "heat", "wash", "fault-wash"):
        assert contrast(colour["ink"], colour[ground]) >= 4.5, ground
    assert contrast(colour["fault"], colour["fault-wash"]) >= 4.5
    assert contrast(colour["accent"], colour["wash"]) >= 4.5
    assert contrast(colour["on-accent"], colour["accent"]) >= 4.5
    shades = [colour[f"k{n}"] for n in range(10)]
    assert all(a != b for a, b in combinations(shades, 2))


def test_the_canned_server_keeps_sessions_as_the_page_expects() -> None:
    client = TestClient(Stub(token="t").app, headers={"Authorization": "Bearer t"})
    id = client.post("/v1/letters/sessions", json={}).json()["id"]
    at = f"/v1/letters/sessions/{id}"
    assert [each["text"] for each in client.post(f"{at}/steps", json={"text": "tea", "all": True}).json()["said"]] == [
        "t",
        "e",
        "a",
    ]
    client.post(f"{at}/marks/t3")
    written = client.post(f"{at}/generate", json={"max_tokens": 4, "seed": 0}).text
    assert written.count("data: ") == 6
    assert client.post(f"{at}/fork", json={"mark": "t3"}).json()["step"] == 3
    assert client.post(f"{at}/rewind", json={"mark": "t3"}).json()["step"] == 3
    assert client.delete(at).status_code == 204
    assert client.get(at).status_code == 404
    assert client.get("/v1/models", headers={"Authorization": "Bearer u"}).status_code == 401
