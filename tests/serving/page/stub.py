"""A server with canned answers in the form of the API, for looking at the page without a model.

What it answers follows from what was asked by rules that a test can repeat: a language model whose next token follows from the
count of tokens, a classifier that counts vowels, a tagger of digits and words, and so on. Sessions, marks and forks are real.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ostinato.serving.page import routes

LETTERS = "\netaoinshrdlu <>/&bcfgk"
LAYERS = [
    {"layer": "layer 1", "state": "c", "first": 0, "count": 6},
    {"layer": "layer 2", "state": "h", "first": 6, "count": 4},
]
CLASSES = ["vowels", "consonants", "neither"]
TAGS = ["name", "number", "operator", "space"]
EVIL = '<img src=x onerror="document.title=1">'  # of a model that writes markup

MODELS: dict[str, dict[str, Any]] = {
    "letters": {
        "task": "lm", "sessions": True, "parameters": 1234, "tokens": "char", "units": LAYERS, "prompt": "the <b>sea</b>\n",
    },
    "stateless": {
        "task": "lm", "sessions": False, "why_no_sessions": "its layers cannot be stepped", "tokens": "char", "units": [],
    },
    "vowels": {
        "task": "classify", "sessions": True, "input": "text", "tokens": "char", "classes": CLASSES, "prompt": "onomatopoeia",
    },
    "digits": {
        "task": "classify", "sessions": False, "why_no_sessions": "it reads in both directions", "input": "image",
        "classes": [str(n) for n in range(10)], "image": {"height": 8, "width": 8, "channels": 1},
    },
    "code": {"task": "tag", "sessions": True, "input": "text", "tags": TAGS},
    "words": {"task": "tag", "sessions": False, "input": "words", "tags": ["NOUN", "NUM"]},
    "hands": {
        "task": "tag", "sessions": False, "why_no_sessions": "it reads recordings as a whole", "input": "recording",
        "tags": ["rest", "wave"], "channels": ["x", "pressure"],
    },
    "mirror": {"task": "translate", "sessions": False, "attention": True, "prompt": "12 May 2001"},
    "looker": {"task": "caption", "sessions": False, "attention": True, "image": {"height": 16, "width": 16, "channels": 1}},
    "waves": {
        "task": "forecast", "sessions": True, "horizon": 12, "levels": [50, 80, 95], "calendar": False, "series": ["north"],
        "examples": [{"series": "north", "values": [round(10 + 3 * math.sin(t / 3), 3) for t in range(80)], "start": None}],
    },
}  # fmt: skip


@dataclass
class Held:
    model: str
    read: list[Any] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)

    def view(self, id: str) -> dict[str, Any]:
        return {
            "id": id, "model": self.model, "task": MODELS[self.model]["task"], "step": len(self.read), "saved": 0,
            "marks": self.marks, "created": 0, "expires": None,
        }  # fmt: skip


class Stub:
    """Its state, and what was asked of it.

    Args:
        token: that requests must carry; None for none.
        pause: seconds between two tokens that are written.
    """

    def __init__(self, token: str | None = None, pause: float = 0.002) -> None:
        self.token, self.pause = token, pause
        self.held: dict[str, Held] = {}
        self.asked: list[tuple[str, str]] = []
        self.refusing: tuple[int, str] | None = None  # what the next request is refused with
        self._numbers = itertools.count(1)
        at = "/v1/{model}/sessions/{id}"
        self.app = Starlette(
            routes=[
                *routes(),
                Route("/v1/models", self._checked(self.models)),
                Route("/v1/{model}/predict", self._checked(self.predict), methods=["POST"]),
                Route("/v1/{model}/generate", self._checked(self.generate), methods=["POST"]),
                Route("/v1/{model}/units", self._checked(self.units), methods=["POST"]),
                Route("/v1/{model}/sessions", self._checked(self.open), methods=["POST"]),
                Route(at, self._checked(self.one), methods=["GET", "DELETE"]),
                Route(at + "/steps", self._checked(self.steps), methods=["POST"]),
                Route(at + "/generate", self._checked(self.write), methods=["POST"]),
                Route(at + "/marks/{name}", self._checked(self.mark), methods=["POST"]),
                Route(at + "/rewind", self._checked(self.rewind), methods=["POST"]),
                Route(at + "/fork", self._checked(self.fork), methods=["POST"]),
            ]
        )

    def _checked(self, answer: Any) -> Any:
        async def checked(request: Request) -> Response:
            self.asked.append((request.method, request.url.path))
            if self.token is not None and request.headers.get("authorization") != f"Bearer {self.token}":
                return _error(401, "expected a bearer token that this server knows, got none or another")
            if self.refusing is not None and request.method == "POST":
                (status, words), self.refusing = self.refusing, None
                return _error(status, words, {"Retry-After": "3"})
            if (model := request.path_params.get("model")) is not None and model not in MODELS:
                return _error(404, f"there is no model {model}")
            if (id := request.path_params.get("id")) is not None and id not in self.held:
                return _error(404, "there is no such session")
            return await answer(request)

        return checked

    async def models(self, _: Request) -> Response:
        data = [
            {"id": name, "object": "model", "created": 0, "owned_by": "ostinato", "ostinato": info}
            for name, info in MODELS.items()
        ]
        return JSONResponse({"object": "list", "data": data})

    # stateless

    async def predict(self, request: Request) -> Response:
        model, body = request.path_params["model"], await request.json()
        inputs = body["inputs"] if "inputs" in body else [body["input"]]
        return JSONResponse({"outputs": [_predicted(model, each) for each in inputs]})

    async def generate(self, request: Request) -> Response:
        model, body = request.path_params["model"], await request.json()
        if model == "stateless":
            return self._events(self._written(list(body["prompt"]), body))
        if model == "mirror":
            source = list(body["input"])
            events = [{"source": source}]
            for t, letter in enumerate(reversed(source)):
                looked = [1.0 if i == len(source) - 1 - t else 0.2 for i in range(len(source))]
                events.append(
                    {"text": letter, "token": t, "logprob": -0.1, "attention": [w / sum(looked) for w in looked]}
                )
        else:
            base64.b64decode(body["input"], validate=True)
            words = ["a ", "round ", EVIL]
            events = [{"grid": [4, 4]}]
            for t, word in enumerate(words):
                events.append(
                    {
                        "text": word,
                        "token": t,
                        "logprob": -0.3,
                        "attention": [0.7 if i == 5 * t else 0.02 for i in range(16)],
                    }
                )
        return self._events([*events, {"finish_reason": "stop", "usage": {}}])

    async def units(self, request: Request) -> Response:
        text = (await request.json())["text"]
        values = bytes(v % 256 for t, letter in enumerate(text) for v in _unit_values(t, letter))
        best = [
            {"unit": 3, "layer": "layer 1", "state": "c", "number": 3, "why": "on vowels", "score": 0.97},
            {"unit": "2.h.1", "layer": "layer 2", "state": "h", "number": 1, "why": "place in the line", "score": -0.8},
        ]
        return JSONResponse(
            {"tokens": list(text), "shape": [len(text), 10], "values": base64.b64encode(values).decode(), "best": best}
        )

    # sessions

    async def open(self, request: Request) -> Response:
        model, body = request.path_params["model"], await request.json()
        id = f"s_{next(self._numbers)}"
        held = self.held[id] = Held(model, list(body.get("past", ())))
        forecast = {"forecast": _fan(held.read, body)} if "past" in body else {}
        return JSONResponse({**held.view(id), **forecast}, 201)

    async def one(self, request: Request) -> Response:
        id = request.path_params["id"]
        if request.method == "DELETE":
            del self.held[id]
            return Response(status_code=204)
        return JSONResponse(self.held[id].view(id))

    async def steps(self, request: Request) -> Response:
        id, body = request.path_params["id"], await request.json()
        held = self.held[id]
        if "values" in body:
            held.read += body["values"]
            return JSONResponse({**held.view(id), "said": [], "forecast": _fan(held.read, body)})
        given = [LETTERS[token] for token in body["tokens"]] if "tokens" in body else list(body["text"])
        said = []
        for letter in given:
            held.read.append(letter)
            said.append(_said(held.model, held.read))
        return JSONResponse({**held.view(id), "said": said if body.get("all") else said[-1:]})

    async def write(self, request: Request) -> Response:
        id, body = request.path_params["id"], await request.json()
        return self._events(self._written(self.held[id].read, body))

    def _written(self, read: list[str], body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Writes behind what was read, which grows."""
        for _ in range(body["max_tokens"]):
            found = _next(read)[body.get("seed", 0) % 2]
            top = [{**each, "logprob": math.log(each["p"])} for each in _next(read)]
            read.append(found["text"])
            unit = {"unit": _unit_values(len(read) - 1, found["text"])[3] / 127} if "unit" in body else {}
            piece = {"text": found["text"], "token": found["token"], "logprob": math.log(found["p"]), **unit}
            yield {**piece, "top_logprobs": top}
        yield {"finish_reason": "length", "usage": {}, "step": len(read), "next": _next(read)}

    async def mark(self, request: Request) -> Response:
        id = request.path_params["id"]
        self.held[id].marks[request.path_params["name"]] = len(self.held[id].read)
        return JSONResponse(self.held[id].view(id))

    async def rewind(self, request: Request) -> Response:
        id, body = request.path_params["id"], await request.json()
        held = self.held[id]
        held.read = held.read[: held.marks[body["mark"]]]
        held.marks = {name: at for name, at in held.marks.items() if at <= len(held.read)}
        return JSONResponse(held.view(id))

    async def fork(self, request: Request) -> Response:
        old, body = self.held[request.path_params["id"]], await request.json()
        at = old.marks[body["mark"]] if "mark" in body else len(old.read)
        id = f"s_{next(self._numbers)}"
        self.held[id] = Held(
            old.model, old.read[:at], {name: place for name, place in old.marks.items() if place <= at}
        )
        return JSONResponse(self.held[id].view(id), 201)

    def _events(self, events: Any) -> Response:
        async def lines():
            for event in events:
                yield f"data: {json.dumps(event)}\n\n"
                await asyncio.sleep(self.pause)
            yield "data: [DONE]\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")


