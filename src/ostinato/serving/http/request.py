"""The requests that handlers get, and the replies that they return."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qsl

import orjson

from ostinato.serving.http.refusals import (
    BodyError,
    DisconnectedError,
    InvalidError,
    JsonError,
    LengthError,
    MediaTypeError,
)

Headers = Sequence[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]

_NOTED = {
    b"authorization": "authorization",
    b"content-type": "content_type",
    b"content-length": "content_length",
    b"idempotency-key": "key",
    b"x-request-id": "given_id",
    b"host": "host",
    b"origin": "origin",
}


class Found(Protocol):
    """The route of a request; see `routes.Route`."""

    @property
    def path(self) -> str:
        """The path, with names in braces for its variable parts."""
        ...

    @property
    def check(self) -> Callable[[Any, str], None] | None:
        """A function that raises an error for a body that does not fit the schema; None for no check."""
        ...


class Request:
    """A request.

    Attributes:
        method: "GET", "POST", ...
        path: the path, percent-encoded, as it came.
        query: the text after the question mark.
        route: the route of the request; None until it is found.
        names: the variable parts of the path, decoded.
        owner: the name of the token; "" without tokens.
        id: the id of the request, for logs and the header `x-request-id`.
        limit: the most bytes that the body may have.
        received: how many bytes of the body were received.
    """

    __slots__ = (
        "_body",
        "_receive",
        "authorization",
        "content_length",
        "content_type",
        "given_id",
        "host",
        "id",
        "key",
        "limit",
        "method",
        "names",
        "origin",
        "owner",
        "path",
        "query",
        "received",
        "route",
    )

    def __init__(
        self, method: str, path: bytes, query: bytes, headers: Headers, receive: Receive, body: bytes | None = None
    ):
        self.method, self.path, self.query = method, path, query
        self.authorization = self.content_type = self.content_length = self.key = None
        self.given_id = self.host = self.origin = None
        for name, value in headers:
            if (noted := _NOTED.get(name)) is not None:
                setattr(self, noted, value)
        self.route: Found | None = None
        self.names: list[str] = []
        self.owner, self.id = "", ""
        self.limit = 0
        self._receive, self._body = receive, body
        self.received = 0 if body is None else len(body)

    @property
    def peeked(self) -> bytes | None:
        """The body if it was read to its end, else None."""
        return self._body

    async def body(self) -> bytes:
        """Read the body; no more than `limit` bytes are accepted, whatever the headers say.

        Raises:
            BodyError: there are more bytes (413), or the length is no number (400).
            DisconnectedError: the client disconnected before the end of the body.
        """
        if self._body is not None:
            if len(self._body) > self.limit:
                raise self._too_large()
            return self._body
        if self.content_length is not None:
            if not self.content_length.isdigit():
                raise LengthError("content-length: expected a number of bytes")
            if int(self.content_length) > self.limit:
                raise self._too_large()
        parts: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise DisconnectedError
            if part := message.get("body", b""):
                parts.append(part)
                self.received += len(part)
                if self.received > self.limit:
                    raise self._too_large()
            if not message.get("more_body", False):
                break
        self._body = parts[0] if len(parts) == 1 else b"".join(parts)
        return self._body

    def _too_large(self) -> BodyError:
        return BodyError(f"the body is larger than {self.limit} bytes; send less at once")

    async def json(self) -> Any:
        """Read the body as JSON and check it by the schema of the route.

        Raises:
            ServingError: the body is no JSON, or does not fit the schema.
        """
        kind = (self.content_type or b"").split(b";", 1)[0].strip().lower()
        if self.content_type is None and not await self.body():
            found: Any = {}  # so that the check names what is missing
            assert self.route is not None
            if self.route.check is not None:
                self.route.check(found, "")
            return found
        if kind != b"application/json":
            # Other types would also let a page of another site post without a CORS preflight request.
            raise MediaTypeError("expected the header content-type: application/json")
        data = await self.body()
        try:
            found = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            where = f" at character {error.pos}" if data else ""
            raise JsonError(f"the body is no JSON{where}: {error.msg if data else 'it is empty'}") from None
        assert self.route is not None
        if self.route.check is not None:
            self.route.check(found, "")
        return found

    def parameters(self) -> dict[str, str]:
        """Return the parameters in the query by name; if a name occurs twice, the last one.

        Raises:
            ServingError: the query is not UTF-8, or has more than 32 parts.
        """
        try:
            text = self.query.decode("ascii")
            return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=32, errors="strict"))
        except ValueError:  # UnicodeError is one
            raise InvalidError("query", "expected name=value&..., in UTF-8") from None

    async def gone(self) -> None:
        """Return when the client has disconnected; the body must have been read before."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


class Reply:
    """An answer.

    Args:
        status: the status of HTTP.
        body: the body of the answer.
        kind: the content type.
        headers: further headers, with names in lower case.
        events: server-sent events, which are sent instead of the body.
    """

    __slots__ = ("body", "events", "headers", "kind", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        kind: bytes = b"application/json",
        headers: Headers = (),
        events: AsyncIterator[bytes] | None = None,
    ):
        self.status, self.body, self.kind, self.headers, self.events = status, body, kind, headers, events


def as_json(value: Any, status: int = 200, headers: Headers = ()) -> Reply:
    """Return an answer in JSON; NaN becomes null."""
    return Reply(status, orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), headers=headers)


def as_events(events: AsyncIterator[bytes]) -> Reply:
    """Return an answer of server-sent events."""
    return Reply(
        200,
        kind=b"text/event-stream",
        headers=((b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")),
        events=events,
    )


async def while_there(request: Request, work: Awaitable[Any]) -> Any:
    """Await `work`, and cancel it if the client disconnects.

    Raises:
        DisconnectedError: the client has disconnected.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(request.gone())
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise DisconnectedError
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
