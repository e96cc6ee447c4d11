"""The OpenAPI document as a page for people: HTML without scripts that loads nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import orjson

from ostinato.serving.http.document import examples
from ostinato.serving.http.document.faults import FAULTS
from ostinato.serving.http.document.openapi import KEY, KEYED, faults_of
from ostinato.serving.http.document.schema import Schema
from ostinato.serving.http.routes import BYTES, EVENTS, JSON, ROUTES, Route
from ostinato.serving.http.socket import PATH, Socket

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>ostinato serve: the API</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
code, pre {{ font: 14px/1.45 ui-monospace, monospace }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; padding: .75rem; border: 1px solid #8886; border-radius: 6px }}
summary {{ cursor: pointer; padding: .35rem 0 }}
details > :not(summary) {{ margin-left: 1.2rem }}
table {{ border-collapse: collapse; margin-bottom: 1rem }}
td, th {{ padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #8884 }}
.method {{ display: inline-block; min-width: 4.5rem; font-weight: 600 }}
</style><h1>ostinato serve: the API</h1><p>The same as <a href="openapi.json">OpenAPI 3.1</a>. <a href="./">The page</a> tries it.
Where the server has tokens, a request brings <code>authorization: Bearer TOKEN</code>. A name with * must be given.</p>
{groups}<h2>Errors</h2><p><code>{{"error": {{"message", "type", "code", "param"}}}}</code></p>
<table><tr><th>status<th>code<th>what it means<th>what to do</tr>{errors}</table></html>"""
_KINDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "object": "object"}
_PLACES = {"model": "notes", "id": "s_...", "name": "here"}


def page() -> bytes:
    """Make the page of all routes: for each a sentence, its parameters and answers, and requests to copy."""
    groups = []
    for group in dict.fromkeys(route.group for route in ROUTES):
        groups.append(f"<h2>{escape(group)}</h2>")
        groups += [_route(route) for route in ROUTES if route.group == group]
        if group == "Sessions":
            told = escape(" ".join((Socket.__doc__ or "").split()))
            groups.append(
                f'<details><summary><span class="method">WS</span><code>{PATH}</code></summary><p>{told}</p></details>'
            )
    errors = "".join(
        f"<tr><td>{status}<td>{'<br>'.join(map(escape, each.codes))}<td>{escape(each.words)}<td>{escape(each.advice)}</tr>"
        for status, each in FAULTS.items()
    )
    return _PAGE.format(groups="\n".join(groups), errors=errors).encode()


def _route(route: Route) -> str:
    told = []
    if rows := list(_parameters(route)):
        told.append(_table("takes", rows))
    told += [f"<p>{escape(name)}</p><pre>{escape(text)}</pre>" for name, text in _requests(route)]
    for schema in route.answers.values():
        if schema and schema.get("properties"):
            told.append(_table("answers", _rows(schema)))
    if EVENTS in route.kinds:
        words, some = examples.EVENTS[route.path]
        told.append(f"<p>{escape(words)}</p><pre>{escape(some.strip())}</pre>")
    elif route.kinds[0] != JSON:
        told.append(f"<p>answers {escape(', '.join(route.kinds))}</p>")
    told.append(f"<p>{', '.join(map(str, route.answers))}; or {', '.join(map(str, faults_of(route)))}</p>")
    return (
        f'<details><summary><span class="method">{route.method}</span><code>{escape(route.path)}</code> '
        f"{escape(route.words)}</summary>{''.join(told)}</details>"
    )


def _parameters(route: Route) -> Iterable[tuple[str, str, str]]:
    if route.body is not None:
        yield from _rows(route.body)
    elif route.takes == BYTES:
        yield "the body", BYTES, ""
    for name, schema in route.query.items():
        yield f"?{name}", _kind(schema), _words(schema)
    if route.keyed:
        yield "header Idempotency-Key", f"1 to {KEY['maxLength']} characters of ASCII", KEYED


def _rows(schema: Schema) -> Iterable[tuple[str, str, str]]:
    """Give the name, the kind and the description of each property, without properties that are not supported."""
    required = schema.get("required", ())
    for name, each in schema["properties"].items():
        if not each.get("description", "").startswith("not supported"):
            yield name + ("*" if name in required else ""), _kind(each), _words(each)


def _table(head: str, rows: Iterable[tuple[str, str, str]]) -> str:
    found = "".join(f"<tr><td><code>{escape(a)}</code><td>{escape(b)}<td>{escape(c)}</tr>" for a, b, c in rows)
    return f"<table><tr><th>{head}<th><th></tr>{found}</table>"


def _words(schema: Schema) -> str:
    default = schema.get("default")
    told = [] if default is None else [f"default {orjson.dumps(default).decode()}"]
    return "; ".join([*([schema["description"]] if "description" in schema else []), *told])


def _kind(schema: Schema) -> str:
    """Describe a schema in a few words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    kinds: Any = schema.get("type", "object")
    kinds = [each for each in ([kinds] if isinstance(kinds, str) else kinds) if each != "null"]
    return " or ".join(dict.fromkeys(_one(kind, schema) for kind in kinds))


def _one(kind: str, schema: Schema) -> str:
    if kind == "array":
        items: Mapping[str, Any] = schema.get("items") or {}
        return f"list of {_kind(items)}" if items else "list"
    if kind == "object" and schema.get("properties"):
        return "{" + ", ".join(schema["properties"]) + "}"
    words = _KINDS[kind]
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is not None and high < 2**31 - 1:
        return f"{words}, {low} to {high}"
    return words


def _requests(route: Route) -> Iterable[tuple[str, str]]:
    path = re.sub(r"{(\w+)}", lambda found: _PLACES[found[1]], route.path)
    head = f"curl http://localhost:8000{path}"
    if route.body is not None:
        for name, body in examples.BODIES[route.path].items():
            json = orjson.dumps(body).decode()
            yield name, f"{head} -H 'content-type: {JSON}' -d '{json}'"
    elif route.takes == BYTES:
        yield (
            "",
            f"curl -X {route.method} 'http://localhost:8000{path}?step=15' -H 'content-type: {BYTES}' --data-binary @state",
        )
    elif route.method == "GET":
        yield "", head + (" -o state" if BYTES in route.kinds else "")
    else:
        yield "", head.replace("curl", f"curl -X {route.method}", 1)