def _error(status: int, words: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"message": words, "type": "error", "code": None, "param": None}}, status, headers)


def _next(read: list[str]) -> list[dict[str, Any]]:
    """What a language model says next: the likeliest moves on by one letter a step, the second by two."""
    start = len(read) * 7 % len(LETTERS)
    tokens = [(start + i * 3) % len(LETTERS) for i in range(10)]
    return [{"token": token, "text": LETTERS[token], "p": 2.0 ** -(i + 1)} for i, token in enumerate(tokens)]


def _unit_values(t: int, letter: str) -> list[int]:
    vowel = 120 if letter in "aeiou" else -60
    return [round(127 * math.sin(t / 9 + k)) if k != 3 else vowel for k in range(10)]


def _vowels(text: str) -> dict[str, Any]:
    scores = [
        sum(c in "aeiou" for c in text) + 1,
        sum(c.isalpha() and c not in "aeiou" for c in text) + 1,
        sum(not c.isalpha() for c in text) + 0.5,
    ]
    p = [each / sum(scores) for each in scores]
    best = max(range(3), key=p.__getitem__)
    return {"class": CLASSES[best], "probability": p[best], "probabilities": dict(zip(CLASSES, p, strict=True))}


def _tag(letter: str) -> str:
    return "space" if letter.isspace() else "number" if letter.isdigit() else "name" if letter.isalpha() else "operator"


