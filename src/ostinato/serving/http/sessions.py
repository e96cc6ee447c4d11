"""Handlers of requests about sessions; their docstrings are shown in the OpenAPI document."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from ostinato.serving.http.context import Context
from ostinato.serving.http.events import generated, generating
from ostinato.serving.http.refusals import InvalidError, MediaTypeError
from ostinato.serving.http.request import Reply, Request, as_events, as_json, while_there

MOST_LISTED = 1000
MOST_KEY = 255


async def steps(app: Context, request: Request) -> Reply:
    """Let a session read inputs; return the answer of the model after them."""
    model, id = request.names
    body = await request.json()
    return as_json(await app.service.steps(model, request.owner, id, body, key_of(request)))


async def begin(app: Context, request: Request) -> Reply:
    """Begin a session."""
    (model,) = request.names
    body = await request.json()
    if body.get("state") is not None:
        body["state"] = from_base64(body["state"], "state")
    return as_json(await while_there(request, app.service.open(model, request.owner, body)), 201)


async def view(app: Context, request: Request) -> Reply:
    """Return a session and its step."""
    model, id = request.names
    return as_json(await app.service.view(model, request.owner, id))


async def listed(app: Context, request: Request) -> Reply:
    """List your sessions by their ids, a part at a time; for more, ask again `after` the last id."""
    (model,) = request.names
    given = request.parameters()
    text = given.get("limit", "100")
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST_LISTED):
        raise InvalidError("limit", f"expected an integer from 1 to {MOST_LISTED}")
    count = int(text)
    found = await app.service.list(model, request.owner, count + 1, given.get("after") or None)
    return as_json({"sessions": found[:count], "has_more": len(found) > count})


async def delete(app: Context, request: Request) -> Reply:
    """End a session."""
    model, id = request.names
    await app.service.delete(model, request.owner, id)
    return Reply(204)


async def generate(app: Context, request: Request) -> Reply:
    """Write text that continues a session, as events."""
    model, id = request.names
    body = await request.json()
    pieces = app.service.write(model, request.owner, id, generating(body), key_of(request), body.get("prompt", ""))
    return as_events(await generated(app, request, pieces))


async def mark(app: Context, request: Request) -> Reply:
    """Mark the current place of a session with a name."""
    model, id, name = request.names
    return as_json(await app.service.mark(model, request.owner, id, name))


async def rewind(app: Context, request: Request) -> Reply:
    """Set a session back to a mark."""
    model, id = request.names
    return as_json(await app.service.rewind(model, request.owner, id, (await request.json())["mark"]))


async def fork(app: Context, request: Request) -> Reply:
    """Begin another session that continues from the place of this one, or from a mark."""
    model, id = request.names
    body: dict[str, Any] = await request.json() if await request.body() else {}
    return as_json(await app.service.fork(model, request.owner, id, body.get("mark")), 201)


async def state(app: Context, request: Request) -> Reply:
    """Return the state as bytes, which a client may store itself."""
    model, id = request.names
    return Reply(200, await app.service.state(model, request.owner, id), b"application/octet-stream")


async def put_state(app: Context, request: Request) -> Reply:
    """Set the state of a session to bytes that were returned before."""
    model, id = request.names
    if (request.content_type or b"").split(b";", 1)[0].strip().lower() != b"application/octet-stream":
        raise MediaTypeError("expected the header content-type: application/octet-stream")
    step = request.parameters().get("step")
    if step is not None and not (step.isascii() and step.isdigit() and len(step) < 19):
        raise InvalidError("step", "expected the step that the state is of, an integer of at least 0")
    data = await request.body()
    found = await app.service.put_state(model, request.owner, id, data, None if step is None else int(step))
    return as_json(found)


def key_of(request: Request) -> str | None:
    """Return the header Idempotency-Key; None if there is none."""
    if request.key is None:
        return None
    if not 1 <= len(request.key) <= MOST_KEY or not request.key.isascii():
        raise InvalidError("Idempotency-Key", f"expected from 1 to {MOST_KEY} characters of ASCII")
    return request.key.decode("ascii")


def from_base64(text: str, param: str) -> bytes:
    """Decode bytes in base64; `param` names them in an error."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidError(param, "expected bytes in base64") from None
