"""A connection of uvicorn with limits in time and bytes, and a short path for the steps of sessions.

On the short path a request for a step is answered without the scope, the events and the messages of ASGI, which took
most of the 60 microseconds of a step.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import orjson
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ostinato.serving.errors import ServingError, UnavailableError
from ostinato.serving.http.errors import error_body
from ostinato.serving.http.refusals import DisconnectedError, HeadError, HttpError
from ostinato.serving.http.request import Request

if TYPE_CHECKING:
    from ostinato.serving.http.app import App

SHORT_WAY = b"/steps"
MOST_SHORT = 64 * 1024  # bytes of a body; a longer body is read piece by piece by ASGI
SWEEP_S = 1.0
MOST_HEAD = 32 * 1024  # bytes of the request line and all headers
MOST_HEADERS = 100
SLICE = 8 * 1024  # bytes that are parsed at once; a head may exceed the limit by so many
FRAMING = 16  # bytes of chunk sizes and extensions that are allowed for each byte of a body
HALF_S = 5.0  # how long a request is worked on after its client, which may be gone, has closed its direction
_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def closing(error: ServingError) -> bytes:
    """Return the bytes of an answer after which the connection is closed."""
    body = orjson.dumps(error_body(error))
    retry = b"" if error.retry_after is None else b"retry-after: %d\r\n" % max(1, round(error.retry_after))
    return b"%scontent-type: application/json\r\n%sconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (
        STATUS_LINE[error.status],
        retry,
        len(body),
        body,
    )


_FULL = closing(UnavailableError("too many connections are open; try again", retry_after=1.0))
HEAD_REFUSED = closing(
    HeadError(f"expected at most {MOST_HEAD} bytes of request line and headers, and {MOST_HEADERS} headers; send fewer")
)
_SYNTAX = closing(HttpError("expected a request of HTTP/1.1"))


class Bounds:
    """The limits of all connections of a server.

    Args:
        header_seconds: how long the head of a request may take.
        body_seconds: how long its body may take.
        send_seconds: how long a client may not read an answer that is ready.
        connections: the most connections that are open at once.
    """

    def __init__(
        self,
        header_seconds: float = 10.0,
        body_seconds: float = 60.0,
        send_seconds: float = 30.0,
        connections: int = 10_000,
    ):
        self.header_seconds, self.body_seconds, self.send_seconds = header_seconds, body_seconds, send_seconds
        self.connections = connections


class Connection(HttpToolsProtocol):
    """The connection of a client.

    Attributes:
        bounds: the limits; set by the server for all connections.
    """

    bounds = Bounds()
    parser: Any

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._served: App = self.config.app  # pyright: ignore[reportAttributeAccessIssue]
        self._reading_since: float | None = None
        self._in_body = False
        self._stalled_since: float | None = None
        self._idle_since: float | None = None
        self._ended_since: float | None = None  # when the client closed its direction
        self._unread = 0  # bytes since the last ones that belonged to a body, or since the end of a head
        self._is_refused = False
        self._short: _Cycle | None = None  # the request that is being read, if it takes the short path

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._reading_since = self.loop.time()
        if len(self.connections) > self.bounds.connections:
            transport.write(_FULL)
            transport.close()

    @override
    def data_received(self, data: bytes) -> None:
        """Count the bytes of heads, trailers and around chunks before the parser stores them."""
        if len(data) <= SLICE:
            self._take(data)
            return
        for at in range(0, len(data), SLICE):
            self._take(data[at : at + SLICE])
            if self.transport.is_closing() or self.transport.get_protocol() is not self:
                return

    def _take(self, data: bytes) -> None:
        self._unread += len(data)
        if self._unread > MOST_HEAD + SLICE:
            self._refuse()
        else:
            super().data_received(data)

    def _refuse(self) -> None:
        self._is_refused = True
        self.send_400_response("")

    @override
    def send_400_response(self, msg: str) -> None:
        """Send the error in the form of all errors, unless another answer has begun; then close the connection."""
        cycle: Any = self.cycle
        begun = cycle is not None and not cycle.response_complete
        if not begun or (self._in_body and not self.pipeline and not getattr(cycle, "response_started", True)):
            self.transport.write(HEAD_REFUSED if self._is_refused else _SYNTAX)
        if cycle is not None and begun:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    @override
    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Tell whether the other direction stays open, so that a request that was read completely is answered."""
        if self._reading_since is not None or self.cycle is None or self.cycle.response_complete:
            return False
        self._ended_since = self.loop.time()
        return True

    def late(self, now: float) -> None:
        """Close the connection if it takes too long; called about every second."""
        if self._stalled_since is not None and now - self._stalled_since > self.bounds.send_seconds:
            self.transport.abort()  # a close would wait for the client to read
        elif self._ended_since is not None and now - self._ended_since > HALF_S:
            self.transport.abort()
        elif self._reading_since is not None and not self.transport.is_closing():
            most = self.bounds.body_seconds if self._in_body else self.bounds.header_seconds
            if now - self._reading_since > most:
                if not self._in_body:
                    self.transport.write(_LATE)
                self.transport.close()
        elif self._idle_since is not None and now - self._idle_since > self.timeout_keep_alive:
            self.transport.close()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled_since = self.loop.time()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled_since = None

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reading_since, self._in_body, self._short = self.loop.time(), False, None
        self._idle_since = None

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            return  # trailers are ignored
        if len(self.headers) >= MOST_HEADERS:
            self._is_refused = True
            raise ValueError("too many headers")  # stops the parser
        super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._reading_since, self._in_body = self.loop.time(), True
        self._unread = 0
        if self.url.endswith(SHORT_WAY) and self._may_be_short():
            cycle = _Cycle(self, self.url, self.headers, self.parser.should_keep_alive())
            self._short = cycle
        else:
            super().on_headers_complete()

    def _may_be_short(self) -> bool:
        if self.parser.get_method() != b"POST" or self.expect_100_continue or self.parser.should_upgrade():
            return False
        if self.parser.get_http_version() != "1.1":
            return False
        for name, value in self.headers:
            if name == b"content-length":
                return value.isdigit() and len(value) < 7 and int(value) <= MOST_SHORT
        return False

    @override
    def on_body(self, body: bytes) -> None:
        self._unread = max(0, self._unread - FRAMING * len(body))
        if self._short is not None:
            self._short.parts.append(body)
        else:
            super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._reading_since, self._unread = None, 0
        cycle = self._short
        if cycle is None:
            super().on_message_complete()
            return
        self._short = None
        before, self.cycle = self.cycle, cycle  # pyright: ignore[reportAttributeAccessIssue]
        if before is None or before.response_complete:
            self._begin(cycle)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))  # pyright: ignore[reportArgumentType]

    def _begin(self, cycle: Any) -> None:
        task = self.loop.create_task(cycle.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    @override
    def on_response_complete(self) -> None:
        """Continue as uvicorn does, but without a timer for each request: `late` closes idle connections."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._begin(self.pipeline.pop()[0])
        elif self._ended_since is not None:
            self.transport.close()
        else:
            self._idle_since = self.loop.time()

    @override
    def shutdown(self) -> None:
        if self._reading_since is None or self._in_body or self.cycle is not None:
            super().shutdown()
        else:  # nothing has come yet
            self.transport.close()


class _Cycle:
    """A request on the short path, with its answer; it has the interface of uvicorn's cycles, with which it queues."""

    __slots__ = (
        "body",
        "connection",
        "disconnected",
        "headers",
        "keep_alive",
        "message_event",
        "more_body",
        "parts",
        "response_complete",
        "url",
    )

    def __init__(self, connection: Connection, url: bytes, headers: list[tuple[bytes, bytes]], keep_alive: bool):
        self.connection, self.url, self.headers, self.keep_alive = connection, url, headers, keep_alive
        self.parts: list[bytes] = []
        self.disconnected = self.response_complete = self.more_body = False
        self.body = b""
        self.message_event = _NO_EVENT

    async def run_asgi(self, app: Any) -> None:
        """Answer the request; uvicorn calls it by this name."""
        start = time.perf_counter()
        connection, parts = self.connection, self.parts
        served = connection._served
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        request = Request("POST", self.url, b"", self.headers, _nothing, body)
        try:
            reply = await served.answer(request)
        except DisconnectedError:  # does not occur on the short path
            return
        transport = connection.transport
        head = [STATUS_LINE[reply.status]]
        for name, value in (*connection.server_state.default_headers, *served.headers_of(request, reply)):
            head += (name, b": ", value, b"\r\n")
        if not self.keep_alive and not served.draining:
            head.append(b"connection: close\r\n")
        head += (b"\r\n", reply.body)
        if not transport.is_closing():
            transport.write(b"".join(head))
            if connection.flow.write_paused:  # a client that does not read must not get more requests read
                await connection.flow.drain()
        served.finished(request, reply.status, start, len(reply.body))
        self.response_complete = True
        if not self.keep_alive or served.draining:
            transport.close()
        connection.on_response_complete()


class _NoEvent:
    def set(self) -> None:
        """Do nothing, because nothing waits for more of a body."""


_NO_EVENT = _NoEvent()


async def _nothing() -> dict[str, Any]:
    return {"type": "http.disconnect"}