def _said(model: str, read: list[str]) -> dict[str, Any]:
    letter = read[-1]
    if model == "letters":
        return {"text": letter, "token": LETTERS.index(letter) if letter in LETTERS else 0, "next": _next(read)}
    if model == "vowels":
        return {"text": letter, **_vowels("".join(read))}
    return {"text": letter, "tag": _tag(letter), "p": 0.9}


def _predicted(model: str, given: Any) -> dict[str, Any]:
    if model == "hands":
        tags = ["wave" if step[0] else "rest" for step in given["values"]]
        ends = [*(at for at in range(1, len(tags)) if tags[at] != tags[at - 1]), len(tags)]
        segments = [[at, end, tags[at], 0.9] for at, end in zip([0, *ends], ends, strict=False)]
        return {"id": "", "tags": tags, "probabilities": [0.9] * len(tags), "segments": segments}
    if model == "digits":
        bright = len(base64.b64decode(given, validate=True)) % 10
        p = [0.82 if n == bright else 0.02 for n in range(10)]
        return {"class": str(bright), "probability": 0.82, "probabilities": {str(n): each for n, each in enumerate(p)}}
    if model == "words":
        words = re.findall(r"\S+", given)
        return {
            "words": words,
            "tags": ["NUM" if word.isdigit() else "NOUN" for word in words],
            "probabilities": [0.9] * len(words),
        }
    if model == "mirror":
        best = [{"translation": given[::-1][n:], "score": -n, "log_probability": -0.1 - n} for n in range(3)]
        return {"source": given, **best[0], "n_best": best}
    return _vowels(given)


def _fan(read: list[float | None], body: dict[str, Any]) -> dict[str, Any]:
    """Goes on from the last value to the mean of the last six, ever wider."""
    known = [v for v in read if v is not None]
    last, goal = known[-1], sum(known[-6:]) / len(known[-6:])
    mean = [last + (goal - last) * (1 - 0.8**t) for t in range(1, body["horizon"] + 1)]
    levels = {}
    for level in body["levels"]:
        width = [level / 60 * math.sqrt(t + 1) for t in range(len(mean))]
        levels[str(level)] = {
            "low": [m - w for m, w in zip(mean, width, strict=True)],
            "high": [m + w for m, w in zip(mean, width, strict=True)],
        }
    return {"mean": mean, "levels": levels}
