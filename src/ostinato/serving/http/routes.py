"""The table of all routes, from which the server finds handlers and the OpenAPI document is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from ostinato.serving.http import openai, operating, sessions, stateless
from ostinato.serving.http.context import Context
from ostinato.serving.http.document import schemas
from ostinato.serving.http.document.schema import Check, Schema, check_of
from ostinato.serving.http.refusals import NoPathError, NotAllowedError
from ostinato.serving.http.request import Reply, Request

Handler = Callable[[Context, Request], Awaitable[Reply]]
JSON, BYTES, EVENTS = "application/json", "application/octet-stream", "text/event-stream"


@dataclass(frozen=True)
class Route:
    """A route: a method and a path with the function that answers.

    Attributes:
        method: the method of HTTP.
        path: the path, with names in braces for its variable parts.
        handler: the function that answers; its docstring describes the route in the OpenAPI document.
        body: the schema of the expected JSON; None for no body, or one that is no JSON.
        answers: the schemas of answers by status; None for an answer that is no JSON.
        kinds: content types of successful answers.
        group: the heading under which the route is listed.
        private: whether the route needs a token if there are tokens.
        takes: the content type of the body, if there is one.
        query: schemas of the parameters in the query, by name.
        keyed: whether the route respects the header Idempotency-Key.
        needs_body: whether a body is required.
        check: the function that checks a body by the schema; made from `body`.
    """

    method: str
    path: str
    handler: Handler
    body: Schema | None = None
    answers: Mapping[int, Schema | None] = field(default_factory=dict)
    kinds: Sequence[str] = (JSON,)
    group: str = "Sessions"
    private: bool = True
    takes: str = JSON
    query: Mapping[str, Schema] = field(default_factory=dict)
    keyed: bool = False
    needs_body: bool = True
    check: Check | None = None

    def __post_init__(self) -> None:
        if self.body is not None:
            object.__setattr__(self, "check", check_of(self.body))

    @property
    def parts(self) -> list[str]:
        """The parts of the path."""
        return self.path.split("/")[1:]

    @property
    def words(self) -> str:
        """The description of the route: the handler's docstring."""
        return (self.handler.__doc__ or "").strip()


_ID = "/v1/{model}/sessions/{id}"
_LIMITS: dict[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": sessions.MOST_LISTED, "default": 100},
    "after": {"type": "string", "description": "an id: those behind it"},
}
_STEP: dict[str, Schema] = {
    "step": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1, "description": "that the state is of"}
}
ROUTES = [
    Route("GET", "/v1/models", stateless.models, None, {200: schemas.MODELS}, group="Models"),
    Route("GET", "/v1/models/{model}", stateless.model, None, {200: schemas.MODEL}, group="Models"),
    Route(
        "POST",
        "/v1/completions",
        openai.completions,
        schemas.COMPLETION,
        {200: schemas.COMPLETED},
        (JSON, EVENTS),
        group="Models",
    ),
    Route("POST", "/v1/{model}/predict", stateless.predict, schemas.PREDICT, {200: schemas.OUTPUTS}, group="Models"),
    Route("POST", "/v1/{model}/generate", stateless.generate, schemas.GENERATE, {200: None}, (EVENTS,), group="Models"),
    Route("POST", "/v1/{model}/units", stateless.units, schemas.UNITS, {200: schemas.VALUES}, group="Models"),
    Route("POST", "/v1/{model}/sessions", sessions.begin, schemas.BEGIN, {201: schemas.VIEW}),
    Route("GET", "/v1/{model}/sessions", sessions.listed, None, {200: schemas.SESSIONS}, query=_LIMITS),
    Route("GET", _ID, sessions.view, None, {200: schemas.VIEW}),
    Route("DELETE", _ID, sessions.delete, None, {204: None}),
    Route("POST", f"{_ID}/steps", sessions.steps, schemas.STEPS, {200: schemas.SAID}, keyed=True),
    Route("POST", f"{_ID}/generate", sessions.generate, schemas.SESSION_GENERATE, {200: None}, (EVENTS,), keyed=True),
    Route("POST", f"{_ID}/marks/{{name}}", sessions.mark, None, {200: schemas.VIEW}),
    Route("POST", f"{_ID}/rewind", sessions.rewind, schemas.REWIND, {200: schemas.VIEW}),
    Route("POST", f"{_ID}/fork", sessions.fork, schemas.MARK, {201: schemas.VIEW}, needs_body=False),
    Route("GET", f"{_ID}/state", sessions.state, None, {200: None}, (BYTES,)),
    Route("PUT", f"{_ID}/state", sessions.put_state, None, {200: schemas.VIEW}, takes=BYTES, query=_STEP),
    Route("GET", "/healthz", operating.health, None, {200: schemas.HEALTH}, group="Operation", private=False),
    Route("GET", "/readyz", operating.ready, None, {200: schemas.HEALTH}, group="Operation", private=False),
    Route("GET", "/metrics", operating.metrics, None, {200: None}, ("text/plain",), group="Operation"),
    Route("GET", "/openapi.json", operating.openapi, None, {200: schemas.ANYTHING}, group="Operation", private=False),
    Route("GET", "/docs", operating.docs, None, {200: None}, ("text/html",), group="Operation", private=False),
]


class Table:
    """A search tree of routes by the parts of their paths; fixed parts are tried before variable ones."""

    def __init__(self, routes: Sequence[Route] = ROUTES):
        self._root: dict[Any, Any] = {}
        for route in routes:
            node = self._root
            for part in route.parts:
                node = node.setdefault("*" if part.startswith("{") else part, {})
            node.setdefault(None, {})[route.method] = route

    def find(self, request: Request) -> Route:
        """Find the route of a request, and set the request's `route` and `names`.

        Raises:
            NoPathError: there is no route with this path.
            NotAllowedError: the path has no route for this method.
        """
        node, names = self._root, []
        for part in request.path.decode("latin-1").split("/")[1:]:
            if part in node and part != "*":
                node = node[part]
                continue
            node = node.get("*")
            if node is None or not part:
                raise NoPathError
            # Decoded after the path was split, so that %2F cannot add a part.
            names.append(_decoded(part) if "%" in part else part)
        routes = node.get(None)
        if routes is None:
            raise NoPathError
        method = "GET" if request.method == "HEAD" else request.method
        route = routes.get(method)
        if route is None:
            allowed = [*routes, *(["HEAD"] if "GET" in routes else [])]
            raise NotAllowedError(request.method, ", ".join(sorted(allowed)))
        request.route, request.names = route, names
        return route


def _decoded(part: str) -> str:
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise NoPathError from None
