"""The OpenAPI document, made from the table of routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from ostinato.serving.http.document import examples, schemas
from ostinato.serving.http.document.faults import FAULTS
from ostinato.serving.http.routes import BYTES, EVENTS, JSON, ROUTES, Route
from ostinato.version import __version__

KEY: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
KEYED = "the same key has the same answer, and what it asks is done once"
ANSWERS = {200: "what was asked for", 201: "it was made", 204: "it is gone"}
_ANY = {400, 403, 408, 431, 500, 503}
_RETRIED = (429, 503)
_RETRY = {
    "retry-after": {"description": "seconds after which to try again", "schema": {"type": "integer", "minimum": 1}}
}
_NAMES = {"model": "of a model", "id": "of a session", "name": "of the mark"}


def document(models: Sequence[str] = (), *, tokens: bool = False) -> bytes:
    """Return the document, OpenAPI 3.1 in JSON.

    Args:
        models: the names of models that the document offers.
        tokens: whether the server requires tokens.
    """
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, models, tokens)
    scheme = {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the file --tokens." + ("" if tokens else " This server asks for none."),
    }
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "ostinato serve",
            "version": __version__,
            "description": "Recurrent models whose sessions keep their state. /docs shows this to people.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": schemas.ERROR},
            "responses": {f"Error{status}": _fault(status) for status in FAULTS},
            "securitySchemes": {"token": scheme},
        },
    }
    return orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS)


def _operation(route: Route, models: Sequence[str], tokens: bool) -> dict[str, Any]:
    parameters = [_in_path(name, models) for name in re.findall(r"{(\w+)}", route.path)]
    parameters += [_told(name, "query", schema) for name, schema in route.query.items()]
    if route.keyed:
        parameters.append({"name": "Idempotency-Key", "in": "header", "schema": KEY, "description": KEYED})
    found: dict[str, Any] = {
        "operationId": f"{route.handler.__module__.rsplit('.', 1)[-1]}_{route.handler.__name__}",
        "summary": route.words,
        "tags": [route.group],
        "responses": {str(status): each for status, each in _responses(route)},
    }
    if parameters:
        found["parameters"] = parameters
    if route.body is not None:
        shown = {name: {"value": body} for name, body in examples.BODIES.get(route.path, {}).items()}
        found["requestBody"] = {
            "required": route.needs_body,
            "content": {JSON: {"schema": route.body, **({"examples": shown} if shown else {})}},
        }
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
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": _NAMES[name]}


def _told(name: str, where: str, schema: Any) -> dict[str, Any]:
    found = {"name": name, "in": where, "schema": schema}
    return {**found, "description": schema["description"]} if "description" in schema else found


def _responses(route: Route) -> Iterable[tuple[int, Any]]:
    for status, schema in route.answers.items():
        content: dict[str, Any] = {kind: {"schema": {"type": "string"}} for kind in route.kinds}
        if JSON in content:
            content[JSON] = {"schema": schema or {}}
        if EVENTS in content:  # a schema of the events themselves comes with OpenAPI 3.2
            words, some = examples.EVENTS[route.path]
            content[EVENTS] = {"schema": {"description": words}, "example": some}
        if BYTES in content:
            content[BYTES] = {"schema": {"type": "string", "format": "binary"}}
        yield status, {"description": ANSWERS[status], **({"content": content} if status != 204 else {})}
    for status in faults_of(route):
        yield status, {"$ref": f"#/components/responses/Error{status}"}


def faults_of(route: Route) -> list[int]:
    """Return the error statuses that a route may answer with; an unknown path or method has no route."""
    found = set(_ANY)
    if route.private:
        found.add(401)
    if "{model}" in route.path or (route.private and route.body is not None):
        found |= {404, 429}
    if "{id}" in route.path:
        found.add(410)
    if route.body is not None or route.takes != JSON:
        found |= {413, 415}
    if route.keyed:
        found |= {409, 422}
    return sorted(found)


def _fault(status: int) -> dict[str, Any]:
    fault = FAULTS[status]
    codes = f" ({', '.join(fault.codes)})" if fault.codes else ""
    return {
        "description": f"{fault.words}{codes}: {fault.advice}",
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
        **({"headers": _RETRY} if status in _RETRIED else {}),
    }
