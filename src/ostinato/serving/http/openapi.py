"""The OpenAPI document, made from the table of routes, and a page of it that needs nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import orjson

from ostinato.serving.http import schemas
from ostinato.serving.http.routes import BYTES, EVENTS, JSON, ROUTES, Route
from ostinato.serving.http.socket import PATH, Socket
from ostinato.version import __version__

ERRORS = {
    400: "what was sent is not what is expected",
    401: "no token, or an unknown one",
    403: "a page of another site asks, or a name that is not this server's",
    404: "no such model, session or mark; or it is somebody else's",
    405: "another method is expected",
    409: "the session is at another step",
    410: "the session ended, as its model was replaced by one that it does not fit",
    413: "more bytes, tokens or steps than a request may have",
    415: "another content type is expected",
    422: "this idempotency key came before with another body",
    429: "a bound is reached; try again after Retry-After seconds",
    500: "something went wrong inside",
    503: "the server starts or ends; try again after Retry-After seconds",
}
_OPEN = {400, 403, 405, 500, 503}
_ANSWERS = {200: "what was asked for", 201: "it was made", 204: "it is gone"}
_RETRY = {
    "retry-after": {"description": "seconds after which to try again", "schema": {"type": "integer", "minimum": 1}}
}


def document(models: Sequence[str] = (), *, tokens: bool = False) -> bytes:
    """OpenAPI 3.1, as JSON.

    Args:
        models: whose names the document offers.
        tokens: whether tokens are asked for.
    """
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, models, tokens)
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "ostinato serve",
            "version": __version__,
            "description": "Recurrent models whose sessions keep their state.",
        },
        "paths": paths,
        "components": {"schemas": {"Error": schemas.ERROR}},
    }
    if tokens:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS)


def _operation(route: Route, models: Sequence[str], tokens: bool) -> dict[str, Any]:
    parameters = [_in_path(name, models) for name in re.findall(r"{(\w+)}", route.path)]
    parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in route.query.items()]
    if route.keyed:
        schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        parameters.append({"name": "Idempotency-Key", "in": "header", "schema": schema})
    found: dict[str, Any] = {
        "operationId": f"{route.handler.__module__.rsplit('.', 1)[-1]}_{route.handler.__name__}",
        "summary": route.words,
        "tags": [route.group],
        "responses": {str(status): each for status, each in _responses(route)},
    }
    if parameters:
        found["parameters"] = parameters
    if route.body is not None:
        found["requestBody"] = {"required": route.needs_body, "content": {JSON: {"schema": route.body}}}
    elif route.takes == BYTES:
        schema = {"type": "string", "format": "binary"}
        found["requestBody"] = {"required": True, "content": {BYTES: {"schema": schema}}}
    if tokens and route.private:
        found["security"] = [{"token": []}]
    return found


def _in_path(name: str, models: Sequence[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": 1}
    if name == "model" and models:
        schema["enum"] = list(models)
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _responses(route: Route) -> Iterable[tuple[int, Any]]:
    for status, schema in route.answers.items():
        content: dict[str, Any] = {kind: {"schema": {"type": "string"}} for kind in route.kinds}
        if JSON in content:
            content[JSON] = {"schema": schema or {}}
        if EVENTS in content:
            content[EVENTS] = {}  # a schema of the events themselves comes with OpenAPI 3.2
        if BYTES in content:
            content[BYTES] = {"schema": {"type": "string", "format": "binary"}}
        yield status, {"description": _ANSWERS[status], **({"content": content} if status != 204 else {})}
    error = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    for status, words in ERRORS.items():
        if route.private or status in _OPEN:
            yield (
                status,
                {
                    "description": words,
                    "content": error,
                    **({"headers": _RETRY} if status in (429, 503) else {}),
                },
            )


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>ostinato serve: the API</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
code, pre {{ font: 14px/1.45 ui-monospace, monospace }}
pre {{ overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: 6px }}
summary {{ cursor: pointer; padding: .35rem 0 }}
.method {{ display: inline-block; min-width: 4.5rem; font-weight: 600 }}
</style><h1>ostinato serve: the API</h1><p>The same as <a href="/openapi.json">OpenAPI 3.1</a>.
<a href="/">The page</a> tries it.</p>
{groups}<h2>Errors</h2><ul>{errors}</ul></html>"""


def page() -> bytes:
    """The document for people: HTML without scripts."""
    groups = []
    for group in dict.fromkeys(route.group for route in ROUTES):
        groups.append(f"<h2>{escape(group)}</h2>")
        groups += [_row(route) for route in ROUTES if route.group == group]
        if group == "Sessions":
            told = escape(" ".join((Socket.__doc__ or "").split()))
            groups.append(
                f'<details><summary><span class="method">WS</span><code>{PATH}</code></summary><p>{told}</p></details>'
            )
    errors = "".join(f"<li><code>{status}</code> {escape(words)}</li>" for status, words in ERRORS.items())
    return _PAGE.format(groups="\n".join(groups), errors=errors).encode()


def _row(route: Route) -> str:
    told = []
    if route.query:
        told.append("query: " + ", ".join(route.query))
    if route.body is not None:
        told.append("body:\n" + orjson.dumps(route.body, option=orjson.OPT_INDENT_2).decode())
    elif route.takes != JSON:
        told.append(f"body: {route.takes}")
    for status, schema in route.answers.items():
        shown = orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode() if schema else ", ".join(route.kinds)
        told.append(f"{status}: {shown if status != 204 else 'nothing'}")
    details = escape("\n\n".join(told))
    return (
        f'<details><summary><span class="method">{route.method}</span><code>{escape(route.path)}</code> '
        f"{escape(route.words)}</summary><pre>{details}</pre></details>"
    )
